"""The report of a study: answer, curves, tables, criteria, what was run; one file for people, the rest for programs."""

import csv
import json

import pytest

from tests.experiments.study import LABELS, by_choice, grid, texts, trial
from tests.report.example import Page
from ulmfit.experiments.ablations import FORGETTING, VARIANTS
from ulmfit.presets import tiny
from ulmfit.report.study_page import render_study
from ulmfit.report.study_summary import StudyCorpus, StudySummary
from ulmfit.report.study_views import criteria_of, label_chart, lines_of
from ulmfit.report.summary import RunSummary
from ulmfit.report.suspect_list import ShownSuspect, SuspectList

STRANGE = "<script>alert(1)</script> & 'x'"


def summary_of(results, uri="sqlite:////my work/mlflow.db", **changed):
    names = dict.fromkeys(result.trial.point.corpus for result in results)
    corpora = [StudyCorpus(name=name, key="k", digest="d" * 64, labels=("a", "b"), splits={"train": 900, "test": 500}) for name in names]
    run = RunSummary(
        id="run-1", experiment="3", tracking_uri=uri, started="2026-01-02T03:04:05Z", seconds=90, device="cpu", workspace="/w", versions={"torch": "2.13"}
    )  # fmt: skip
    facts = {
        "kind": "data-quantity",
        "asked": {"labels": "50,100"},
        "made": 7,
        "found": 2,
        "busy": 60.0,
        "slots": 2,
        "machine": "EPYC, 2 cores",
    }
    return StudySummary(**{**facts, "corpora": corpora, "results": results, "settings": tiny(), "run": run, **changed})


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("study")
    render_study(summary_of([*grid(), *texts(labels=400)], changed=3), made)
    return made


def test_the_page_tells_the_study(folder):
    page = Page((folder / "report.html").read_text())
    sections = ["answer", "corpus-1", "criteria", "run", "trials"]
    assert [name for name in page.ids if name in sections] == sections and len(set(page.ids)) == len(page.ids)
    expected = ["With 50 labels ULMFiT is right on", "more labels:", "TF-IDF + logistic regression", "NB-SVM", "61.0%", "[58.5, 63.5]"]
    expected += ["EPYC, 2 cores", "torch", "mlflow ui --backend-store-uri 'sqlite:////my work/mlflow.db'", "66 trials", "forward+backward"]
    assert [item for item in expected if item not in page.text] == []
    assert page.source.count("<figure>") == 2 == page.source.count('role="img"')
    assert "var(--series-1)" in page.source and "#0103" not in page.source, "figures have the page's colours"


def test_the_page_loads_nothing(folder):
    page = Page((folder / "report.html").read_text())
    assert all(value.startswith(("#", "data:")) for _, value in page.targets)


def test_all_trials_are_rows(folder):
    rows = list(csv.DictReader((folder / "trials.csv").read_text().splitlines()))
    assert len(rows) == 66 and {row["method"] for row in rows} == {"ulmfit", "scratch", "tfidf", "nbsvm"}
    first = rows[0]
    assert (first["corpus"], first["regime"], first["labels"], first["accuracy"], first["roc_auc"]) == (
        "trec-6",
        "general+domain",
        "50",
        "0.6",
        "",
    )
    assert json.loads((folder / "summary.json").read_text())["results"][0]["labels"] == 50


def test_figures_are_files(folder):
    assert sorted(path.name for path in folder.glob("*.png")) == ["labels-trec-6.png", "text-trec-6.png"]
    assert (folder / "labels-trec-6.svg").read_text().rstrip().endswith("</svg>")


def test_an_ablation_stands_beside_the_paper(tmp_path):
    results = [
        trial(0.9 - 0.01 * at, 0, 500, variant=name, method=one.method, regime=one.regime, options=one.options)
        for at, (name, one) in enumerate(VARIANTS.items())
    ]
    render_study(summary_of(results, kind="ablation"), tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    for table in ("Table 4: Pretraining", "Table 7: Fine-tuning of the classifier", "16.09%", "5.69%", "10.0%", "+10.4", "+9.0"):
        assert table in page.text
    assert "With 500 labels the whole method is wrong on 10.0% of the documents." in page.text and "ULMFiT is right" not in page.text
    assert (tmp_path / "epochs-trec-6.png").exists() and FORGETTING in {result.trial.point.variant for result in results}


def test_names_of_the_user_are_text(tmp_path):
    render_study(summary_of([trial(0.5, corpus=STRANGE), trial(0.6, labels=100, corpus=STRANGE)]), tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert "<script" not in page.source and STRANGE in page.text
    assert all(path.parent == tmp_path for path in tmp_path.rglob("*"))


def test_several_corpora_and_runs_on_a_server(tmp_path):
    render_study(summary_of([*grid("one"), *grid("two")], uri="https://mlflow.example/", kind="benchmark"), tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert ("a", "https://mlflow.example/#/experiments/3/runs/run-1") in page.targets
    assert "2 of 2 corpora" in page.text and "0 of 2 corpora" in page.text


def test_one_point_of_one_trial(tmp_path):
    render_study(summary_of([trial(0.5)]), tmp_path)
    assert "<figure>" not in (tmp_path / "report.html").read_text() and not list(tmp_path.glob("*.png"))


def test_what_counts_in_practice():
    ours, _, tfidf, _ = criteria_of(summary_of(grid(), changed=3))
    assert (ours.few_labels, ours.settings, ours.seconds, ours.documents_per_second) == (100, 3, 2.0, 1000.0)
    assert ours.per_doubling == pytest.approx(0.05) and ours.few.value == pytest.approx(0.66)
    assert (ours.breadth, tfidf.breadth) == ("1 of 1", "0 of 1")


def test_the_whole_method_stands_for_ours_also_where_a_variant_of_an_ablation_is_better():
    better = trial(0.9, labels=100, variant="freez", method="ulmfit", regime="general+domain")
    (ours,) = criteria_of(summary_of([trial(0.8, labels=100, variant="ULMFiT", method="ulmfit", regime="general+domain"), better]))
    assert ours.few.value == 0.8
    (ours,) = criteria_of(summary_of([better, trial(0.8, labels=100, variant="full", method="ulmfit", regime="general+domain")]))
    assert ours.few.value == 0.9, "of settings that are varied the best"


def test_lines_that_a_figure_shows_look_different():
    chart = label_chart("c", lines_of(summary_of([*grid(), *texts(labels=50)]).means))
    assert len({series.look for series in chart.series}) == len(chart.series) == 7
    assert not any("500 unlabelled" in series.title for series in chart.series), "of many lines those with the least text and the most"
    assert [point.labels for point in lines_of(summary_of(grid()).means)[0].points] == list(LABELS)


def test_a_curve_by_choice_stands_beside_that_by_chance_and_is_no_part_of_what_is_said_of_that(tmp_path):
    summary, drawn = summary_of([*grid(), *by_choice()]), summary_of(grid())
    render_study(summary, tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert "What 400 labels drawn at random reach, 66.0%" in page.text and "reaches with" in page.text
    line = next(line for line in lines_of(summary.means) if "chosen labels" in line.title)
    assert [point.labels for point in line.points] == list(LABELS), "it begins where the random one does"
    assert criteria_of(summary) == criteria_of(drawn)
    assert (tmp_path / "trials.csv").read_text().count(",choice\n") == 9


def suspects(text=STRANGE):
    one = ShownSuspect(id="<b>.csv:7", label="<i>ham", suggested="spam", score=0.9, text=text)
    return SuspectList(method="ULMFiT", rows=500, number=3, first=(one,))


def test_suspects_of_a_corpus_are_shown_as_text_where_there_is_a_list(tmp_path):
    summary = summary_of([trial(0.5)])
    corpora = [summary.corpora[0].model_copy(update={"suspects": suspects()})]
    render_study(summary.model_copy(update={"corpora": corpora}), tmp_path)
    page = Page((tmp_path / "report.html").read_text())
    assert "3 labels of 500 rows may be wrong" in page.text and STRANGE in page.text and "<b>.csv:7 <i>ham spam 0.90" in page.text
    assert "<script" not in page.source and "<i>ham" not in page.source
    (tmp_path / "without").mkdir()
    render_study(summary, tmp_path / "without")
    assert "may be wrong" not in (tmp_path / "without" / "report.html").read_text()
