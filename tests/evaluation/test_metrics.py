import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as reference

from ulmfit.config import EvaluateConfig
from ulmfit.evaluation.metrics import accuracy_difference, confusion, decisions, per_label, right, score
from ulmfit.evaluation.results import Estimate, LabelScores

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
    assert scores["accuracy"].value == pytest.approx(reference.accuracy_score(labels, predicted))
    assert scores["macro_f1"].value == pytest.approx(reference.f1_score(labels, predicted, average="macro"))
    assert (confusion(labels, probabilities) == reference.confusion_matrix(labels, predicted, labels=range(n_labels))).all()
    if len(np.unique(labels)) == n_labels:
        classes = [1] if n_labels == 2 else range(n_labels)
        expected = np.mean([reference.roc_auc_score(labels == code, probabilities[:, code]) for code in classes])
        assert scores["roc_auc"].value == pytest.approx(expected)


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
        assert (entry.low, entry.high) == pytest.approx((low[i], high[i]))


def test_interval_has_the_width_of_the_binomial():
    labels, probabilities = sample(2000, 2)
    accuracy = score(labels, probabilities, EvaluateConfig())["accuracy"]
    expected = 2 * 1.96 * np.sqrt(accuracy.value * (1 - accuracy.value) / 2000)
    assert accuracy.high - accuracy.low == pytest.approx(expected, rel=0.1)


def test_same_seed_same_intervals():
    labels, probabilities = sample(100, 2)
    assert score(labels, probabilities, QUICK) == score(labels, probabilities, QUICK)
    other = EvaluateConfig(bootstrap=20, seed=1)
    assert score(labels, probabilities, QUICK) != score(labels, probabilities, other)


def test_one_class_alone_has_no_auc():
    scores = score(np.zeros(30, dtype=int), sample(30, 2)[1], QUICK)
    assert scores["roc_auc"] == Estimate(value=None, low=None, high=None)
    assert scores["accuracy"].value is not None


def test_draws_without_a_class_are_left_out_of_the_auc():
    labels, probabilities = np.array([0] * 40 + [1]), sample(41, 2)[1]
    entry = score(labels, probabilities, EvaluateConfig(bootstrap=300))["roc_auc"]
    assert 0 <= entry.low <= entry.value <= entry.high <= 1


def test_no_interval_where_hardly_a_draw_has_every_class():
    labels, probabilities = np.arange(12), sample(12, 12)[1]
    entry = score(labels, probabilities, EvaluateConfig(bootstrap=300))["roc_auc"]
    assert entry.value is not None and entry.low is None


def test_paired_difference_agrees_with_resampling_rows():
    labels, first = sample(400, 2, skill=2.0)
    second = sample(400, 2, seed=0, skill=1.0)[1]
    found = accuracy_difference(labels, first, second, EvaluateConfig(bootstrap=5000))
    gain = (first.argmax(1) == labels).astype(float) - (second.argmax(1) == labels)
    generator = np.random.default_rng(0)
    low, high = np.quantile([gain[generator.integers(400, size=400)].mean() for _ in range(3000)], [0.025, 0.975])
    assert found.value == pytest.approx(gain.mean())
    assert (found.low, found.high) == pytest.approx((low, high), abs=0.006)


def test_a_system_does_not_differ_from_itself():
    labels, probabilities = sample(100, 3)
    assert accuracy_difference(labels, probabilities, probabilities, QUICK) == Estimate(value=0.0, low=0.0, high=0.0)


def test_a_thousand_draws_of_25000_rows_take_seconds():
    labels, probabilities = sample(25_000, 2)
    started = time.perf_counter()
    score(labels, probabilities, EvaluateConfig(bootstrap=1000))
    assert time.perf_counter() - started < 15


# ------------------------------------------------------------------------------------------------ any number of labels per document


def sets(n, n_labels, seed=0, decimals=8, skill=2.0):
    """Truth bool [n, n_labels], probabilities that lean to it, and thresholds [n_labels]."""
    generator = np.random.default_rng(seed)
    truth = generator.random((n, n_labels)) < generator.uniform(0.2, 0.7, n_labels)
    shares = 1 / (1 + np.exp(-generator.normal(size=truth.shape) - skill * (truth - 0.5)))
    return truth, np.round(shares, decimals), generator.uniform(0.3, 0.7, n_labels)


def several_by_scikit_learn(truth, probabilities, thresholds):
    predicted = probabilities >= thresholds
    return {
        "accuracy": reference.accuracy_score(truth, predicted),
        "micro_f1": reference.f1_score(truth, predicted, average="micro"),
        "macro_f1": reference.f1_score(truth, predicted, average="macro"),
        "roc_auc": reference.roc_auc_score(truth, probabilities, average="macro"),
    }


@pytest.mark.parametrize("decimals", [1, 8])
@given(n=st.integers(40, 200), n_labels=st.integers(2, 5), seed=st.integers(0, 1000))
@settings(max_examples=30, deadline=None)
def test_values_of_several_labels_are_those_of_scikit_learn(n, n_labels, seed, decimals):
    truth, probabilities, thresholds = sets(n, n_labels, seed, decimals)
    found = {name: scores.value for name, scores in score(truth, probabilities, QUICK, thresholds).items()}
    assert found == pytest.approx(several_by_scikit_learn(truth, probabilities, thresholds))


def test_each_draw_resamples_documents_with_all_their_labels():
    truth, probabilities, thresholds = sets(80, 3, seed=3)
    generator = np.random.default_rng(7)
    draws = []
    for _ in range(50):
        rows = generator.integers(80, size=80)
        draws.append(list(several_by_scikit_learn(truth[rows], probabilities[rows], thresholds).values()))
    low, high = np.quantile(np.array(draws), [0.025, 0.975], axis=0)
    for i, entry in enumerate(score(truth, probabilities, EvaluateConfig(bootstrap=50, seed=7), thresholds).values()):
        assert (entry.low, entry.high) == pytest.approx((low[i], high[i]))


def test_labels_that_all_or_no_test_documents_have_do_not_count_for_the_auc():
    truth, probabilities, _ = sets(50, 4)
    truth[:, 1], truth[:, 2], truth[:, 3] = False, True, False
    truth[7, 3] = True  # absent from a third of the draws
    entry = score(truth, probabilities, QUICK)["roc_auc"]
    expected = np.mean([reference.roc_auc_score(truth[:, i], probabilities[:, i]) for i in (0, 3)])
    assert entry.value == pytest.approx(expected) and entry.low <= entry.value <= entry.high
    assert score(truth[:, 1:2], probabilities[:, 1:2], QUICK)["roc_auc"].value is None


def test_each_label_is_told():
    truth, probabilities, thresholds = sets(90, 3, seed=5)
    labels, shares = sample(90, 3, seed=5)
    cases = [(truth, probabilities, thresholds, probabilities >= thresholds), (labels, shares, None, np.eye(3)[shares.argmax(1)] > 0)]
    for given_labels, given_shares, limits, predicted in cases:
        true = given_labels if given_labels.ndim == 2 else np.eye(3)[given_labels] > 0
        expected = reference.precision_recall_fscore_support(true, predicted, average=None)
        for i, row in enumerate(per_label(given_labels, given_shares, limits)):
            assert [row.precision, row.recall, row.f1, row.documents] == pytest.approx([column[i] for column in expected])
            assert row.predicted == predicted[:, i].sum()


def test_what_a_label_does_not_have_is_none():
    (row,) = per_label(np.zeros((3, 1), dtype=bool), np.zeros((3, 1)))
    assert row == LabelScores(documents=0, predicted=0, precision=None, recall=None, f1=None)


def test_the_difference_counts_documents_right_in_all_labels():
    truth, first, thresholds = sets(300, 3, skill=4.0)
    second = sets(300, 3, skill=1.0)[1]
    found = accuracy_difference(truth, first, second, EvaluateConfig(), (thresholds, None))
    exact = [((shares >= limits) == truth).all(1) for shares, limits in ((first, thresholds), (second, 0.5))]
    assert found.value == pytest.approx(exact[0].mean() - exact[1].mean()) and found.low > 0
    assert (right(truth, first, thresholds) == exact[0]).all()


def test_a_label_is_predicted_from_its_threshold_on():
    assert decisions(np.array([[0.5, 0.2]], dtype=np.float32)).tolist() == [[True, False]]
    assert decisions(np.array([[0.5, 0.25]], dtype=np.float32), np.array([0.51, 0.25])).tolist() == [[False, True]]
