"""Training of the model of words that stands beside the two directions in an ensemble."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix

from ulmfit.models.words import Terms, WordModel, features, pieces_of, words_of
from ulmfit.training.regression import Codes, cross_validated

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)  # C, the inverse of the penalty
MANY = 5_000  # rows from which on C is 10, as trying others takes long and gains little
MOST = 100_000  # words and pairs, and as many pieces: the most frequent
RARE = 3_000  # rows from which on a term has to occur twice


def train_words(texts: Sequence[str], truth: NDArray[Any], labels: int, seed: int) -> WordModel:
    """Logistic regression on TF-IDF. ``truth`` [M]: int codes below ``labels``, a class each; or bool [M, ``labels``], any number each."""
    words, pieces = known_terms(map(words_of, texts), len(texts)), known_terms(map(pieces_of, texts), len(texts))
    found = features(words, pieces, texts)
    if truth.ndim == 1:
        weights, biases = _classes(found, truth, labels, seed)
    else:
        columns = [_label(found, has) for has in truth.T]
        weights, biases = np.stack([column for column, _ in columns], axis=1), np.array([bias for _, bias in columns])
    return WordModel(words, pieces, weights.astype(np.float32), biases.astype(np.float32))


def known_terms(found: Iterable[list[str]], texts: int) -> Terms:
    """The terms of so many ``texts`` and their inverse document frequencies, smoothed as scikit-learn does it; in the order of the alphabet."""
    counts = Counter[str]()
    for terms in found:
        counts.update(set(terms))
    least = 1 if texts < RARE else 2
    frequent = sorted((term for term, count in counts.items() if count >= least), key=lambda term: (-counts[term], term))[:MOST]
    terms = sorted(frequent)
    seen = np.array([counts[term] for term in terms], dtype=np.float64)
    return Terms(terms, (np.log((1 + texts) / (1 + seen)) + 1).astype(np.float32))


def _classes(features: csr_matrix, codes: Codes, labels: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights [F, labels] and biases [labels]; a class that no row has is never given."""
    weights, biases = np.zeros((features.shape[1], labels)), np.full(labels, -np.inf)
    if len(known := np.unique(codes)) == 1:
        biases[known] = 0
        return weights, biases
    strengths = STRENGTHS if len(codes) < MANY else (10.0,)
    found = cross_validated(features, codes, strengths, seed)
    if len(found.classes_) == 2:  # one score tells them apart
        biases[found.classes_] = 0, found.intercept_[0]
        weights[:, found.classes_[1]] = found.coef_[0]
    else:
        biases[found.classes_], weights[:, found.classes_] = found.intercept_, found.coef_.T
    return weights, biases


def _label(features: csr_matrix, has: NDArray[np.bool_]) -> tuple[NDArray[np.float64], float]:
    """Weights [F] and bias of one label of several; infinite for one that all rows have, or none."""
    from sklearn.linear_model import LogisticRegression

    if has.all() or not has.any():
        return np.zeros(features.shape[1]), np.inf if has.all() else -np.inf
    found = LogisticRegression(C=10.0, max_iter=1000).fit(features, has)
    return found.coef_[0], float(found.intercept_[0])
