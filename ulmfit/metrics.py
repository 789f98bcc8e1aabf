"""Scores of a classifier with bootstrap intervals (Efron & Tibshirani 1993, percentile method, documents resampled)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ulmfit.config import EvaluateConfig

Ints = NDArray[np.integer]
Floats = NDArray[np.floating]

ENOUGH_DRAWS = 0.1  # an interval is given where at least this share of the draws has a value


def score(labels: Ints, probabilities: Floats, config: EvaluateConfig) -> dict[str, dict[str, float | None]]:
    """Accuracy, macro-F1 and ROC AUC, each ``{"value", "low", "high"}``, the interval at ``config.confidence``.

    ``labels`` int [N] codes, ``probabilities`` float [N, L]. Systems scored with the same labels and config see the
    same draws. AUC: of the second class where there are two, else the mean of one-versus-rest over the classes that
    occur. A value that is not defined (AUC of one class alone, an interval that too few draws support) is None.
    """
    _check(labels, probabilities)
    n_labels = probabilities.shape[1]
    cells = labels * n_labels + probabilities.argmax(1)
    ranks = _rankings(labels, probabilities)
    generator = np.random.default_rng(config.seed)
    draws = np.full((config.bootstrap, 3), np.nan)
    for row in draws:
        counts = np.bincount(generator.integers(len(labels), size=len(labels)), minlength=len(labels))
        matrix = np.bincount(cells, weights=counts, minlength=n_labels**2).reshape(n_labels, n_labels)
        row[:] = _accuracy(matrix), _macro_f1(matrix), _mean_auc(ranks, counts)
    matrix = confusion(labels, probabilities)
    values = (_accuracy(matrix), _macro_f1(matrix), _mean_auc(ranks, np.ones(len(labels), dtype=np.int64)))
    names = ("accuracy", "macro_f1", "roc_auc")
    return {name: _estimate(values[i], draws[:, i], config.confidence) for i, name in enumerate(names)}


def confusion(labels: Ints, probabilities: Floats) -> NDArray[np.int64]:
    """Confusion matrix int64 [L, L]: rows are the true classes, columns the predicted ones."""
    n_labels = probabilities.shape[1]
    return np.bincount(labels * n_labels + probabilities.argmax(1), minlength=n_labels**2).reshape(n_labels, n_labels)


def accuracy_difference(labels: Ints, first: Floats, second: Floats, config: EvaluateConfig) -> dict[str, float | None]:
    """Accuracy of ``first`` minus that of ``second`` on the same documents, with a paired bootstrap interval.

    A document adds -1, 0 or 1, so that resampling documents is drawing the three counts from a multinomial.
    """
    _check(labels, first)
    _check(labels, second)
    gain = (first.argmax(1) == labels).astype(np.int64) - (second.argmax(1) == labels)
    n = len(labels)
    shares = np.bincount(gain + 1, minlength=3) / n
    counts = np.random.default_rng(config.seed).multinomial(n, shares, size=config.bootstrap)
    return _estimate(float(gain.mean()), (counts[:, 2] - counts[:, 0]) / n, config.confidence)


def _check(labels: Ints, probabilities: Floats) -> None:
    assert labels.ndim == 1 and probabilities.ndim == 2 and len(labels) == len(probabilities) > 0
    assert probabilities.shape[1] >= 2 and labels.min() >= 0 and labels.max() < probabilities.shape[1]
    assert np.isfinite(probabilities).all()


def _estimate(value: float, draws: Floats, confidence: float) -> dict[str, Any]:
    if np.isnan(value):
        return {"value": None, "low": None, "high": None}
    kept = draws[~np.isnan(draws)]
    if len(kept) < ENOUGH_DRAWS * len(draws):
        return {"value": value, "low": None, "high": None}
    low, high = np.quantile(kept, [(1 - confidence) / 2, (1 + confidence) / 2])
    return {"value": value, "low": float(low), "high": float(high)}


def _accuracy(matrix: NDArray[Any]) -> float:
    return float(np.trace(matrix) / matrix.sum())


def _macro_f1(matrix: NDArray[Any]) -> float:
    """Mean F1 of the classes that are true or predicted somewhere, as scikit-learn has it."""
    hits, seen = np.diag(matrix), matrix.sum(0) + matrix.sum(1)
    return float(np.mean(2 * hits[seen > 0] / seen[seen > 0]))


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
        below, upto = (np.searchsorted(ordered, scores[positives], side=side) for side in ("left", "right"))
        return _Ranking(positives, negatives, below, upto)

    def auc(self, counts: Ints) -> float:
        """Chance that a positive outscores a negative, ties by half, document ``i`` taken ``counts[i]`` times; NaN if a side is empty."""
        weights = counts[self.positives]
        passed = np.concatenate(([0], np.cumsum(counts[self.negatives])))
        pairs = weights.sum() * passed[-1]
        return float(weights @ (passed[self.below] + passed[self.upto]) / (2 * pairs)) if pairs else float("nan")


def _rankings(labels: Ints, probabilities: Floats) -> list[_Ranking]:
    present = np.unique(labels)
    if len(present) < 2:
        return []
    classes = [1] if probabilities.shape[1] == 2 else present
    return [_Ranking.of(labels == code, probabilities[:, code]) for code in classes]


def _mean_auc(rankings: list[_Ranking], counts: Ints) -> float:
    """Mean over the classes; NaN where one is absent from the draw."""
    return sum(ranking.auc(counts) for ranking in rankings) / len(rankings) if rankings else float("nan")
