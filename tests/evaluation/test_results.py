import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from ulmfit.config import EvaluateConfig
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation import baseline
from ulmfit.evaluation.calibration import expected_calibration_error
from ulmfit.evaluation.results import EXCERPT, evaluate, excerpt, mistakes, write_predictions

CONFIG = EvaluateConfig(bootstrap=50, mistakes=5)
NAMES = ["bad", "good", "so so"]


def systems(n=60, seed=0):
    """True codes [n], and probabilities [n, 3] of four systems."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(3, size=n)

    def shares(skill):
        values = np.exp(generator.normal(size=(n, 3)) + skill * np.eye(3)[labels])
        return (values / values.sum(1, keepdims=True)).astype(np.float32)

    found = {"forward": shares(1.5), "backward": shares(1.5), baseline.NAME: shares(1.0)}
    return labels, found | {ENSEMBLE: (found["forward"] + found["backward"]) / 2}


@pytest.fixture
def results():
    labels, probabilities = systems()
    return evaluate(probabilities, labels, NAMES, [f"text {row}" for row in range(60)], CONFIG)


def test_every_system_is_scored_and_compared_with_the_baseline(results):
    assert set(results["systems"]) == {"forward", "backward", ENSEMBLE, baseline.NAME}
    assert set(results["differences"]) == {"forward", "backward", ENSEMBLE}
    assert (results["headline"], results["baseline"], results["documents"]) == (ENSEMBLE, baseline.NAME, 60)
    gap = results["systems"][ENSEMBLE]["accuracy"]["value"] - results["systems"][baseline.NAME]["accuracy"]["value"]
    assert results["differences"][ENSEMBLE]["value"] == pytest.approx(gap)


def test_the_confusion_matrix_is_that_of_the_headline(results):
    labels, probabilities = systems()
    matrix = np.array(results["confusion"])
    assert matrix.sum() == 60
    assert np.trace(matrix) == (probabilities[ENSEMBLE].argmax(1) == labels).sum()
    assert matrix.sum(1).tolist() == np.bincount(labels, minlength=3).tolist()


def test_results_are_plain_json(results):
    assert json.loads(json.dumps(results, allow_nan=False)) == results


def test_without_a_baseline_nothing_is_compared():
    labels, probabilities = systems()
    results = evaluate({"backward": probabilities["backward"]}, labels, NAMES, [""] * 60, CONFIG)
    assert (results["headline"], results["baseline"], results["differences"]) == ("backward", None, {})


def test_the_surest_mistakes_come_first():
    labels, probabilities = systems()
    shares = probabilities["forward"]
    ids = np.array([f"file.csv:{row}" for row in range(60)])
    found = mistakes(shares, labels, NAMES, [f"text {row}" for row in range(60)], ids, most=5)
    wrong = np.flatnonzero(shares.argmax(1) != labels)
    assert [item["probability"] for item in found] == pytest.approx(sorted(shares.max(1)[wrong])[::-1][:5], abs=1e-4)
    for item in found:
        row = int(item["id"].removeprefix("file.csv:"))
        assert item["text"] == f"text {row}"
        assert item["true"] == NAMES[labels[row]] != item["predicted"] == NAMES[shares[row].argmax()]


def test_ids_of_any_sequence_are_taken():
    labels, probabilities = systems()
    results = evaluate(probabilities, labels, NAMES, [""] * 60, CONFIG, ids=np.arange(60).astype(str))
    assert len(results["mistakes"]) == 5


def test_no_mistakes_where_all_is_right():
    labels = np.array([0, 1, 2])
    assert mistakes(np.eye(3), labels, NAMES, ["a"] * 3, ["0", "1", "2"], most=5) == []


def test_an_excerpt_is_one_line_cut_at_a_word():
    assert excerpt("two\n lines") == "two lines"
    long = excerpt("word " * 200)
    assert len(long) <= EXCERPT + 2 and long.endswith("word …")
    assert excerpt("x" * 1000) == "x" * EXCERPT + " …"


def test_predictions_come_back_as_they_were_written(tmp_path):
    labels, probabilities = systems()
    ids = [f"a:{row}" for row in range(60)]
    table = pq.read_table(write_predictions(tmp_path, ids, labels, probabilities, NAMES))
    assert json.loads(table.schema.metadata[b"labels"]) == NAMES
    assert table.num_rows == 60 * len(probabilities)
    rows = table.to_pylist()
    for number, (name, shares) in enumerate(probabilities.items()):
        part = rows[60 * number : 60 * (number + 1)]
        assert [row["id"] for row in part] == ids and {row["system"] for row in part} == {name}
        assert [row["label"] for row in part] == [NAMES[code] for code in labels]
        assert [row["predicted"] for row in part] == [NAMES[code] for code in shares.argmax(1)]
        assert np.array_equal(np.array([row["probabilities"] for row in part], dtype=np.float32), shares)
        assert [row["probability"] for row in part] == shares.max(1).tolist()


def test_calibration_errors_are_told_before_and_after():
    labels, probabilities = systems(400)
    uncalibrated = {ENSEMBLE: probabilities[ENSEMBLE] ** 4 / (probabilities[ENSEMBLE] ** 4).sum(1, keepdims=True)}
    found = evaluate(probabilities, labels, NAMES, [""] * 400, CONFIG, uncalibrated=uncalibrated)["calibration"]
    assert set(found["systems"]) == set(probabilities) and found["systems"]["forward"]["before"] is None
    after, before = (expected_calibration_error(of[ENSEMBLE], labels) for of in (probabilities, uncalibrated))
    assert found["systems"][ENSEMBLE] == {"before": before, "after": after}
    assert set(found["reliability"]) == {"before", "after"}
    assert sum(row["predictions"] for row in found["reliability"]["after"]) == 400


# ------------------------------------------------------------------------------------------------ any number of labels a document


def several(n=60, seed=0):
    """Truth bool [n, 3], and probabilities and thresholds of three systems."""
    generator = np.random.default_rng(seed)
    truth = generator.random((n, 3)) < 0.4
    shares = lambda skill: (1 / (1 + np.exp(-generator.normal(size=truth.shape) - skill * (truth - 0.5)))).astype(np.float32)
    found = {"forward": shares(3), ENSEMBLE: shares(4), baseline.NAME: shares(1)}
    return truth, found, {name: generator.uniform(0.3, 0.7, 3) for name in found}


def test_results_of_several_labels():
    truth, probabilities, thresholds = several()
    results = evaluate(probabilities, truth, NAMES, [f"text {row}" for row in range(60)], CONFIG, thresholds=thresholds)
    assert json.loads(json.dumps(results, allow_nan=False)) == results
    assert (results["task"], results["confusion"], results["documents"]) == ("multi-label", None, 60)
    for name, scores in results["systems"].items():
        exact = ((probabilities[name] >= thresholds[name]) == truth).all(1).mean()
        assert list(scores) == ["accuracy", "micro_f1", "macro_f1", "roc_auc"] and scores["accuracy"]["value"] == pytest.approx(exact)
    gap = results["systems"]["forward"]["accuracy"]["value"] - results["systems"][baseline.NAME]["accuracy"]["value"]
    assert results["differences"]["forward"]["value"] == pytest.approx(gap)
    assert [row["documents"] for row in results["per_label"]] == truth.sum(0).tolist()


def test_the_mistakes_with_the_most_wrong_labels_come_first():
    truth, probabilities, thresholds = several()
    shares, limits = probabilities["forward"].astype(float), thresholds["forward"]
    found = mistakes(shares, truth, NAMES, [f"text {row}" for row in range(60)], [str(row) for row in range(60)], 30, limits)
    order = []
    for row in range(60):
        wrong = [i for i in range(3) if (shares[row, i] >= limits[i]) != truth[row, i]]
        if wrong:
            sure = np.mean([shares[row, i] if shares[row, i] >= limits[i] else 1 - shares[row, i] for i in wrong])
            order.append((-len(wrong), -sure, str(row)))
    assert [item["id"] for item in found] == [row for *_, row in sorted(order)][:30]
    assert [item["probability"] for item in found] == pytest.approx([-sure for _, sure, _ in sorted(order)][:30], abs=1e-4)
    first = int(found[0]["id"])
    assert found[0]["true"] == [name for name, has in zip(NAMES, truth[first], strict=True) if has]
    assert found[0]["predicted"] == [name for name, share, limit in zip(NAMES, shares[first], limits, strict=True) if share >= limit]
    assert mistakes(truth.astype(float), truth, NAMES, [""] * 60, [""] * 60, 5) == []


def test_predictions_of_several_labels_are_lists(tmp_path):
    truth, probabilities, thresholds = several()
    table = pq.read_table(write_predictions(tmp_path, [str(row) for row in range(60)], truth, probabilities, NAMES, thresholds))
    rows = [row for row in table.to_pylist() if row["system"] == ENSEMBLE]
    for row, has, said in zip(rows, truth, probabilities[ENSEMBLE] >= thresholds[ENSEMBLE], strict=True):
        assert row["label"] == [name for name, held in zip(NAMES, has, strict=True) if held]
        assert row["predicted"] == [name for name, held in zip(NAMES, said, strict=True) if held]
    assert "probability" not in table.column_names
    assert np.array_equal(np.array([row["probabilities"] for row in rows], dtype=np.float32), probabilities[ENSEMBLE])
