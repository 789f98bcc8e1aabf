import json
import re

import pytest

from tests.report.example import ALL_CURVES, Page, history, quality_of_corpus, results_of_several, summary_of
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.corpora.quality.quality_record import Findings, describe
from ulmfit.decisions.decision import Author, Decision
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation import baseline
from ulmfit.evaluation.verdict import Verdict
from ulmfit.report import plots
from ulmfit.report.page import render
from ulmfit.report.summary import Summary


def page_of(summary, folder):
    render(Summary.model_validate(summary), folder)
    return Page((folder / "report.html").read_text())


@pytest.fixture(scope="module")
def summary():
    return summary_of(curves=ALL_CURVES)


@pytest.fixture(scope="module")
def page(summary, tmp_path_factory):
    return page_of(summary, tmp_path_factory.mktemp("report"))


def test_the_page_tells_all_of_the_run(page, summary):
    sections = ["results", "training", "confusion", "calibration", "mistakes", "data", "stages", "lineage", "use", "settings"]
    assert [name for name in page.ids if name in sections] == sections
    accuracy = summary["results"]["systems"][ENSEMBLE]["accuracy"]
    expected = [
        f"{100 * accuracy['value']:.1f}%",
        f"[{100 * accuracy['low']:.1f}, {100 * accuracy['high']:.1f}]",
        "The model is more accurate than the baseline",
        "7 no label",
        "a text warning",
        "ulmfit predict models:/ulmfit-x@challenger --text 'A text to classify.' --workspace '/my work'",
        "ulmfit lineage models:/ulmfit-x@challenger --workspace '/my work'",
        'TextClassifier.load("/models/one")',
        "max_gradient_tokens",
        "2.9.0",
        "1 h 2 min",
        "2 labels",
        "key-of-class",
        "55.5",
        "81.2%",
        "95.7%",
        "--abstain-below",
        summary["results"]["mistakes"][0]["text"],
    ]
    assert [item for item in expected if item not in page.text] == []


def test_splits_are_told_in_their_order(tmp_path):
    changed = summary_of()
    changed["corpus"]["splits"] = dict(sorted(changed["corpus"]["splits"].items()))  # as a manifest is read back
    text = page_of(changed, tmp_path).text
    assert "train 100 12,345 valid 100 12,345 test 100 12,345" in text and "Share of train train valid test" in text


def test_the_quality_of_a_corpus_is_drawn(tmp_path):
    changed = summary_of()
    changed["corpus"]["quality"] = quality_of_corpus(duplicates=3, folded_duplicates=31, html=500, line_breaks=499, entities=1)
    shown = page_of(changed, tmp_path)
    expected = [
        "Quarantined rows 7 no label, 2 a text reason 9 1,009 rows 0.9%",
        "Exact duplicates 3 1,000 documents 0.3%",
        "Duplicates except for case and spaces 31 1,000 documents 3.1%",
        "In train and test 40 200 documents of test 20.0%",
        "HTML in the text 500 1,000 documents 50.0%",
        "HTML entities 1 1,000 documents 0.1%",
        "Tokens outside the vocabulary most often: a text, zyx 250 5,000 tokens 5.0%",
        "Language en , guessed 59 62 sampled documents 95.2%",
        "The language of 2 of the 64 sampled documents is uncertain.",
        "Checked and not found: Texts with conflicting labels · HTML tags other than <br> · Broken encoding · NUL characters.",
        "2 labels, the largest 1.0 times the smallest in train",
        "4 8 16 32 Documents by length",
        "Half are shorter than 16, 90% are shorter than 64.",
    ]
    assert [item for item in expected if item not in shown.text] == []
    assert shown.source.count('class="lengths"') == 1 and "height:50.0%" in shown.source and "height:100.0%" in shown.source
    assert shown.text.count("Quarantined rows") == 2  # the general corpus has no quality.json, and shows its plain facts


def test_a_corpus_without_a_document_has_a_quality_too(tmp_path):
    changed = summary_of()
    changed["general"]["quality"] = describe(Measurements(), Findings(), {}).model_dump(mode="json")
    shown = page_of(changed, tmp_path)
    assert "Checked and not found: Quarantined rows" in shown.text and 'class="lengths"' not in shown.source


def test_links_within_the_page_lead_somewhere_and_ids_are_its_own(page):
    assert len(page.ids) == len(set(page.ids))
    assert {target[1:] for _, target in page.targets if target.startswith("#")} <= set(page.ids)


def test_the_page_loads_nothing_and_runs_nothing(page):
    assert "script" not in page.tags and "iframe" not in page.tags
    assert all(target.startswith(("#", "data:")) for _, target in page.targets)
    assert re.findall(r"@import|url\((?!['\"]?#)", page.source) == []
    assert "default-src 'none'" in page.source


def test_a_tracking_server_is_linked_to_but_not_loaded(summary, tmp_path):
    changed = summary | {"histories": {}, "run": summary["run"] | {"tracking_uri": "https://tracking.example/"}}
    page = page_of(changed, tmp_path)
    away = [(tag, target) for tag, target in page.targets if not target.startswith(("#", "data:"))]
    assert ("a", "https://tracking.example/#/experiments/1/runs/0123456789abcdef") in away
    assert {tag for tag, _ in away} == {"a"}


def test_colours_of_figures_are_the_pages(page):
    assert all(colour not in page.source for colour in plots.COLOURS.values())
    assert page.source.count('<svg class="plot"') == 2 * 2 + 2 * 3 + 1
    assert "var(--forward)" in page.source and "#ffffff;" not in "".join(re.findall(r'<svg class="plot".*?</svg>', page.source, re.DOTALL))


def test_hostile_texts_stay_texts(tmp_path):
    text = "<script>alert(1)</script>\"'&{{ 1 + 1 }}"
    changed = summary_of(labels=(text, "good", "<b>"), text=text)
    changed["stages"][0] |= {"name": text, "stage": text}
    changed["histories"][text] = history(True)
    changed["settings"]["text"]["lang"] = text
    changed["run"]["tracking_uri"] = "javascript:alert(1)"
    changed["corpus"]["quality"] = quality_of_corpus((text, "good", "<b>"), text)
    changed["corpus"]["quality"]["languages"]["guessed"][text] = {"documents": 1, "of": 1, "share": 1.0}
    page = page_of(changed, tmp_path)
    assert "script" not in page.tags and "b" not in page.tags
    assert not any(target.startswith("javascript") for _, target in page.targets)
    assert "<script>alert(1)</script>" in page.text and "{{ 1 + 1 }}" in page.text


def test_a_comparison_with_the_champion_is_told_as_text(tmp_path):
    held = Verdict(outcome="held", reasons=["The labels differ: only the champion has '<b>'."])
    decision = Decision.new("tickets", "compared", Author(kind="training"), version="3", champion="2", verdict=held)
    page = page_of(summary_of() | {"decision": decision.model_dump(mode="json")}, tmp_path)
    assert "Compared with the champion, version 2, this version is held: The labels differ: only the champion has '<b>'." in page.text
    assert "b" not in page.tags


def test_values_that_are_not_finite_become_null(tmp_path):
    changed = summary_of(curves=["classify-forward"])
    changed["results"]["systems"]["forward"]["roc_auc"] = {"value": float("nan"), "low": float("nan"), "high": float("inf")}
    changed["results"]["systems"]["backward"]["accuracy"] = {"value": float("nan"), "low": None, "high": None}
    changed["results"]["differences"][ENSEMBLE]["low"] = float("nan")
    changed["histories"]["classify-forward"][0]["value"] = float("nan")
    changed["stages"][0]["seconds"] = float("nan")
    page = page_of(changed, tmp_path)

    def refuse(constant):
        raise AssertionError(constant)

    saved = json.loads((tmp_path / "summary.json").read_text(), parse_constant=refuse)
    assert saved["results"]["systems"]["forward"]["roc_auc"] == {"value": None, "low": None, "high": None}
    assert "–" in page.text and "nan" not in page.text.lower()


def test_a_summary_renders_again_from_its_file(tmp_path):
    render(Summary.model_validate(summary_of(curves=["classify-forward"])), tmp_path)
    again = tmp_path / "again"
    render(Summary.model_validate_json((tmp_path / "summary.json").read_text()), again)
    assert (again / "report.html").read_text() == (tmp_path / "report.html").read_text()


def test_many_labels_are_told_by_their_confusions(tmp_path):
    page = page_of(summary_of(labels=[f"label {i:02d}" for i in range(30)]), tmp_path)
    assert 'class="matrix' not in page.source
    assert "most frequent confusions" in page.text and "label 29" in page.text


@pytest.mark.parametrize("name", ["forward", baseline.NAME])
def test_calibration_errors_are_shown(page, summary, name):
    error = summary["results"]["calibration"]["systems"][name]
    before = "–" if error["before"] is None else f"{100 * error['before']:.1f}%"
    assert f"{name} {before} {100 * error['after']:.1f}%" in page.text
    drawn = re.search(r'aria-label="forward\+backward, accuracy of predictions by their probability. ([^"]*)"', page.source)
    assert drawn and "before: " in drawn[1] and "after: " in drawn[1]


def test_several_labels_have_a_table_in_place_of_the_matrix(tmp_path):
    text = "<b>a text</b>"
    changed = summary_of(labels=("art", "sport", text), text=text) | {"results": results_of_several(("art", "sport", text), text)}
    changed["corpus"] |= {"labels": ["art|sport", text, "|"], "label_names": ["art", "sport", text]}
    page = page_of(changed, tmp_path)
    row = changed["results"]["per_label"][1]
    shares = " ".join(f"{100 * row[name]:.1f}%" for name in ("precision", "recall", "f1"))
    scores = changed["results"]["systems"][ENSEMBLE]
    expected = [
        f"sport {row['documents']} {row['predicted']} {shares}",
        f"All labels right, {ENSEMBLE} {100 * scores['accuracy']['value']:.1f}%",
        f"{100 * scores['micro_f1']['value']:.1f}%",
        "Micro-F1",
        "3 labels",
    ]
    assert [item for item in expected if item not in page.text] == []
    assert "labels" in page.ids and "confusion" not in page.ids and "b" not in page.tags and 'class="matrix' not in page.source
    assert "art|sport" not in page.text, "labels are shown one by one"
    item = changed["results"]["mistakes"][0]
    assert f"predicted {', '.join(item['predicted']) or 'no label'} with" in page.text


def test_without_a_baseline_registry_or_curves(tmp_path):
    changed = summary_of(with_baseline=False, registered=False) | {"general": None, "histories": {}}
    page = page_of(changed, tmp_path)
    assert "There is no baseline" in page.text and baseline.NAME not in page.text
    assert "ulmfit predict /models/one --text" in page.text
    assert "training" not in page.ids


def trial(suggestion):
    return {"rates": [0.001, 0.01, 0.1, 1.0], "losses": [2.0, 1.5, 1.0, 4.0], "suggestion": suggestion, "lr": 0.02}


def test_a_range_test_is_drawn_beside_the_curves_of_its_stage(tmp_path):
    changed = summary_of(curves=["finetune-forward", "finetune-backward", "classify-forward"])
    before = page_of(changed, tmp_path / "before")
    changed["lr_finders"] = {"finetune-forward": trial(0.01), "finetune-backward": trial(None)}
    changed["stages"][3]["record"]["lr_suggested"] = 0.01
    assert changed["stages"][3]["name"] == "finetune-forward"
    page = page_of(changed, tmp_path / "after")
    drawn = re.findall(r'<svg class="plot"[^>]*aria-label="([^"]*in a range test[^"]*)"', page.source)
    assert drawn == [
        "Language model, domain text, smoothed loss by learning rate in a range test. "
        "forward: 2 at 0.001, lowest 1 at 0.1; used 0.02, suggested 0.01; "
        "backward: 2 at 0.001, lowest 1 at 0.1; used 0.02, suggested none."
    ]
    assert page.source.count('<svg class="plot"') == before.source.count('<svg class="plot"') + 1
    assert "suggested learning rate" in page.text and "suggested learning rate" not in before.text
    assert len(page.ids) == len(set(page.ids))


def test_reasons_for_a_mistake_are_coloured_and_escaped(tmp_path):
    text = "<b>not</b> good"
    found = summary_of(text=text)
    (first,) = found["results"]["mistakes"]
    part = {"start": 0, "end": 10, "text": "<b>not</b>", "effect": 0.1, "forward": 0.3, "backward": -0.1}
    strange = {"perplexity": 5.0, "unknown": 0.5, "warning": "50% of the words are unknown: <i>far</i>"}
    own = {"text": text, "label": "good", "probability": 0.9, "directions": {"forward": 0.8, "backward": 1.0}}
    found["reasons"] = {first["id"]: {**own, "sentences": [part], "words": [part], "strange": strange}}
    page = page_of(found, tmp_path)
    assert "<b>" not in page.source and "<i>far" not in page.source and page.tags.count("mark") == 4  # three explain the colours
    assert f"{text} {strange['warning']}" in page.text
    assert 'class="apart"' in page.source or "class=apart" in page.source
