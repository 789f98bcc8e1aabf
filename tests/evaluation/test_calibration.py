import math

import numpy as np
import pytest
import torch
from hypothesis import example, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from ulmfit.config import ClassifierConfig
from ulmfit.evaluation.calibration import BOUNDS, calibrate, expected_calibration_error, fit_temperature, fit_thresholds, reliability
from ulmfit.models.saving import Calibration


def classes(n=400, n_labels=4, scale=1.0, seed=0):
    """Logits whose probabilities are true at temperature ``scale``."""
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, n_labels)) * 2
    shares = np.exp(logits) / np.exp(logits).sum(1, keepdims=True)
    targets = np.array([generator.choice(n_labels, p=row) for row in shares])
    return torch.from_numpy(logits * scale).float(), torch.from_numpy(targets)


def several(n=400, n_labels=3, scale=1.0, seed=0):
    generator = np.random.default_rng(seed)
    logits = generator.normal(size=(n, n_labels)) * 2
    targets = generator.random((n, n_labels)) < 1 / (1 + np.exp(-logits))
    return torch.from_numpy(logits * scale).float(), torch.from_numpy(targets).float()


# -------------------------------------------------------------------------------------------------------- temperature


def loss_by_hand(logits, targets, temperature):
    """Negative log-likelihood of all documents, and once the mean over documents of what any label would cost."""
    scaled = logits.double().numpy() / temperature
    if targets.ndim == 1:
        costs = np.log(np.exp(scaled).sum(1, keepdims=True)) - scaled  # [N, L]: of each label, were it the true one
        return costs[np.arange(len(costs)), targets.numpy()].sum() + costs.mean()
    have, have_not = np.log1p(np.exp(-scaled)), np.log1p(np.exp(scaled))
    truth = targets.numpy()
    return (truth * have + (1 - truth) * have_not).mean(1).sum() + ((have + have_not) / 2).mean()


@pytest.mark.parametrize("scale", [0.3, 1.0, 4.0])
@pytest.mark.parametrize(("make", "task"), [(classes, "multi-class"), (several, "multi-label")])
def test_the_temperature_is_the_best_of_a_fine_grid(make, task, scale):
    logits, targets = make(n=60, scale=scale)
    grid = np.geomspace(*BOUNDS, 4000)
    best = grid[np.argmin([loss_by_hand(logits, targets, temperature) for temperature in grid])]
    assert fit_temperature(logits, targets, task) == pytest.approx(best, rel=0.003)


@pytest.mark.parametrize("scale", [0.25, 1.0, 5.0])
@pytest.mark.parametrize(("make", "task"), [(classes, "multi-class"), (several, "multi-label")])
def test_the_temperature_undoes_a_scale(make, task, scale):
    logits, targets = make(n=4000, scale=scale)
    assert fit_temperature(logits, targets, task) == pytest.approx(scale, rel=0.1)


def test_few_documents_that_are_all_right_ask_for_no_endless_sureness():
    targets = torch.arange(8) % 2
    logits = torch.eye(2)[targets] * 3
    sure = torch.softmax(logits / fit_temperature(logits, targets, "multi-class"), 1).max().item()
    assert 0.8 < sure < 0.98  # 8 right of 8
    many = targets.repeat(500), logits.repeat(500, 1)
    assert torch.softmax(many[1] / fit_temperature(many[1], many[0], "multi-class"), 1).max().item() > 0.999


@pytest.mark.parametrize("task", ["multi-class", "multi-label"])
def test_temperatures_are_bounded_and_one_without_documents(task):
    logits = torch.tensor([[50.0, -50.0]])
    wrong = torch.tensor([1]) if task == "multi-class" else torch.tensor([[0.0, 1.0]])
    assert fit_temperature(logits, wrong, task) == pytest.approx(BOUNDS[1], rel=1e-3)
    right = torch.tensor([0]) if task == "multi-class" else torch.tensor([[1.0, 0.0]])
    assert BOUNDS[0] <= fit_temperature(logits / 1000, right, task) <= BOUNDS[1]
    assert fit_temperature(logits[:0], wrong[:0], task) == 1.0


# --------------------------------------------------------------------------------------------------- calibration error


def error_by_loop(probabilities, targets, bins):
    """Guo et al. 2017, eq. 3: bin m holds the predictions of confidence in ](m - 1) / M, m / M]."""
    pairs = []
    for row, target in zip(probabilities.tolist(), targets.tolist(), strict=True):
        if isinstance(target, int):
            pairs.append((max(row), row.index(max(row)) == target))
        else:
            pairs += [(max(p, 1 - p), (p >= 0.5) == bool(has)) for p, has in zip(row, target, strict=True)]
    error = 0.0
    for m in range(1, bins + 1):
        inside = [(p, right) for p, right in pairs if (m - 1) / bins < p <= m / bins]
        if inside:
            confidence, accuracy = (sum(values) / len(inside) for values in zip(*inside, strict=True))
            error += len(inside) / len(pairs) * abs(accuracy - confidence)
    return error


@pytest.mark.parametrize("bins", [1, 10, 15])
@pytest.mark.parametrize("make", [classes, several])
def test_the_calibration_error_is_that_of_the_loop(make, bins):
    logits, targets = make(n=150, scale=2.0)
    probabilities = (logits.softmax(1) if targets.ndim == 1 else logits.sigmoid()).double().numpy()
    assert expected_calibration_error(probabilities, targets.numpy(), bins) == pytest.approx(error_by_loop(probabilities, targets, bins))


def test_the_calibration_error_of_known_cases():
    sure, labels = np.array([[0.9, 0.1]] * 10), np.array([0] * 9 + [1])
    assert expected_calibration_error(sure, labels) == pytest.approx(0)
    assert expected_calibration_error(np.eye(2)[[0] * 10], labels) == pytest.approx(0.1)
    assert expected_calibration_error(np.zeros((5, 2)), np.ones((5, 2), dtype=bool)) == pytest.approx(1)


def test_reliability_tells_the_bins_that_hold_predictions():
    table = reliability(np.array([[0.55, 0.45], [0.6, 0.4], [0.05, 0.95]]), np.array([0, 1, 1]), bins=10)
    assert [(row.low, row.high, row.predictions, row.accuracy) for row in table] == [(0.5, 0.6, 2, 0.5), (0.9, 1.0, 1, 1.0)]
    assert [row.confidence for row in table] == pytest.approx([0.575, 0.95])


@given(arrays(np.float32, st.tuples(st.integers(1, 30), st.integers(2, 4)), elements=st.floats(0, 1, width=32)), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_every_prediction_is_in_one_bin(probabilities, seed):
    truth = np.random.default_rng(seed).random(probabilities.shape) < 0.5
    table = reliability(probabilities, truth)
    assert sum(row.predictions for row in table) == probabilities.size
    assert 0 <= expected_calibration_error(probabilities, truth) <= 1


# ----------------------------------------------------------------------------------------------------------- thresholds


@given(arrays(np.float32, st.integers(1, 25), elements=st.integers(0, 20).map(lambda i: np.float32(i / 20))), st.integers(0, 2**25 - 1))
@example(np.array([0.0, 0.05], dtype=np.float32), 1)
@settings(max_examples=200, deadline=None)
def test_no_threshold_is_better(scores, bits):
    truth = np.array([bits >> i & 1 for i in range(len(scores))], dtype=bool)
    (found,) = fit_thresholds(scores[:, None], truth[:, None])
    if truth.all() or not truth.any():
        assert found == 0.5
        return

    def f1(at):
        said = scores.astype(np.float64) >= at
        return 2 * (said & truth).sum() / (said.sum() + truth.sum())

    tried = [*np.unique(scores.astype(np.float64)), *(np.linspace(0.001, 1.01, 100))]
    best = max(f1(at) for at in tried if at > 0)
    assert f1(found) == pytest.approx(best)
    if f1(0.5) == pytest.approx(best):
        assert found == 0.5


def test_thresholds_lie_in_the_middle_of_a_gap():
    scores = np.array([[0.1, 0.9], [0.3, 0.8], [0.35, 0.7], [0.2, 0.95]])
    truth = np.array([[0, 1], [1, 0], [1, 0], [0, 1]])
    assert fit_thresholds(scores, truth) == pytest.approx([0.25, 0.85])


def test_thresholds_without_documents():
    assert fit_thresholds(np.empty((0, 3)), np.empty((0, 3))).tolist() == [0.5] * 3


# ------------------------------------------------------------------------------------------------------------- together


@pytest.mark.parametrize(("make", "task"), [(classes, "multi-class"), (several, "multi-label")])
def test_what_is_kept_beside_a_classifier(make, task):
    logits, targets = make(n_labels=4, scale=4.0, n=1000)
    found = calibrate(logits, targets, ClassifierConfig(task=task, label_separator=";"))
    assert Calibration.model_validate_json(found.model_dump_json()) == found
    assert (found.task, found.label_separator) == (task, ";")
    assert found.temperature == pytest.approx(4, rel=0.15) and found.ece_after < found.ece_before / 2
    scaled = logits / found.temperature
    probabilities = (scaled.softmax(1) if task == "multi-class" else scaled.sigmoid()).numpy()
    assert found.ece_after == pytest.approx(error_by_loop(probabilities, targets, 15), abs=1e-5)
    if task == "multi-label":
        assert found.thresholds == tuple(fit_thresholds(probabilities, targets.numpy()))
    else:
        assert found.thresholds is None


def test_calibration_may_be_switched_off():
    logits, targets = several(n_labels=4, scale=4.0)
    found = calibrate(logits, targets, ClassifierConfig(task="multi-label", calibrate=False))
    assert found.temperature == 1.0 and found.ece_before == found.ece_after > 0
    assert len(found.thresholds) == 4


def test_no_documents_to_calibrate_on():
    logits, targets = several(n=5, n_labels=4)
    found = calibrate(logits[:0], targets[:0], ClassifierConfig(task="multi-label"))
    assert found.temperature == 1.0 and found.thresholds == (0.5,) * 4 and found.ece_before is found.ece_after is None
    assert not math.isnan(found.temperature)
