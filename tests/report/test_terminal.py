import pytest

from tests.report.example import printed as print_table
from tests.report.example import quality_of_corpus, results_of, results_of_several
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.corpora.quality.quality_record import Findings, describe
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation.results import Results
from ulmfit.report.corpus_quality import CorpusQuality
from ulmfit.report.terminal import quality_table, result_table


@pytest.mark.parametrize("width", [80, 150])
@pytest.mark.parametrize("with_baseline", [True, False])
def test_the_table_prints_whole(width, with_baseline):
    results = results_of(with_baseline=with_baseline)
    results["systems"]["forward"]["roc_auc"] = {"value": None, "low": None, "high": None}
    printed = print_table(result_table(Results.model_validate(results)), width)
    accuracy = results["systems"][ENSEMBLE]["accuracy"]
    assert f"{100 * accuracy['value']:.1f}%" in printed and f"[{100 * accuracy['low']:.1f}, {100 * accuracy['high']:.1f}]" in printed
    assert ENSEMBLE in printed and "…" not in printed and "nan" not in printed
    assert ("logistic" in printed) is with_baseline


@pytest.mark.parametrize("width", [80, 150])
def test_the_quality_prints_whole(width):
    labels = [f"label {i}" for i in range(20)]
    quality = CorpusQuality.model_validate(quality_of_corpus(labels, "[bold]", broken=2, html=1))
    printed = " ".join(print_table(quality_table(quality), width).split())
    expected = [
        "1,000 usable documents of 98,765 characters",
        "Quarantined rows 9 0.9%",
        "In train and test 40 20.0%",
        "Broken encoding 2 0.2%",
        "Tokens outside the vocabulary 250 5.0%",
        "Shorter than 16 characters 600 85.7% Shorter than 64 characters 700 100.0%",
        "Language en, of 62 sampled 59 95.2% Language fr, of 62 sampled 3 4.8%",
        "Label label 4 in train 30 5.0% 14 other labels 420 70.0% Label label 19 in train 30 5.0%",
    ]
    assert [item for item in expected if item not in printed] == [] and "…" not in printed


def test_the_quality_of_no_document_prints():
    quality = CorpusQuality.model_validate(describe(Measurements(), Findings(), {}).model_dump())
    assert "0 usable documents" in print_table(quality_table(quality), 80)


def test_scores_of_several_labels_print_whole():
    printed = print_table(result_table(Results.model_validate(results_of_several())), 80)
    assert "micro-F1" in printed and "all labels right" in " ".join(printed.split()) and "…" not in printed
