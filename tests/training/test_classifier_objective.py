import math

import numpy as np
import pytest
import torch
from sklearn import metrics as reference
from sklearn.utils.class_weight import compute_class_weight

from ulmfit.config import ClassifierConfig
from ulmfit.labels.label_set import LabelSet
from ulmfit.training.classifier_objective import Objective

CODES = np.array([0, 0, 0, 0, 1, 1, 2, 0])
STRINGS = ["a", "a|b", "b|c", "|"]
SETS = np.array([0, 1, 2, 3, 1, 0, 0])


def classes(codes=CODES, **options):
    config = ClassifierConfig(**options)
    labels = LabelSet.of(["x", "y", "z"], config)
    return (
        Objective(config, labels, codes),
        torch.randn(len(codes), 3, generator=torch.Generator().manual_seed(0)),
        labels.targets_of(codes),
    )


def several(codes=SETS, **options):
    config = ClassifierConfig(task="multi-label", **options)
    labels = LabelSet.of(STRINGS, config)
    return (
        Objective(config, labels, codes),
        torch.randn(len(codes), 3, generator=torch.Generator().manual_seed(1)),
        labels.targets_of(codes),
    )


def cross_entropy_by_hand(logits, targets, weights, smoothing):
    total = 0.0
    for row, target in zip(logits.tolist(), targets.tolist(), strict=True):
        norm = math.log(sum(math.exp(value) for value in row))
        wanted = [smoothing / len(row) + (1 - smoothing) * (label == target) for label in range(len(row))]
        total += weights[target] * -sum(share * (value - norm) for share, value in zip(wanted, row, strict=True))
    return total / len(logits)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_loss_of_classes(smoothing, balanced):
    objective, logits, targets = classes(label_smoothing=smoothing, class_weights="balanced" if balanced else "none")
    weights = compute_class_weight("balanced", classes=np.arange(3), y=CODES) if balanced else [1.0] * 3
    assert objective.loss(logits, targets).item() == pytest.approx(cross_entropy_by_hand(logits, targets, weights, smoothing), rel=1e-5)


def bce_by_hand(logits, targets, weights, smoothing):
    total = 0.0
    for row, wanted in zip(logits.tolist(), targets.tolist(), strict=True):
        for value, target, weight in zip(row, wanted, weights, strict=True):
            share = target * (1 - smoothing) + smoothing / 2
            p = 1 / (1 + math.exp(-value))
            total -= weight * share * math.log(p) + (1 - share) * math.log(1 - p)
    return total / targets.numel()


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("balanced", [False, True])
def test_the_loss_of_labels(smoothing, balanced):
    objective, logits, targets = several(label_smoothing=smoothing, class_weights="balanced" if balanced else "none")
    weights = [2 / 5, 4 / 3, 6 / 1] if balanced else [1.0] * 3  # of 7 documents 5 have a, 3 have b, 1 has c
    assert objective.loss(logits, targets).item() == pytest.approx(bce_by_hand(logits, targets, weights, smoothing), rel=1e-5)


@pytest.mark.parametrize("make", [classes, several])
def test_the_gradient_of_a_batch_is_the_mean_of_those_of_its_halves(make):
    """So that accumulating gradients, or sharing a batch between processes, changes nothing; also under weights."""
    codes = np.array([0, 0, 1, 0, 2, 2])
    objective, logits, targets = make(codes=codes, class_weights="balanced", label_smoothing=0.1)
    logits.requires_grad_()
    (whole,) = torch.autograd.grad(objective.loss(logits, targets), logits)
    halves = sum(objective.loss(logits[half], targets[half]) / 2 for half in (slice(0, 3), slice(3, 6)))
    assert torch.allclose(torch.autograd.grad(halves, logits)[0], whole, atol=1e-7)


def test_balanced_weights_leave_the_loss_its_size():
    """Weighted by its class, a document counts 1 on average over the training documents."""
    objective, _, targets = classes(class_weights="balanced")
    even = torch.zeros(len(CODES), 3)
    assert objective.loss(even, targets).item() == pytest.approx(math.log(3))


def test_labels_that_training_does_not_show_weigh_one():
    objective, logits, targets = several(codes=np.array([0, 0, 0]), class_weights="balanced")  # all have a, none has b or c
    assert objective.loss(logits, targets).item() == pytest.approx(bce_by_hand(logits, targets, [1.0] * 3, 0.0), rel=1e-5)
    objective, logits, targets = classes(codes=np.array([0, 1, 1]), class_weights="balanced")
    expected = cross_entropy_by_hand(logits, targets, [3 / 3 / 1, 3 / 3 / 2, 1.0], 0.0)
    assert objective.loss(logits, targets).item() == pytest.approx(expected, rel=1e-5)


def test_low_precision_logits_give_a_loss_in_fp32():
    for objective, logits, targets in (classes(class_weights="balanced"), several()):
        value = objective.loss(logits.bfloat16(), targets)
        assert value.dtype == torch.float32
        assert value.item() == pytest.approx(objective.loss(logits.bfloat16().float(), targets).item())


def test_metrics_of_classes_are_those_of_scikit_learn():
    objective, logits, targets = classes(label_smoothing=0.2, class_weights="balanced")
    found = objective.metrics(logits, targets)
    assert found["valid_loss"] == pytest.approx(cross_entropy_by_hand(logits, targets, [1.0] * 3, 0.0), rel=1e-5)
    assert found["valid_accuracy"] == reference.accuracy_score(targets, logits.argmax(1))
    assert found["valid_macro_f1"] == pytest.approx(reference.f1_score(targets, logits.argmax(1), average="macro"))


def test_metrics_of_labels_are_those_of_scikit_learn():
    objective, logits, targets = several(label_smoothing=0.2, class_weights="balanced")
    found, predicted = objective.metrics(logits, targets), (logits >= 0).int()
    assert found["valid_loss"] == pytest.approx(bce_by_hand(logits, targets, [1.0] * 3, 0.0), rel=1e-5)
    assert found["valid_accuracy"] == pytest.approx(reference.accuracy_score(targets, predicted))
    assert found["valid_macro_f1"] == pytest.approx(reference.f1_score(targets, predicted, average="macro"))


def test_no_documents_have_no_metrics():
    objective, logits, targets = classes()
    assert objective.metrics(logits[:0], targets[:0]) == {}
