import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from ulmfit.config import EvaluateConfig
from ulmfit.metrics import accuracy_difference, confusion, score

QUICK = EvaluateConfig(bootstrap=20)


def sample(n, n_labels, seed=0, decimals=8, skill=1.0):
    """Labels int [n] and probabilities [n, n_labels] that lean to the truth; few decimals make ties."""
    generator = np.random.default_rng(seed)
    labels = generator.integers(n_labels, size=n)
    logits = generator.normal(size=(n, n_labels)) + skill * np.eye(n_labels)[labels]
    shares = np.exp(logits)
    return labels, np.round(shares / shares.sum(1, keepdims=True), decimals)


@pytest.mark.parametrize("decimals", [1, 8])
@given(n=st.integers(20, 200), n_labels=st.integers(2, 5), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_values_are_those_of_scikit_learn(n, n_labels, seed, decimals):
    labels, probabilities = sample(n, n_labels, seed, decimals)
    predicted = probabilities.argmax(1)
    scores = score(labels, probabilities, QUICK)
    assert scores["accuracy"]["value"] == pytest.approx(reference.accuracy_score(labels, predicted))
    assert scores["macro_f1"]["value"] == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert (confusion(labels, probabilities) == reference.confusion_matrix(labels, predicted, labels=range(n_labels))).all()
    if len(np.unique(labels)) == n_labels:
        classes = [1] if n_labels == 2 else range(n_labels)
        expected = np.mean([reference.roc_auc_score(labels == code, probabilities[:, code]) for code in classes])
        assert scores["roc_auc"]["value"] == pytest.approx(expected)


def test_each_draw_resamples_documents():
    """The intervals are the quantiles of scikit-learn's metrics over the same resampled rows."""
    labels, probabilities = sample(60, 3, seed=3)
    config = EvaluateConfig(bootstrap=50, seed=7)
    generator = np.random.default_rng(7)
    draws = []
    for _ in range(50):
        rows = generator.integers(60, size=60)
        truth, shares = labels[rows], probabilities[rows]
        auc = np.mean([reference.roc_auc_score(truth == code, shares[:, code]) for code in range(3)])
        draws.append((reference.accuracy_score(truth, shares.argmax(1)), reference.f1_score(truth, shares.argmax(1), average="macro"), auc))
    low, high = np.quantile(np.array(draws), [0.025, 0.975], axis=0)
    for i, entry in enumerate(score(labels, probabilities, config).values()):
        assert (entry["low"], entry["high"]) == pytest.approx((low[i], high[i]))


def test_interval_has_the_width_of_the_binomial():
    labels, probabilities = sample(2000, 2)
    accuracy = score(labels, probabilities, EvaluateConfig())["accuracy"]
    expected = 2 * 1.96 * np.sqrt(accuracy["value"] * (1 - accuracy["value"]) / 2000)
    assert accuracy["high"] - accuracy["low"] == pytest.approx(expected, rel=0.1)


def test_same_seed_same_intervals():
    labels, probabilities = sample(100, 2)
    assert score(labels, probabilities, QUICK) == score(labels, probabilities, QUICK)
    other = EvaluateConfig(bootstrap=20, seed=1)
    assert score(labels, probabilities, QUICK) != score(labels, probabilities, other)


def test_one_class_alone_has_no_auc():
    scores = score(np.zeros(30, dtype=int), sample(30, 2)[1], QUICK)
    assert scores["roc_auc"] == {"value": None, "low": None, "high": None}
    assert scores["accuracy"]["value"] is not None


def test_draws_without_a_class_are_left_out_of_the_auc():
    labels, probabilities = np.array([0] * 40 + [1]), sample(41, 2)[1]
    entry = score(labels, probabilities, EvaluateConfig(bootstrap=300))["roc_auc"]
    assert 0 <= entry["low"] <= entry["value"] <= entry["high"] <= 1


def test_no_interval_where_hardly_a_draw_has_every_class():
    labels, probabilities = np.arange(12), sample(12, 12)[1]
    entry = score(labels, probabilities, EvaluateConfig(bootstrap=300))["roc_auc"]
    assert entry["value"] is not None and entry["low"] is None


def test_paired_difference_agrees_with_resampling_rows():
    labels, first = sample(400, 2, skill=2.0)
    second = sample(400, 2, seed=0, skill=1.0)[1]
    found = accuracy_difference(labels, first, second, EvaluateConfig(bootstrap=5000))
    gain = (first.argmax(1) == labels).astype(float) - (second.argmax(1) == labels)
    generator = np.random.default_rng(0)
    low, high = np.quantile([gain[generator.integers(400, size=400)].mean() for _ in range(3000)], [0.025, 0.975])
    assert found["value"] == pytest.approx(gain.mean())
    assert (found["low"], found["high"]) == pytest.approx((low, high), abs=0.006)


def test_a_system_does_not_differ_from_itself():
    labels, probabilities = sample(100, 3)
    assert accuracy_difference(labels, probabilities, probabilities, QUICK) == {"value": 0.0, "low": 0.0, "high": 0.0}


def test_a_thousand_draws_of_25000_rows_take_seconds():
    labels, probabilities = sample(25_000, 2)
    started = time.perf_counter()
    score(labels, probabilities, EvaluateConfig(bootstrap=1000))
    assert time.perf_counter() - started < 15
