"""Logistic regression with the strength of its penalty chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ulmfit.experiments.methods.method import Codes, check_classes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    Features: TypeAlias = csr_matrix | NDArray[np.floating]  # [M, F]

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)  # C, the inverse of the penalty
FOLDS = 5
LEAST = 1e-12  # of a probability whose logarithm is taken


def cross_validated(features: Features, labels: Codes, seed: int) -> LogisticRegression:
    """The regression, fitted on all rows with the C of ``STRENGTHS`` that has the lowest log loss over ``FOLDS`` stratified folds.

    ``features`` [M, F]; ``labels`` int [M]. In a fold, rows of a class that the fold's training rows lack are not counted. Where
    no fold can be counted, C is the middle one. UserError where all rows have the same class.
    """
    check_classes(labels)
    losses = np.zeros(len(STRENGTHS))
    for train, test in folds(labels, FOLDS, seed):
        known = np.isin(labels[test], labels[train])
        if len(np.unique(labels[train])) > 1 and known.any():
            losses += [_log_loss(_fit(features[train], labels[train], C), features[test[known]], labels[test[known]]) for C in STRENGTHS]
    return _fit(features, labels, STRENGTHS[losses.argmin()] if losses.any() else STRENGTHS[len(STRENGTHS) // 2])


def folds(labels: Codes, number: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(training rows, test rows) of each fold, sorted: each row is tested once, and folds differ by one row of each class at most."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    order = shuffled[labels[shuffled].argsort(kind="stable")]
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % number
    for held in np.unique(fold):
        yield np.flatnonzero(fold != held), np.flatnonzero(fold == held)


def _fit(features: Features, labels: Codes, strength: float) -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(C=strength, max_iter=1000).fit(features, labels)


def _log_loss(model: LogisticRegression, features: Features, labels: Codes) -> float:
    """The sum over rows of -log p(label)."""
    chosen = model.predict_proba(features)[np.arange(len(labels)), np.searchsorted(model.classes_, labels)]
    return float(-np.log(np.maximum(chosen, LEAST)).sum())
