"""The mean of a text's word vectors + logistic regression with cross-validated C: the baseline of Enso's experiments."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ulmfit.models.words import WORD
from ulmfit.training.regression import Codes, Probabilities, check_classes, cross_validated, spread

if TYPE_CHECKING:
    from sklearn.linear_model import LogisticRegression

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0)  # C, the inverse of the penalty

Vectors = Mapping[str, NDArray[np.float32]]


def words_of(text: str) -> list[str]:
    """The words and marks of a text, in lower case, as GloVe's vocabulary has them."""
    return re.findall(WORD, text.lower())


def vocabulary(texts: Iterable[str]) -> set[str]:
    """The words whose vectors are looked up."""
    return {word for text in texts for word in words_of(text)}


def mean_vectors(texts: Sequence[str], vectors: Vectors) -> NDArray[np.float64]:
    """float64 [N, size]: the mean over the words of each text that have a vector; 0 where none has."""
    means = np.zeros((len(texts), len(next(iter(vectors.values())))))
    for row, text in enumerate(texts):
        if found := [vectors[word] for word in words_of(text) if word in vectors]:
            means[row] = np.mean(found, axis=0)
    return means


@dataclass(frozen=True)
class MeanVectors:
    """The method. ``vectors``: word -> float32 [size], one word at least; ``seed``: of the folds."""

    vectors: Vectors = field(repr=False)
    seed: int = 0

    def fit(self, texts: Sequence[str], labels: Codes, n_labels: int) -> FittedMeanVectors:
        check_classes(labels)
        means = mean_vectors(texts, self.vectors)
        scale = np.maximum(means.std(axis=0), 1e-6)
        centre = means.mean(axis=0)
        regression = cross_validated((means - centre) / scale, labels, STRENGTHS, self.seed)
        return FittedMeanVectors(self.vectors, centre, scale, regression, n_labels)


@dataclass(frozen=True)
class FittedMeanVectors:
    """``centre`` and ``scale`` float64 [size]: mean and standard deviation over the training texts."""

    vectors: Vectors = field(repr=False)
    centre: NDArray[np.float64]
    scale: NDArray[np.float64]
    regression: LogisticRegression
    n_labels: int

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        means = (mean_vectors(texts, self.vectors) - self.centre) / self.scale
        return spread(self.regression.predict_proba(means), self.regression.classes_, self.n_labels)
