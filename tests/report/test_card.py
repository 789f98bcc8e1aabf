"""The model card: what it tells, and that a user's strings are text in it, never markup."""

from __future__ import annotations

from pathlib import Path

import pytest
from markdown_it import MarkdownIt

from tests.report.example import Page, quality_of_corpus, results_of_several, summary_of
from ulmfit.presets import PRESETS
from ulmfit.pretrained.catalog import CATALOG, SHIPPED
from ulmfit.pretrained.licence import UNKNOWN, licence_behind
from ulmfit.pretrained.manifest import MANIFEST, parse_manifest
from ulmfit.report.card import Card, card_of, escaped, markdown
from ulmfit.report.page import render_card
from ulmfit.report.summary import Summary
from ulmfit.store.lineage import Ancestor, Lineage

READER = MarkdownIt("commonmark").enable("table")
LINEAGE = Lineage(
    key="a" * 64, artifacts={"a" * 64: Ancestor(kind="model", version=1, config={}, inputs={}, finished="2025-01-02T03:04:05Z")}
)
SLICES = [
    {"name": "label bad", "rows": 40, "right": {"value": 0.9, "low": 0.77, "high": 0.96}},
    {"name": "longest quarter of texts", "rows": 20, "right": {"value": 0.85, "low": 0.64, "high": 0.95}},
]
HOSTILE = "<script>alert(1)</script> | [click](javascript:alert(1)) `x` *b* \n# title ![i](http://x/y.png) &lt; {{ 1 + 1 }}"


def card(licence: str = "free", **changes: object) -> Card:
    return card_of(Summary.model_validate(summary_of() | {"slices": SLICES} | changes), LINEAGE, licence)


def pages_of(made: Card, folder: Path) -> tuple[Page, Page]:
    """The page, and what Markdown becomes."""
    render_card(made, folder)
    return Page((folder / "card.html").read_text()), Page(READER.render((folder / "card.md").read_text()))


def test_a_card_tells_what_a_reader_asks(tmp_path: Path) -> None:
    quality = quality_of_corpus()
    corpus = summary_of()["corpus"] | {"quality": quality}
    page, read = pages_of(card("CC BY-SA 4.0", corpus=corpus), tmp_path)
    for told in (page, read):
        for said in (
            "Model card: ulmfit-x, version 3",
            "It gives a text one of these labels: bad, good.",
            "content digest d1935",
            "The model is more accurate than the baseline",
            "longest quarter of texts 20 85.0% [64.0, 95.0]",
            "Expected calibration error",
            "95.0% 81.2% 95.7%",
            "5.0% of the tokens of held-out text are unknown",
            "CC BY-SA 4.0",
            "run 0123456789abcdef",
            "2025-01-02T03:04:05Z",
        ):
            assert said in told.text, said
    titles = [line for line in (tmp_path / "card.md").read_text().splitlines() if line.startswith("## ")]
    assert [title[3:] for title in titles][:5] == ["What it is for", "Data", "Method", "Figures", "Slices"]


@pytest.mark.parametrize("preset", PRESETS)
def test_a_card_tells_the_settings_of_every_preset(preset: str) -> None:
    settings = PRESETS[preset]()
    (method,) = (section for section in card(settings=settings.model_dump(mode="json")).sections if section.title == "Method")
    told = " ".join(method.paragraphs)
    assert f"rate {settings.classifier.lr:g}" in told and ("as many epochs" in told) == (
        "auto" in (settings.finetune.epochs, settings.classifier.epochs)
    )


def test_what_users_write_is_text_in_both(tmp_path: Path) -> None:
    hostile = summary_of(labels=(HOSTILE, "good"), text=HOSTILE)
    hostile["slices"] = [SLICES[0] | {"name": f"label {HOSTILE}"}]
    hostile["corpus"]["name"] = HOSTILE
    made = card_of(Summary.model_validate(hostile), LINEAGE, HOSTILE)
    page, read = pages_of(made, tmp_path)
    allowed = {"h1", "h2", "p", "table", "thead", "tbody", "tr", "th", "td"}
    assert set(read.tags) <= allowed and not read.targets
    assert "script" not in page.tags and [target for tag, target in page.targets if tag != "link"] == []
    plain = " ".join(HOSTILE.split())
    assert page.text.count(plain) >= 5 and read.text.count(plain) >= 5
    rows = [line for line in (tmp_path / "card.md").read_text().splitlines() if line.startswith("| label \\<script")]
    assert len(rows) == 1, "a line break in a label makes no row"


def test_labels_of_which_little_is_known_are_named(tmp_path: Path) -> None:
    several = Summary.model_validate(summary_of() | {"results": results_of_several(), "slices": []})
    made = card_of(several, LINEAGE, "free")
    assert "abstain" not in markdown(made), "predict refuses that of a model of several labels"
    assert "any number of these labels: art, sport, town" in markdown(made) and "Slices" not in markdown(made)
    few = summary_of()
    few["results"]["per_label"][0]["documents"] = 3
    few["results"]["per_label"][1]["f1"] = 0.1
    limits = markdown(card_of(Summary.model_validate(few), LINEAGE, "free"))
    assert "little is known of: bad" in limits and "F1 below 60%: good" in limits


@pytest.mark.parametrize("sign", "\\`*_[]<>|~#&$")
def test_every_sign_of_markdown_is_shown_as_itself(sign: str) -> None:
    text = f"{sign}a{sign}b{sign}{sign}c{sign}"
    assert Page(READER.render(f"x {escaped(text)} y")).text == f"x {text} y"


def lineage_of(*ancestors: Ancestor) -> Lineage:
    return Lineage(key="0" * 64, artifacts={str(number): one for number, one in enumerate(ancestors)})


def test_the_licence_is_that_of_the_language_model() -> None:
    known = CATALOG[SHIPPED]
    files = parse_manifest((Path(known.location) / MANIFEST).read_bytes(), "x").digests("backward")
    model = lambda config, **record: Ancestor(kind="language-model", version=1, config=config, inputs={}, record=record)
    assert "CC BY-SA 4.0" in licence_behind(lineage_of(model({"files": files, "direction": "backward"})))
    other = {"files": {"model.safetensors": "f" * 64}, "direction": "forward"}
    assert licence_behind(lineage_of(model(other))) == UNKNOWN
    assert licence_behind(lineage_of(model(other, licence="MIT"))) == "MIT"
    corpus = Ancestor(kind="corpus", version=1, config={}, inputs={}, record={"name": "wiki"})
    assert "holds: wiki" in licence_behind(lineage_of(model({"direction": "forward"}), corpus))
    assert licence_behind(lineage_of(corpus)) == "It started from no language model."
