"""Logistic regression with the strength of its penalty chosen by cross-validation."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from ulmfit.errors import UserError
from ulmfit.progress import Bar

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.linear_model import LogisticRegression

    Features: TypeAlias = csr_matrix | NDArray[np.floating]  # [M, F]

Codes = NDArray[np.integer]
Probabilities = NDArray[np.float64]

FOLDS = 5
LEAST = 1e-12  # of a probability whose logarithm is taken


@dataclass(frozen=True)
class CrossValidated:
    """What cross-validation found: the best of the strengths, and the probabilities that it gave rows it had not learnt from.

    ``probabilities`` float64 [M, K], a column a class in the order of their codes; NaN in rows whose class nothing else has.
    """

    strength: float
    probabilities: Probabilities


def cross_validated(features: Features, labels: Codes, strengths: Sequence[float], seed: int) -> LogisticRegression:
    """The regression, fitted on all rows with the best of the rising ``strengths``. UserError where all rows have the same class."""
    check_classes(labels)
    strength = cross_validation(features, labels, strengths, seed).strength if len(strengths) > 1 else strengths[0]
    return _regression().set_params(C=strength).fit(features, labels)


def cross_validation(features: Features, labels: Codes, strengths: Sequence[float], seed: int, bar: Bar | None = None) -> CrossValidated:
    """Try the rising ``strengths`` over ``FOLDS`` stratified folds; the best has the lowest log loss.

    ``features`` [M, F]; ``labels`` int [M]. In a fold, rows of a class that the fold's training rows lack are not counted. Where
    no fold can be counted, the middle strength is the best. UserError where all rows have the same class.
    """
    check_classes(labels)
    classes, codes = np.unique(labels, return_inverse=True)
    found = np.full((len(strengths), len(labels), len(classes)), np.nan)
    for train, test in folds(labels, FOLDS, seed):
        known = test[np.isin(labels[test], labels[train])]
        if len(known) and len(np.unique(labels[train])) > 1:
            model = _regression().set_params(warm_start=True)  # each fit begins where the one before ended
            for at, strength in enumerate(strengths):
                model.set_params(C=strength).fit(features[train], labels[train])
                columns = np.searchsorted(classes, model.classes_)
                found[at, known] = spread(model.predict_proba(features[known]), columns, len(classes))
                if bar:
                    bar.advance(1)
    chosen = found[:, np.arange(len(labels)), codes]
    losses = -np.log(np.maximum(chosen, LEAST, where=~np.isnan(chosen), out=np.ones_like(chosen))).sum(axis=1)
    best = int(losses.argmin()) if losses.any() else len(strengths) // 2
    return CrossValidated(strengths[best], found[best])


def folds(labels: Codes, number: int, seed: int) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """(training rows, test rows) of each fold, sorted: each row is tested once, and folds differ by one row of each class at most."""
    shuffled = np.random.default_rng(seed).permutation(len(labels))
    order = shuffled[labels[shuffled].argsort(kind="stable")]
    fold = np.empty(len(labels), np.int64)
    fold[order] = np.arange(len(labels)) % number
    for tested in np.unique(fold):
        yield np.flatnonzero(fold != tested), np.flatnonzero(fold == tested)


def check_classes(labels: Codes) -> None:
    """UserError where there are not two classes to tell apart."""
    if len(np.unique(labels)) < 2:
        raise UserError("a classifier needs training rows of two labels or more; all have the same one")


def spread(columns: Probabilities, classes: Codes, n_labels: int) -> Probabilities:
    """Probabilities [N, ``len(classes)``] as [N, ``n_labels``], 0 for the classes that are not among ``classes``."""
    found = np.zeros((len(columns), n_labels))
    found[:, classes] = columns
    return found


def _regression() -> LogisticRegression:
    from sklearn.linear_model import LogisticRegression

    return LogisticRegression(max_iter=1000)
