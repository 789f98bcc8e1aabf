import json
import re
from dataclasses import replace
from html.parser import HTMLParser

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from ulmfit.config import EvaluateConfig
from ulmfit.corpora.quality.findings import Findings, SplitCounts
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.corpora.quality.summary import describe
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation import baseline
from ulmfit.evaluation.predictions import HeldOut, Predictions
from ulmfit.evaluation.results import Results, evaluate
from ulmfit.presets import tiny
from ulmfit.report import lineage_graph, plots
from ulmfit.report.page import (
    MATRIX_LABELS,
    below,
    commands_of,
    finite,
    flatten,
    lengths_of,
    matrix_of,
    quality_table,
    render,
    result_table,
    systems_of,
    training_of,
    verdict,
)
from ulmfit.report.summary import Summary

VOID = {"meta", "link", "br", "img", "input", "hr", "use", "path", "rect"}


class Page(HTMLParser):
    """The page's ids, links, text by tag; fails where tags do not close in order."""

    def __init__(self, source):
        super().__init__()
        self.source, self.tags, self.ids, self.targets, self.words = source, [], [], [], []
        self.open: list[str] = []
        self.feed(source)
        assert self.open == []

    def handle_starttag(self, tag, attributes):
        self.take(tag, attributes)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attributes):
        self.take(tag, attributes)

    def take(self, tag, attributes):
        self.tags.append(tag)
        values = dict(attributes)
        assert not any(name.startswith("on") for name in values)
        if "id" in values:
            self.ids.append(values["id"])
        self.targets += [
            (tag, value) for name, value in attributes if name in ("src", "href", "xlink:href", "action", "data", "srcset", "poster")
        ]

    def handle_endtag(self, tag):
        if tag not in VOID:
            assert self.open.pop() == tag, self.getpos()

    def handle_data(self, data):
        if self.open[-1:] != ["style"]:
            self.words.append(data)

    @property
    def text(self):
        return " ".join(" ".join(self.words).split())


def results_of(labels=("bad", "good"), with_baseline=True, text="a text"):
    generator = np.random.default_rng(0)
    n = len(labels)
    truth = generator.permutation(np.arange(40 * n) % n)

    def shares(skill):
        values = np.exp(generator.normal(size=(40 * n, n)) + skill * np.eye(n)[truth])
        return values / values.sum(1, keepdims=True)

    systems = {"forward": shares(2.5), "backward": shares(2.5)}
    systems[ENSEMBLE] = (systems["forward"] + systems["backward"]) / 2
    before = dict(systems)
    if with_baseline:
        systems[baseline.NAME] = shares(0.5)
    texts = [f"{text} {row}" for row in range(40 * n)]
    documents = HeldOut([str(row) for row in range(40 * n)], texts, truth, labels)
    predictions = {name: Predictions(shares, before.get(name)) for name, shares in systems.items()}
    return evaluate(predictions, documents, EvaluateConfig(bootstrap=40, mistakes=8)).model_dump()


def results_of_several(labels=("art", "sport", "town"), text="a text"):
    generator = np.random.default_rng(0)
    truth = generator.random((90, len(labels))) < 0.4
    shares = lambda skill: 1 / (1 + np.exp(-generator.normal(size=truth.shape) - skill * (truth - 0.5)))
    systems = {"forward": shares(4), "backward": shares(4), ENSEMBLE: shares(5), baseline.NAME: shares(1)}
    documents = HeldOut([str(row) for row in range(90)], [f"{text} {row}" for row in range(90)], truth, labels)
    predictions = {name: Predictions(shares) for name, shares in systems.items()}
    return evaluate(predictions, documents, EvaluateConfig(bootstrap=40, mistakes=8)).model_dump()


def history(classifier):
    points = []
    for step in range(10, 101, 10):
        points += [{"step": step, "name": "train_loss", "value": 5 / step}, {"step": step, "name": "lr", "value": step / 1000}]
    points.append({"step": 100, "name": "valid_loss", "value": 0.5})
    return [*points, {"step": 100, "name": "valid_accuracy", "value": 0.8}] if classifier else points


def stage(name, cached, **inputs):
    kind, _, direction = name.partition("-")
    record = {"valid_perplexity": 55.5, "steps": 100} if "tune" in name or "train" in name else {"valid_accuracy": 0.8, "steps": 100}
    return {
        "name": name,
        "stage": kind,
        "direction": direction or None,
        "corpus": "domain",
        "kind": "artifact",
        "key": f"key-of-{name}",
        "run_id": f"run-of-{name}",
        "seconds": 12.3,
        "bytes": 45_600,
        "cached": cached,
        "inputs": {role: f"key-of-{source}" for role, source in inputs.items()},
        "record": record,
    }


def corpus(name, labels, text):
    held = {
        "documents": 100,
        "characters": 12_345,
        "parts": ["train-00000.parquet"],
        "labels": {label: 100 // len(labels) for label in labels},
    }
    empty = {"documents": 0, "characters": 0, "parts": [], "labels": {}}
    return {
        "key": f"key-of-{name}",
        "name": name,
        "digest": "d1935" * 12,
        "labels": list(labels),
        "splits": {"train": held, "valid": held, "test": held, "unlabelled": empty},
        "quarantined": {"no label": 7, f"{text} reason": 2},
        "duplicates": 31,
        "overlap_removed": 17,
        "warnings": [f"{text} warning"],
        "source": f"{text}.csv",
        "settings": {},
    }


def quality_of_corpus(labels=("bad", "good"), text="a text", **found):
    """A ``quality.json`` as ingest makes it, of 1,000 documents, 600 of them in train; ``found`` counts what was met."""
    counts = {name: found.get(name, 0) for name in ("duplicates", "folded_duplicates", "conflicting_labels", "with_nul")}
    held = SplitCounts(600, 60_000, dict.fromkeys(labels, 600 // len(labels)), 600 // len(labels) * len(labels), [0, 0, 100, 400, 0, 100])
    measured = {name: found[name] for name in ("html", "tags", "line_breaks", "entities", "broken") if name in found}
    merged = Measurements(documents=1000, characters=98_765, sampled=64, languages={"en": 59, "fr": 3}, **measured)
    findings = Findings(
        rows=1009,
        quarantined={"no label": 7, f"{text} reason": 2},
        documents={"train": 700, "test": 200},
        overlap={"train/test": 40},
        **counts,
    )
    known = describe(merged, findings, {"train": held, "test": replace(held, lengths=[0, 0, 100])}).model_dump(mode="json")
    return known | {"out_of_vocabulary": {"tokens": 5000, "unknown": 250, "share": 0.05, "most_frequent": [[text, 30], ["zyx", 4]]}}


ALL_CURVES = [f"{kind}-{direction}" for kind in ("pretrain", "finetune", "classify", "scratch") for direction in ("forward", "backward")]


def summary_of(labels=("bad", "good"), with_baseline=True, text="a text", registered=True, curves=()):
    """A summary as a flow makes it, of few stages; ``text`` stands in all places that users fill, ``curves`` name the histories."""
    stages = [stage("ingest", True), stage("encode", True, corpus="ingest")]
    for direction in ("forward", "backward"):
        stages += [
            stage(f"pretrain-{direction}", True, ids="elsewhere"),
            stage(f"finetune-{direction}", False, language_model=f"pretrain-{direction}", ids="encode"),
            stage(f"classify-{direction}", False, language_model=f"finetune-{direction}", corpus="ingest", ids="encode"),
        ]
    stages.append(stage("average", False, forward="classify-forward", backward="classify-backward"))
    model = {"name": "ulmfit-x", "version": "3", "uri": "models:/ulmfit-x/3", "alias": "challenger"} if registered else {}
    return {
        "name": text,
        "corpus": corpus("reviews", labels, text),
        "general": corpus("wiki", ("unused",), text) | {"labels": []},
        "results": results_of(labels, with_baseline, text),
        "histories": {name: history("classify" in name or "scratch" in name) for name in curves},
        "lr_finders": {},
        "stages": stages,
        "settings": tiny().model_dump(mode="json"),
        "model": model | {"path": "/models/one"},
        "run": {
            "id": "0123456789abcdef",
            "experiment": "1",
            "tracking_uri": "sqlite:////w/mlflow.db",
            "started": "2025-01-02T03:04:05Z",
            "seconds": 3725.0,
            "device": "cpu",
            "workspace": "/my work",
            "versions": {"torch": "2.9.0"},
        },
    }


def stages_of(summary):
    return Summary.model_validate(summary).stages


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
    told = [
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
        summary["results"]["mistakes"][0]["text"],
    ]
    assert [item for item in told if item not in page.text] == []


def test_splits_are_told_in_their_order(tmp_path):
    changed = summary_of()
    changed["corpus"]["splits"] = dict(sorted(changed["corpus"]["splits"].items()))  # as a manifest is read back
    text = page_of(changed, tmp_path).text
    assert "train 100 12,345 valid 100 12,345 test 100 12,345" in text and "Share of train train valid test" in text


def test_the_quality_of_a_corpus_is_drawn(tmp_path):
    changed = summary_of()
    changed["corpus"]["quality"] = quality_of_corpus(duplicates=3, folded_duplicates=31, html=500, line_breaks=499, entities=1)
    shown = page_of(changed, tmp_path)
    told = [
        "Rows set aside 7 no label, 2 a text reason 9 1,009 rows 0.9%",
        "Exact duplicates 3 1,000 documents 0.3%",
        "Duplicates but for case and spaces 31 1,000 documents 3.1%",
        "In train and test 40 200 documents of test 20.0%",
        "HTML in the text 500 1,000 documents 50.0%",
        "HTML entities 1 1,000 documents 0.1%",
        "Tokens outside the vocabulary most often: a text, zyx 250 5,000 tokens 5.0%",
        "Language en , at a guess 59 62 sampled documents 95.2%",
        "The language of 2 of the 64 sampled documents could not be told.",
        "Looked for and not found: Texts with several labels · HTML tags other than <br> · Broken encoding · NUL characters.",
        "2 labels, the largest 1.0 times the smallest in train",
        "4 8 16 32 Documents by length",
        "Half are shorter than 16, nine in ten than 64.",
    ]
    assert [item for item in told if item not in shown.text] == []
    assert shown.source.count('class="lengths"') == 1 and "height:50.0%" in shown.source and "height:100.0%" in shown.source
    assert shown.text.count("Rows set aside") == 2  # the general corpus has no quality.json, and shows its plain facts


def test_a_corpus_without_a_document_has_a_quality_too(tmp_path):
    changed = summary_of()
    changed["general"]["quality"] = describe(Measurements(), Findings(), {}).model_dump(mode="json")
    shown = page_of(changed, tmp_path)
    assert "Looked for and not found: Rows set aside" in shown.text and 'class="lengths"' not in shown.source
    Console(file=open("/dev/null", "w")).print(quality_table(changed["general"]["quality"]))  # noqa: SIM115


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
    changed["stages"][0]["name"] = text
    changed["histories"][f"{text}-forward"] = history(True)
    changed["settings"]["text"]["lang"] = text
    changed["run"]["tracking_uri"] = "javascript:alert(1)"
    changed["corpus"]["quality"] = quality_of_corpus((text, "good", "<b>"), text)
    changed["corpus"]["quality"]["languages"]["guessed"][text] = {"documents": 1, "of": 1, "share": 1.0}
    page = page_of(changed, tmp_path)
    assert "script" not in page.tags and "b" not in page.tags
    assert not any(target.startswith("javascript") for _, target in page.targets)
    assert "<script>alert(1)</script>" in page.text and "{{ 1 + 1 }}" in page.text


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
    render(Summary.from_json((tmp_path / "summary.json").read_text()), again)
    assert (again / "report.html").read_text() == (tmp_path / "report.html").read_text()


def test_many_labels_are_told_by_their_confusions(tmp_path):
    page = page_of(summary_of(labels=[f"label {i:02d}" for i in range(30)]), tmp_path)
    assert 'class="matrix' not in page.source
    assert "commonest confusions" in page.text and "label 29" in page.text


@pytest.mark.parametrize("name", ["forward", baseline.NAME])
def test_calibration_errors_are_shown(page, summary, name):
    error = summary["results"]["calibration"]["systems"][name]
    before = "–" if error["before"] is None else f"{100 * error['before']:.1f}%"
    assert f"{name} {before} {100 * error['after']:.1f}%" in page.text
    drawn = re.search(r'aria-label="forward\+backward, share of predictions that are right by sureness. ([^"]*)"', page.source)
    assert drawn and "before: " in drawn[1] and "after: " in drawn[1]


def test_several_labels_have_a_table_in_place_of_the_matrix(tmp_path):
    text = "<b>a text</b>"
    changed = summary_of(labels=("art", "sport", text), text=text) | {"results": results_of_several(("art", "sport", text), text)}
    changed["corpus"] |= {"labels": ["art|sport", text, "|"], "label_names": ["art", "sport", text]}
    page = page_of(changed, tmp_path)
    row = changed["results"]["per_label"][1]
    shares = " ".join(f"{100 * row[name]:.1f}%" for name in ("precision", "recall", "f1"))
    scores = changed["results"]["systems"][ENSEMBLE]
    told = [
        f"sport {row['documents']} {row['predicted']} {shares}",
        f"All labels right, {ENSEMBLE} {100 * scores['accuracy']['value']:.1f}%",
        f"{100 * scores['micro_f1']['value']:.1f}%",
        "Micro-F1",
        "3 labels",
    ]
    assert [item for item in told if item not in page.text] == []
    assert "labels" in page.ids and "confusion" not in page.ids and "b" not in page.tags and 'class="matrix' not in page.source
    assert "art|sport" not in page.text, "labels are shown one by one"
    item = changed["results"]["mistakes"][0]
    assert f"said {', '.join(item['predicted']) or 'no label'} with" in page.text
    console = Console(width=80, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(result_table(Results.model_validate(changed["results"])))
    printed = console.export_text()
    assert "micro-F1" in printed and "all labels right" in " ".join(printed.split()) and "…" not in printed


def test_without_a_baseline_registry_or_curves(tmp_path):
    changed = summary_of(with_baseline=False, registered=False) | {"general": None, "histories": {}}
    page = page_of(changed, tmp_path)
    assert "There is no baseline" in page.text and baseline.NAME not in page.text
    assert "ulmfit predict /models/one --text" in page.text
    assert "training" not in page.ids


@pytest.mark.parametrize("width", [80, 150])
@pytest.mark.parametrize("with_baseline", [True, False])
def test_the_table_prints_whole(width, with_baseline):
    results = results_of(with_baseline=with_baseline)
    results["systems"]["forward"]["roc_auc"] = {"value": float("nan"), "low": None, "high": None}
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(result_table(Results.model_validate(results)))
    printed = console.export_text()
    accuracy = results["systems"][ENSEMBLE]["accuracy"]
    assert f"{100 * accuracy['value']:.1f}%" in printed and f"[{100 * accuracy['low']:.1f}, {100 * accuracy['high']:.1f}]" in printed
    assert ENSEMBLE in printed and "…" not in printed and "nan" not in printed
    assert ("logistic" in printed) is with_baseline


@pytest.mark.parametrize("width", [80, 150])
def test_the_quality_prints_whole(width):
    labels = [f"label {i}" for i in range(20)]
    console = Console(width=width, record=True, file=open("/dev/null", "w"))  # noqa: SIM115
    console.print(quality_table(quality_of_corpus(labels, "[bold]", broken=2, html=1)))
    printed = " ".join(console.export_text().split())
    told = [
        "1,000 usable documents of 98,765 characters",
        "Rows set aside 9 0.9%",
        "In train and test 40 20.0%",
        "Broken encoding 2 0.2%",
        "Tokens outside the vocabulary 250 5.0%",
        "Shorter than 16 characters 600 85.7% Shorter than 64 characters 700 100.0%",
        "Language en, of 62 sampled 59 95.2% Language fr, of 62 sampled 3 4.8%",
        "Label label 4 in train 30 5.0% 14 other labels 420 70.0% Label label 19 in train 30 5.0%",
    ]
    assert [item for item in told if item not in printed] == [] and "…" not in printed


def test_lengths_are_of_all_splits_and_without_empty_ends():
    bins = lengths_of({"splits": {"train": {"lengths": [0, 3, 0, 1]}, "test": {"lengths": [0, 2]}, "valid": {"lengths": []}}})
    assert bins == {2: 5, 4: 0, 8: 1}
    assert (below(bins, 0.5), below(bins, 5 / 6), below(bins, 0.9)) == (4, 4, 16)
    assert lengths_of({"splits": {"train": {"lengths": [0, 0]}}}) == {} == lengths_of({"splits": {}})


@pytest.mark.parametrize(
    ("low", "value", "high", "tone", "told"),
    [
        (0.01, 0.02, 0.03, "better", "by 2.0 points (1.0 to 3.0)"),
        (-0.03, -0.02, -0.01, "worse", "by 2.0 points (1.0 to 3.0)"),
        (-0.01, 0.002, 0.02, "unsure", "+0.2 points (−1.0 to +2.0)"),
        (0.0, 0.0, 0.0, "unsure", "+0.0 points"),
        (None, 0.0, None, "alone", "no baseline"),
    ],
)
def test_the_verdict_goes_by_the_interval(low, value, high, tone, told):
    found, sentence = verdict({"headline": "x", "differences": {"x": {"value": value, "low": low, "high": high}}})
    assert found == tone and told in sentence


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_whiskers_stay_on_their_axis(estimates):
    systems = {str(i): {"accuracy": dict(zip(("low", "value", "high"), sorted(item), strict=True))} for i, item in enumerate(estimates)}
    for system in systems_of({"systems": systems, "differences": {}, "headline": "0", "baseline": None}):
        places = system["whisker"]
        assert -0.01 <= places["low"] <= places["value"] <= places["high"] <= 100.01


def test_recall_precision_and_confusions():
    results = {"labels": ["a", "b", "c"], "confusion": [[6, 4, 0], [1, 9, 0], [0, 0, 0]]}
    matrix = matrix_of(results)
    assert [row["recall"] for row in matrix["rows"]] == [0.6, 0.9, None]
    assert [row["precision"] for row in matrix["rows"]] == [pytest.approx(6 / 7), pytest.approx(9 / 13), None]
    assert matrix["pairs"] == [(4, 0.4, "a", "b"), (1, 0.1, "b", "a")]
    assert matrix["whole"] and MATRIX_LABELS >= 3


def test_training_is_told_by_kind_and_direction():
    stages = [stage("classify-forward", False), stage("classify-backward", False)]
    shown = training_of({"classify-forward": history(True), "classify-backward": history(True), "pretrain-forward": []}, stages, {})
    assert [item["title"] for item in shown] == ["Classifier"]
    assert shown[0]["directions"] == ["forward", "backward"]
    assert ("validation accuracy", ["80.0%", "80.0%"]) in shown[0]["figures"]
    assert len(shown[0]["plots"]) == 3 and "backward validation: 0.8 at step 100" in shown[0]["plots"][1]


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


def test_a_range_test_shows_the_suggestion_and_the_rate_used(monkeypatch):
    figures = []
    monkeypatch.setattr(plots, "_themed", lambda figure, description: figures.append(figure) or description)
    plots.range_svg("Classifier", {"forward": trial(0.01), "backward": trial(None)})
    axes = figures[0].axes[0]
    assert axes.get_xscale() == "log"
    lines = [(list(line.get_xdata()), list(line.get_ydata())) for line in axes.lines]
    curve, used = ([0.001, 0.01, 0.1, 1.0], [2.0, 1.5, 1.0, 4.0]), ([0.02, 0.02], [0, 1])
    assert lines == [curve, used, ([0.01], [1.5]), curve, used]
    assert plots.range_svg("Classifier", {}) == ""


def test_a_curve_of_one_point_is_seen():
    one = plots.rate_svg("Classifier", {"forward": [{"step": 6, "name": "lr", "value": 0.01}]})
    assert "<use" in one  # its marker


def test_long_curves_are_thinned_and_keep_their_end():
    points = [{"step": step, "name": "lr", "value": float(step)} for step in range(10_001)]
    steps, values = plots.curves_of(points)["lr"]
    assert len(steps) == len(values) <= plots.MAX_POINTS + 1 and (steps[0], steps[-1]) == (0, 10_000)


def test_the_lineage_shows_every_artifact_and_mermaid_every_input(summary):
    stages = stages_of(summary)
    drawn, text = lineage_graph.lineage_svg(stages), lineage_graph.mermaid(stages)
    Page(drawn)
    for name in [item.name for item in stages]:
        assert f">{name}</text>" in drawn and f'"{name}<br/>' in text
    assert "given" in drawn  # what no stage of this run made
    assert text.count("-->") == sum(len(item.inputs) for item in stages)


def test_boxes_of_the_lineage_do_not_overlap(summary):
    boxes = [
        tuple(map(float, box)) for box in re.findall(r'<rect x="([\d.-]+)" y="([\d.]+)"', lineage_graph.lineage_svg(stages_of(summary)))
    ]
    assert len(boxes) == len(summary["stages"]) + 1
    for i, (x, y) in enumerate(boxes):
        assert x >= 0
        assert all(y != other_y or abs(x - other_x) >= lineage_graph.NODE_WIDTH for other_x, other_y in boxes[:i])


def test_settings_are_shown_as_they_are_set():
    rows = dict(flatten({"a": {"b": [0.7, 0.99], "c": None}, "d": "en", "e": True}))
    assert rows == {"a.b": "[0.7, 0.99]", "a.c": "null", "d": "en", "e": "true"}


def test_commands_of_a_model_that_is_not_registered():
    commands = dict(commands_of({"path": "/my models/x"}, {"tracking_uri": "http://tracking"}))
    assert commands["Classify a text"] == "ulmfit predict '/my models/x' --text 'A text to classify.'"
    assert list(commands) == ["Classify a text", "From Python"]


def test_finite_keeps_what_json_can_hold():
    assert finite({1: (1.5, float("-inf")), "x": [True, None, "nan"]}) == {"1": [1.5, None], "x": [True, None, "nan"]}
