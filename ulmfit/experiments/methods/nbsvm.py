"""NB-SVM (Wang & Manning 2012, "Baselines and bigrams"): a linear SVM on words and word pairs that are weighted by naive Bayes.

Features are whether a word or pair occurs, times its log-count ratio r; w is the weight of an SVM with squared hinge loss. Of two classes the
weight used is (1 - beta) * mean|w| + beta * w, between naive Bayes and the SVM, as in the paper, which has no others. Of more, each against
the rest, it is w: the ratios of a small class are positive for nearly every word that it lacks, since its counts are mostly smoothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ulmfit.models.words import WORD
from ulmfit.training.regression import Codes, Probabilities, check_classes, spread

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import CountVectorizer

ALPHA, BETA, STRENGTH = 1.0, 0.25, 1.0  # smoothing, interpolation and C, as in the paper


@dataclass(frozen=True)
class NaiveBayesSVM:
    """The method; ``seed``: of the order in which the SVM's solver sees the rows."""

    seed: int = 0

    def fit(self, texts: Sequence[str], labels: Codes, n_labels: int) -> FittedNaiveBayesSVM:
        from sklearn.feature_extraction.text import CountVectorizer

        check_classes(labels)
        words = CountVectorizer(ngram_range=(1, 2), binary=True, token_pattern=WORD, dtype=np.float64)
        features, classes = words.fit_transform(texts), np.unique(labels)
        needed = classes[1:] if len(classes) == 2 else classes  # of two classes one classifier tells
        beta = BETA if len(classes) == 2 else 1.0
        planes = [nbsvm_plane(features, labels == code, beta, self.seed) for code in needed]
        weights, biases = zip(*planes, strict=True)
        return FittedNaiveBayesSVM(words, np.stack(weights, axis=1), np.array(biases), classes, n_labels)


@dataclass(frozen=True)
class FittedNaiveBayesSVM:
    """``weights`` float64 [F, K] and ``biases`` [K]: K is 1 for two classes, else the number of ``classes``."""

    words: CountVectorizer
    weights: NDArray[np.float64]
    biases: NDArray[np.float64]
    classes: Codes
    n_labels: int

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """Softmax of the distances from the planes: their order is right, they are not calibrated."""
        from scipy.special import softmax

        distances = self.words.transform(texts) @ self.weights + self.biases
        if len(self.classes) == 2:
            distances = np.hstack([np.zeros_like(distances), distances])
        return spread(softmax(distances, axis=1), self.classes, self.n_labels)


def log_count_ratio(features: csr_matrix, positive: NDArray[np.bool_]) -> NDArray[np.float64]:
    """r [F]: the logarithm of p/|p| over q/|q|; p and q count the ``features`` [M, F] of the positive rows and of the others, plus alpha."""
    p = ALPHA + np.asarray(features[positive].sum(axis=0)).ravel()
    q = ALPHA + np.asarray(features[~positive].sum(axis=0)).ravel()
    return np.log(p / p.sum()) - np.log(q / q.sum())


def nbsvm_plane(features: csr_matrix, positive: NDArray[np.bool_], beta: float, seed: int) -> tuple[NDArray[np.float64], float]:
    """Weight [F] and bias of the plane that parts the positive rows from the others; for ``features`` before they are weighted by r.

    ``beta``: 0 is naive Bayes, 1 the SVM.
    """
    from sklearn.svm import LinearSVC

    ratio = log_count_ratio(features, positive)
    model = LinearSVC(C=STRENGTH, random_state=seed, max_iter=10_000).fit(features.multiply(ratio).tocsr(), positive)
    w = model.coef_[0]
    return ratio * ((1 - beta) * np.abs(w).mean() + beta * w), float(model.intercept_[0])
