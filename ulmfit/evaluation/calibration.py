"""Calibration: temperature, thresholds and calibration errors (Guo et al. 2017, "On Calibration of Modern Neural Networks")."""

import math
from typing import Any

import numpy as np
import torch.nn.functional as F
from numpy.typing import NDArray
from scipy.optimize import minimize_scalar
from torch import Tensor

from ulmfit.config import ClassifierConfig
from ulmfit.evaluation.results import ReliabilityBin
from ulmfit.labels.label_set import THRESHOLD, Task, probabilities
from ulmfit.models.saving import Calibration

BINS = 15
BOUNDS = (0.05, 20.0)  # of a temperature

Floats = NDArray[np.floating]


def calibrate(logits: Tensor, targets: Tensor, config: ClassifierConfig) -> Calibration:
    """The temperature (1.0 where ``config.calibrate`` is off) and the thresholds of a classifier, from validation documents.

    ``logits`` [N, L], ``targets`` as ``LabelSet.targets_of`` has them. The calibration errors are those on these same documents.
    """
    temperature = fit_temperature(logits, targets, config.task) if config.calibrate else 1.0
    truth = targets.cpu().numpy()
    before, after = (probabilities(logits, config.task, scale).cpu().numpy() for scale in (1.0, temperature))
    return Calibration(
        task=config.task,
        label_separator=config.label_separator,
        temperature=temperature,
        thresholds=tuple(fit_thresholds(after, truth).tolist()) if config.task == "multi-label" else None,
        ece_before=expected_calibration_error(before, truth) if len(truth) else None,
        ece_after=expected_calibration_error(after, truth) if len(truth) else None,
    )


def fit_temperature(logits: Tensor, targets: Tensor, task: Task, spread: float = math.inf) -> float:
    """The one number by which to divide logits [N, L] for the least negative log-likelihood (Guo et al. 2017, sec. 4.2).

    One more document with an unknown label is counted in, as in Platt (1999); otherwise a few documents that are all right would
    ask for infinite confidence. 1.0 where there are no documents. The likelihood has one peak in 1/T. ``spread``: where 1 is what to expect,
    the standard deviation of a normal prior of log T; then few documents move it little.
    """
    if not len(logits):
        return 1.0
    logits, unknown = logits.double().cpu(), 1 / (len(logits) + 1)
    targets = targets.cpu()
    smoothed = targets.double() * (1 - unknown) + unknown / 2 if task == "multi-label" else targets

    def loss(log_temperature: float) -> float:
        scaled, prior = logits / math.exp(log_temperature), (log_temperature / spread) ** 2 / (2 * len(logits))
        if task == "multi-label":
            return float(F.binary_cross_entropy_with_logits(scaled, smoothed)) + prior
        return float(F.cross_entropy(scaled, smoothed, label_smoothing=unknown)) + prior

    bounds = (math.log(BOUNDS[0]), math.log(BOUNDS[1]))
    return float(math.exp(minimize_scalar(loss, bounds=bounds, method="bounded", options={"xatol": 1e-6}).x))


def expected_calibration_error(probabilities: Floats, targets: NDArray[Any], bins: int = BINS) -> float:
    """Mean distance of confidence and accuracy over ``bins`` of equal width, by their share of predictions (Guo et al. 2017, sec. 2).

    ``probabilities`` float [N, L], N > 0. ``targets`` int [N]: each document's likeliest class is a prediction; or 0 and 1
    [N, L]: each label of each document is one, with the confidence of the likelier of having and not having it.
    """
    table = reliability(probabilities, targets, bins)
    distances = [row.predictions * abs(row.accuracy - row.confidence) for row in table]
    return float(sum(distances) / sum(row.predictions for row in table))


def reliability(probabilities: Floats, targets: NDArray[Any], bins: int = BINS) -> list[ReliabilityBin]:
    """The bins of equal width that hold predictions, from the lowest probability to the highest."""
    shares = np.asarray(probabilities, dtype=np.float64)
    if targets.ndim == 1:
        confidence, right = shares.max(1), shares.argmax(1) == targets
    else:
        confidence, right = np.maximum(shares, 1 - shares).ravel(), ((shares >= THRESHOLD) == (targets > 0)).ravel()
    numbers = np.clip(np.ceil(confidence * bins).astype(np.int64) - 1, 0, bins - 1)
    counts = np.bincount(numbers, minlength=bins)
    sure, hits = (np.bincount(numbers, weights=values, minlength=bins) for values in (confidence, right))
    return [
        ReliabilityBin(
            low=number / bins,
            high=(number + 1) / bins,
            predictions=int(counts[number]),
            confidence=float(sure[number] / counts[number]),
            accuracy=float(hits[number] / counts[number]),
        )
        for number in np.flatnonzero(counts).tolist()
    ]


def fit_thresholds(probabilities: Floats, targets: NDArray[Any]) -> NDArray[np.float64]:
    """For each label the probability from which on it is predicted, float64 [L], for the highest F1 on these documents.

    ``probabilities`` float [N, L], ``targets`` [N, L] of 0 and 1. Of the thresholds that do equally well it is the nearest to 0.5 of
    0.5 itself and the middles between neighbouring probabilities; 0.5 for a label that all documents have, or none.
    """
    values = np.asarray(probabilities, dtype=np.float64)
    return np.array([_threshold(values[:, label], targets[:, label] > 0) for label in range(values.shape[1])], dtype=np.float64)


def _threshold(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> float:
    if truth.all() or not truth.any():
        return THRESHOLD
    order = np.argsort(-scores, kind="stable")
    ordered = np.append(scores[order], 0.0)
    cuts = np.flatnonzero(ordered[:-1] > ordered[1:])  # all documents up to here are predicted; equal scores stay together
    f1 = 2 * np.cumsum(truth[order])[cuts] / (cuts + 1 + truth.sum())
    if not len(cuts) or not f1.max():  # whatever is predicted, it is no label that is there
        return THRESHOLD
    best = cuts[f1 >= f1.max() - 1e-12]
    high, low = ordered[best], ordered[best + 1]
    candidates = np.where((low < THRESHOLD) & (high >= THRESHOLD), THRESHOLD, (low + high) / 2)
    return float(min(candidates, key=lambda at: abs(at - THRESHOLD)))
