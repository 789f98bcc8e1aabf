"""What people write is text on every page: scripts, markup, ANSI codes, bidirectional overrides, formulas, paths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from dashboard.plain import plain
from tests.dashboard.conftest import copied
from tests.dashboard.home import Home
from tests.report.example import Page
from ulmfit.decisions.decision import Author
from ulmfit.store.artifacts import Built
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.recipe import Recipe

SCRIPT = "<script>alert(1)</script><img src=x onerror=alert(1)>"
STRANGE = f"{SCRIPT}\x1b[31m\x07=HYPERLINK(\"http://evil.example\")\u202egnp.exe{{{{ 7*7 }}}}' onmouseover='alert(1)"
NAME = "a & b <b>{{ 7*7 }} \u202etxt=1+1|calc,\" ' %2e"  # of a model: what a file or an older MLflow may hold


class Elements(HTMLParser):
    """Names and attributes of all elements."""

    def __init__(self, source: str):
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.feed(source)

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attributes)))


@pytest.fixture(scope="module")
def hostile(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """A workspace in which everything that people write is meant ill."""
    with pytest.MonkeyPatch.context() as patch:
        home = copied(tracked, tmp_path_factory.mktemp("hostile"), patch)
        write_ill(home)
        home.read()
    yield home


def write_ill(home: Home) -> None:
    evaluation = home.evaluation("hostile", text=STRANGE)
    run = home.run(
        STRANGE, parameters={"reads": STRANGE}, metrics={"result.accuracy": 0.5}, tags={"ulmfit.corpus": STRANGE, "ulmfit.flow": STRANGE}
    )
    home.run(STRANGE, "FAILED")
    home.run(STRANGE, None, parent=home.run(STRANGE, None, tags={"ulmfit.kind": STRANGE}))
    home.version(NAME, evaluation, run)
    home.version(NAME)
    by = Author(kind="person", name=STRANGE, because=STRANGE)
    home.decide("first version", "1", NAME, by)
    home.blocked("2", "1", STRANGE, NAME)
    aside = {"name": STRANGE, "stamp": "", "content": "", "reading": "", "reason": STRANGE}
    file = {
        "name": f"{STRANGE}/x.csv",
        "named": "x",
        "stamp": "",
        "content": STRANGE,
        "rows": 1,
        "documents": 1,
        "labels": 1,
        "quarantined": {STRANGE: 1},
    }
    home.landed(NAME, set_aside=[aside], files=[{"number": 0, **file}], counts={"quarantined": {STRANGE: 1}})


def addresses(home: Home) -> list[tuple[str, dict[str, object]]]:
    runs = [run.info.run_id for run in home.client.search_runs([home.client.get_experiment_by_name("ulmfit-tickets").experiment_id])]
    of_model = [(page, {"name": NAME, "version": version}) for page in ("/model",) for version in ("1", "2")]
    of_runs = [("/run", {"id": run}) for run in runs]
    return [
        ("/", {}),
        ("/models", {}),
        *of_model,
        ("/runs", {"parts": True, "text": ""}),
        ("/runs", {"text": STRANGE}),
        *of_runs,
        ("/compare", {"run": runs}),
        ("/cost", {}),
        ("/data", {"name": NAME}),
        ("/files", {"name": NAME, "text": STRANGE[:200]}),
        ("/lineage", {"name": NAME, "version": "1"}),
        ("/readers", {"file": STRANGE}),
        ("/studies", {}),
        ("/nothing", {}),
    ]


def test_no_page_has_an_element_an_attribute_or_an_address_that_people_wrote(hostile: Home) -> None:
    with hostile.looking(read=False) as client:
        for address, query in addresses(hostile):
            source = client.get(address, params=query).text
            page, elements = Page(source), Elements(source).found
            assert not [
                attributes for tag, attributes in elements if tag == "script" and not str(attributes.get("src")).startswith("/static/")
            ]
            assert not [tag for tag, _ in elements if tag in ("img", "b", "iframe", "object", "style")]
            assert not [name for _, attributes in elements for name in attributes if name.startswith("on") or name == "style"]
            strange = [target for _, target in page.targets if not target.startswith(("/", "#"))]
            assert strange == [], address
            assert not re.search("[\x00-\x08\x0b-\x1f\x7f\u202a-\u202e\u2066-\u2069]", source), address
            assert "49" not in re.findall(r"a & b <b>(\S+)", page.text)


def test_it_can_be_read_where_it_is_shown(hostile: Home) -> None:
    with hostile.looking(read=False) as client:
        texts = [Page(client.get(address, params=query).text).text for address, query in addresses(hostile)]
    assert sum("<script>alert(1)</script>" in text for text in texts) >= 6
    assert "␛[31m" in texts[0] and "⟨RIGHT-TO-LEFT OVERRIDE⟩" in texts[0]


def test_links_to_a_model_lead_to_it_whatever_it_is_called(hostile: Home) -> None:
    with hostile.looking(read=False) as client:
        (target, *_) = [target for _, target in Page(client.get("/models").text).targets if target.startswith("/model?")]
        assert client.get(target).status_code == 200
        assert plain(NAME) in Page(client.get(target).text).text


def test_feed_and_figures_are_well_formed(hostile: Home) -> None:
    from prometheus_client.parser import text_string_to_metric_families

    with hostile.looking(read=False) as client:
        assert "␛[31m" in "".join(ElementTree.fromstring(client.get("/feed.atom").content).itertext())
        samples = [sample for family in text_string_to_metric_families(client.get("/metrics").text) for sample in family.samples]
        assert NAME in {sample.labels.get("model") for sample in samples}
        assert client.get("/api/v1/now").headers["content-type"] == "application/json"


@pytest.mark.parametrize("text", ["", "plain", "Ünïcode ẞ 文 😀 עברית", "tab\tand\nline"])
def test_ordinary_text_stays_as_it_is(text: str) -> None:
    assert plain(text) == text


def test_a_link_out_of_the_reports_is_not_made_by_a_summary(home: Home) -> None:
    home.workspace.store.make(Recipe("model", 1, {}, {}), lambda work: Built({}))
    home.version(NAME)
    write_bytes(home.workspace.reports / "a" / "summary.json", b'{"model": {"name": "../../..", "version": "1"}, "run": {"id": "../x"}}')
    write_bytes(home.workspace.reports / "b" / "summary.json", b"[]")
    with home.looking() as client:
        assert client.get("/report", params={"name": "../../..", "version": "1"}).status_code == 404
