import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from ulmfit import baseline
from ulmfit.config import EvaluateConfig
from ulmfit.evaluation import ENSEMBLE, EXCERPT, evaluate, excerpt, mistakes, write_predictions

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
