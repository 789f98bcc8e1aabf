"""Logistic regression with the strength of its penalty chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ulmfit.experiments.methods.method import Codes, check_classes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    Features: TypeAlias = csr_matrix | NDArray[np.floating]  # [M, F]

FOLDS = 5
LEAST = 1e-12  # of a probability whose logarithm is taken


def cross_validated(features: Features, labels: Codes, strengths: Sequence[float], seed: int) -> LogisticRegression:
    """The regression, fitted on all rows with the C of the rising ``strengths`` that has the lowest log loss over ``FOLDS`` stratified folds.

    ``features`` [M, F]; ``labels`` int [M]. In a fold, rows of a class that the fold's training rows lack are not counted. Where
    no fold can be counted, C is the middle one. UserError where all rows have the same class.
    """
    check_classes(labels)
    losses = np.zeros(len(strengths))
    for train, test in folds(labels, FOLDS, seed):
        known = test[np.isin(labels[test], labels[train])]
        if len(known) and len(np.unique(labels[train])) > 1:
            losses += _log_losses(features, labels, strengths, train, known)
    best = int(losses.argmin()) if losses.any() else len(strengths) // 2
    return _regression().set_params(C=strengths[best]).fit(features, labels)


def folds(labels: Codes, number: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(training rows, test rows) of each fold, sorted: each row is tested once, and folds differ by one row of each class at most."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    order = shuffled[labels[shuffled].argsort(kind="stable")]
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % number
    for held in np.unique(fold):
        yield np.flatnonzero(fold != held), np.flatnonzero(fold == held)


def _log_losses(
    features: Features, labels: Codes, strengths: Sequence[float], train: NDArray[np.int64], test: NDArray[np.int64]
) -> NDArray[np.float64]:
    """For each strength the sum over test rows of -log p(label); each fit begins where the one before ended."""
    model, given, true = _regression().set_params(warm_start=True), features[train], labels[test]
    losses = []
    for strength in strengths:
        model.set_params(C=strength).fit(given, labels[train])
        chosen = model.predict_proba(features[test])[np.arange(len(test)), np.searchsorted(model.classes_, true)]
        losses.append(-np.log(np.maximum(chosen, LEAST)).sum())
    return np.array(losses)


def _regression() -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)
