import numpy as np
import pytest

from tests.evaluation.systems import CONFIG, NAMES, documents, predicted, several, systems
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation import baseline
from ulmfit.evaluation.calibration import expected_calibration_error
from ulmfit.evaluation.evaluate import EXCERPT, evaluate, excerpt, mistakes
from ulmfit.evaluation.predictions import HeldOut, Predictions
from ulmfit.evaluation.results import Results


@pytest.fixture
def results():
    labels, probabilities = systems()
    return evaluate(predicted(probabilities), documents(labels), CONFIG)


def test_every_system_is_scored_and_compared_with_the_baseline(results):
    assert set(results.systems) == {"forward", "backward", ENSEMBLE, baseline.NAME}
    assert set(results.differences) == {"forward", "backward", ENSEMBLE}
    assert (results.headline, results.baseline, results.documents) == (ENSEMBLE, baseline.NAME, 60)
    gap = results.systems[ENSEMBLE]["accuracy"].value - results.systems[baseline.NAME]["accuracy"].value
    assert results.differences[ENSEMBLE].value == pytest.approx(gap)


def test_the_confusion_matrix_is_that_of_the_headline(results):
    labels, probabilities = systems()
    matrix = np.array(results.confusion)
    assert matrix.sum() == 60
    assert np.trace(matrix) == (probabilities[ENSEMBLE].argmax(1) == labels).sum()
    assert matrix.sum(1).tolist() == np.bincount(labels, minlength=3).tolist()


def test_without_a_baseline_nothing_is_compared():
    labels, probabilities = systems()
    results = evaluate(predicted({"backward": probabilities["backward"]}), documents(labels), CONFIG)
    assert (results.headline, results.baseline, results.differences) == ("backward", None, {})


def test_the_surest_mistakes_come_first():
    labels, probabilities = systems()
    shares = probabilities["forward"]
    found = mistakes(Predictions(shares), documents(labels), most=5)
    wrong = np.flatnonzero(shares.argmax(1) != labels)
    assert [item.probability for item in found] == pytest.approx(sorted(shares.max(1)[wrong])[::-1][:5], abs=1e-4)
    for item in found:
        row = int(item.id.removeprefix("file.csv:"))
        assert item.text == f"text {row}"
        assert item.true == NAMES[labels[row]] != item.predicted == NAMES[shares[row].argmax()]


def test_ids_of_any_sequence_are_taken():
    labels, probabilities = systems()
    ids = np.arange(60).astype(str)
    results = evaluate(predicted(probabilities), HeldOut(ids, [""] * 60, labels, NAMES), CONFIG)
    assert len(results.mistakes) == 5


def test_no_mistakes_where_all_is_right():
    labels = np.array([0, 1, 2])
    assert mistakes(Predictions(np.eye(3)), documents(labels), most=5) == []


def test_an_excerpt_is_one_line_cut_at_a_word():
    assert excerpt("two\n lines") == "two lines"
    long = excerpt("word " * 200)
    assert len(long) <= EXCERPT + 2 and long.endswith("word …")
    assert excerpt("x" * 1000) == "x" * EXCERPT + " …"


def test_calibration_errors_are_told_before_and_after():
    labels, probabilities = systems(400)
    uncalibrated = {ENSEMBLE: probabilities[ENSEMBLE] ** 4 / (probabilities[ENSEMBLE] ** 4).sum(1, keepdims=True)}
    found = evaluate(predicted(probabilities, uncalibrated=uncalibrated), documents(labels), CONFIG).calibration
    assert set(found.systems) == set(probabilities) and found.systems["forward"].before is None
    after, before = (expected_calibration_error(of[ENSEMBLE], labels) for of in (probabilities, uncalibrated))
    assert (found.systems[ENSEMBLE].before, found.systems[ENSEMBLE].after) == (before, after)
    assert set(found.reliability) == {"before", "after"}
    assert sum(row.predictions for row in found.reliability["after"]) == 400


# ------------------------------------------------------------------------------------------------ any number of labels per document


def test_results_of_several_labels():
    truth, probabilities, thresholds = several()
    results = evaluate(predicted(probabilities, thresholds), documents(truth), CONFIG)
    assert Results.model_validate_json(results.to_json()) == results
    assert (results.task, results.confusion, results.documents) == ("multi-label", None, 60)
    for name, scores in results.systems.items():
        exact = ((probabilities[name] >= thresholds[name]) == truth).all(1).mean()
        assert list(scores) == ["accuracy", "micro_f1", "macro_f1", "roc_auc"] and scores["accuracy"].value == pytest.approx(exact)
    gap = results.systems["forward"]["accuracy"].value - results.systems[baseline.NAME]["accuracy"].value
    assert results.differences["forward"].value == pytest.approx(gap)
    assert [row.documents for row in results.per_label] == truth.sum(0).tolist()


def test_the_mistakes_with_the_most_wrong_labels_come_first():
    truth, probabilities, thresholds = several()
    shares, limits = probabilities["forward"].astype(float), thresholds["forward"]
    found = mistakes(Predictions(shares, thresholds=limits), documents(truth), 30)
    order = []
    for row in range(60):
        wrong = [i for i in range(3) if (shares[row, i] >= limits[i]) != truth[row, i]]
        if wrong:
            sure = np.mean([shares[row, i] if shares[row, i] >= limits[i] else 1 - shares[row, i] for i in wrong])
            order.append((-len(wrong), -sure, row))
    assert [item.id for item in found] == [f"file.csv:{row}" for *_, row in sorted(order)][:30]
    assert [item.probability for item in found] == pytest.approx([-sure for _, sure, _ in sorted(order)][:30], abs=1e-4)
    first = int(found[0].id.removeprefix("file.csv:"))
    assert found[0].true == [name for name, has in zip(NAMES, truth[first], strict=True) if has]
    assert found[0].predicted == [name for name, share, limit in zip(NAMES, shares[first], limits, strict=True) if share >= limit]
    assert mistakes(Predictions(truth.astype(float)), documents(truth), 5) == []
