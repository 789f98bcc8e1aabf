"""Scores of a classifier with bootstrap intervals (Efron & Tibshirani 1993, percentile method, documents resampled)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ulmfit.config import EvaluateConfig
from ulmfit.evaluation.results import Estimate, LabelScores
from ulmfit.labels.label_set import THRESHOLD

Ints = NDArray[np.integer]
Floats = NDArray[np.floating]
Truth = NDArray[np.bool_]
Labels = NDArray[Any]  # int [N], a class each; or bool [N, L], any number of labels each
Measure = Callable[[Ints], dict[str, float]]  # scores where document ``i`` is taken ``counts[i]`` times

ENOUGH_DRAWS = 0.1  # an interval is given where at least this share of the draws has a value


def score(labels: Labels, probabilities: Floats, config: EvaluateConfig, thresholds: Floats | None = None) -> dict[str, Estimate]:
    """Accuracy, F1 and ROC AUC, each with its interval at ``config.confidence``.

    ``probabilities`` float [N, L]. ``labels`` int [N], a class each: ``accuracy``, ``macro_f1`` and ``roc_auc``, of the second
    class where there are two, else the mean of one-versus-rest over the classes that occur. ``labels`` bool [N, L], any
    number each: ``accuracy`` counts the documents that are right in all labels, ``micro_f1`` takes all labels together, and
    ``roc_auc`` is the mean of the labels that some documents have and others have not; a label is predicted from its
    ``thresholds`` [L] on (default: 0.5).

    Systems scored with the same labels and config see the same draws. A value that is not defined (AUC of one class alone,
    an interval that too few draws support) is None.
    """
    _check(labels, probabilities)
    measure = _measure_labels(labels, probabilities, thresholds) if labels.ndim == 2 else _measure_classes(labels, probabilities)
    values = measure(np.ones(len(labels), dtype=np.int64))
    generator = np.random.default_rng(config.seed)
    draws = np.full((config.bootstrap, len(values)), np.nan)
    for row in draws:
        row[:] = list(measure(np.bincount(generator.integers(len(labels), size=len(labels)), minlength=len(labels))).values())
    return {name: _estimate(value, draws[:, i], config.confidence) for i, (name, value) in enumerate(values.items())}


def _measure_classes(labels: Ints, probabilities: Floats) -> Measure:
    n_labels = probabilities.shape[1]
    cells = labels * n_labels + probabilities.argmax(1)
    present = np.unique(labels)
    judged = [] if len(present) < 2 else [1] if n_labels == 2 else present.tolist()  # by ROC AUC
    ranks = [_Ranking.of(labels == code, probabilities[:, code]) for code in judged]

    def measure(counts: Ints) -> dict[str, float]:
        matrix = np.bincount(cells, weights=counts, minlength=n_labels**2).reshape(n_labels, n_labels)
        f1 = macro_f1(np.diag(matrix), matrix.sum(0) + matrix.sum(1))
        areas = [ranking.auc(counts) for ranking in ranks]  # NaN for a class that is absent from the draw
        area = sum(areas) / len(areas) if areas else float("nan")
        return {"accuracy": float(np.trace(matrix) / matrix.sum()), "macro_f1": f1, "roc_auc": area}

    return measure


def _measure_labels(truth: Truth, probabilities: Floats, thresholds: Floats | None) -> Measure:
    decided = decisions(probabilities, thresholds)
    both, either = (truth & decided).astype(np.float64), truth.astype(np.float64) + decided
    exact = (truth == decided).all(1)
    ranks = [_Ranking.of(truth[:, i], probabilities[:, i]) for i in range(truth.shape[1]) if 0 < truth[:, i].sum() < len(truth)]

    def measure(counts: Ints) -> dict[str, float]:
        hits, seen = counts @ both, counts @ either
        areas = np.array([ranking.auc(counts) for ranking in ranks])
        areas = areas[~np.isnan(areas)]  # a rare label is absent from many draws
        return {
            "accuracy": float(counts @ exact / counts.sum()),
            "micro_f1": macro_f1(hits.sum(keepdims=True), seen.sum(keepdims=True)),
            "macro_f1": macro_f1(hits, seen),
            "roc_auc": float(areas.mean()) if len(areas) else float("nan"),
        }

    return measure


def decisions(probabilities: Floats, thresholds: Floats | None = None) -> Truth:
    """bool [N, L]: the labels whose probabilities [N, L] reach their ``thresholds`` [L] (default: 0.5)."""
    return np.asarray(probabilities, dtype=np.float64) >= (THRESHOLD if thresholds is None else np.asarray(thresholds, dtype=np.float64))


def confusion(labels: Ints, probabilities: Floats) -> NDArray[np.int64]:
    """Confusion matrix int64 [L, L]: rows are the true classes, columns the predicted ones."""
    n_labels = probabilities.shape[1]
    return np.bincount(labels * n_labels + probabilities.argmax(1), minlength=n_labels**2).reshape(n_labels, n_labels)


def per_label(labels: Labels, probabilities: Floats, thresholds: Floats | None = None) -> list[LabelScores]:
    """Scores of each class or label, in order."""
    classes = np.arange(probabilities.shape[1])
    if labels.ndim == 2:
        truth, decided = labels, decisions(probabilities, thresholds)
    else:
        truth, decided = labels[:, None] == classes, probabilities.argmax(1)[:, None] == classes
    part = lambda hits, of: float(hits / of) if of else None
    return [
        LabelScores(
            documents=int(have), predicted=int(said), precision=part(hits, said), recall=part(hits, have), f1=part(2 * hits, have + said)
        )
        for have, said, hits in zip(truth.sum(0), decided.sum(0), (truth & decided).sum(0), strict=True)
    ]


def accuracy_difference(
    labels: Labels, first: Floats, second: Floats, config: EvaluateConfig, thresholds: tuple[Floats | None, Floats | None] = (None, None)
) -> Estimate:
    """Accuracy of ``first`` minus that of ``second`` on the same documents, with a paired bootstrap interval.

    A document adds -1, 0 or 1, so that resampling documents is drawing the three counts from a multinomial.
    """
    _check(labels, first)
    _check(labels, second)
    gain = right(labels, first, thresholds[0]).astype(np.int64) - right(labels, second, thresholds[1])
    n = len(labels)
    shares = np.bincount(gain + 1, minlength=3) / n
    counts = np.random.default_rng(config.seed).multinomial(n, shares, size=config.bootstrap)
    return _estimate(float(gain.mean()), (counts[:, 2] - counts[:, 0]) / n, config.confidence)


def right(labels: Labels, probabilities: Floats, thresholds: Floats | None = None) -> NDArray[np.bool_]:
    """bool [N]: whether the class, or every label, of a document is predicted as it is."""
    if labels.ndim == 1:
        return probabilities.argmax(1) == labels
    return (decisions(probabilities, thresholds) == labels).all(1)


def hits_and_seen(truth: Truth, decided: Truth) -> tuple[Ints, Ints]:
    """int64 [L] each: documents that have a label and are predicted to, and those that have it plus those predicted to."""
    return (truth & decided).sum(0), truth.sum(0) + decided.sum(0)


def macro_f1(hits: NDArray[Any], seen: NDArray[Any]) -> float:
    """Mean F1 of the classes that are true or predicted somewhere, as scikit-learn has it for classes; 1.0 where none is."""
    some = seen > 0
    return float(np.mean(2 * hits[some] / seen[some])) if some.any() else 1.0


def _check(labels: Labels, probabilities: Floats) -> None:
    assert probabilities.ndim == 2 and len(labels) == len(probabilities) > 0
    if labels.ndim == 2:
        assert labels.dtype == bool and labels.shape == probabilities.shape and labels.shape[1] >= 1
    else:
        assert labels.ndim == 1 and probabilities.shape[1] >= 2 and labels.min() >= 0 and labels.max() < probabilities.shape[1]
    assert np.isfinite(probabilities).all()


def _estimate(value: float, draws: Floats, confidence: float) -> Estimate:
    if np.isnan(value):
        return Estimate(value=None, low=None, high=None)
    kept = draws[~np.isnan(draws)]
    if len(kept) < ENOUGH_DRAWS * len(draws):
        return Estimate(value=value, low=None, high=None)
    low, high = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2])
    return Estimate(value=value, low=float(low), high=float(high))


@dataclass(frozen=True)
class _Ranking:
    """One class against the rest, sorted once so that each draw is a cumulative sum.

    ``positives`` int [P] and ``negatives`` int [M] are document numbers, the latter by rising score; ``below`` and
    ``upto`` int [P] say how many of ``negatives`` score less than, and no more than, each positive.
    """

    positives: Ints
    negatives: Ints
    below: Ints
    upto: Ints

    @staticmethod
    def of(positive: NDArray[np.bool_], scores: Floats) -> _Ranking:
        positives, negatives = np.flatnonzero(positive), np.flatnonzero(~positive)
        negatives = negatives[np.argsort(scores[negatives], kind="stable")]
        ordered = scores[negatives]
        below = np.searchsorted(ordered, scores[positives], side="left")
        upto = np.searchsorted(ordered, scores[positives], side="right")
        return _Ranking(positives, negatives, below, upto)

    def auc(self, counts: Ints) -> float:
        """Chance that a positive outscores a negative, ties by half, document ``i`` taken ``counts[i]`` times; NaN if a side is empty."""
        weights = counts[self.positives]
        passed = np.concatenate(([0], np.cumsum(counts[self.negatives])))
        pairs = weights.sum() * passed[-1]
        return float(weights @ (passed[self.below] + passed[self.upto]) / (2 * pairs)) if pairs else float("nan")
