"""Training of the model of words that stands beside the two directions in an ensemble."""

from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from scipy.special import logit

from ulmfit.labels.label_set import Task
from ulmfit.models.words import Features, Terms, Themes, WordModel, pieces_of, words_of
from ulmfit.training.regression import FOLDS, Codes, cross_validated, folds

STRENGTHS = (1.0, 3.0, 10.0, 30.0, 100.0)  # C, the inverse of the penalty
MANY = 5_000  # rows from which on C is 10, as trying others takes long and gains little
MOST = 100_000  # words and pairs, and as many pieces: the most frequent
RARE = 3_000  # rows from which on a term has to occur twice
THEMES = 100  # of words, and as many of pieces
MOST_OF_THEMES = 15_000  # words and pairs, and as many pieces
READ, BEGINNING = 10_000, 1_000  # texts, and characters of each, by which themes are found
FEWEST = 1_000  # texts, below which no themes are found


def train_words(
    texts: Sequence[str], truth: NDArray[Any], labels: int, seed: int, read: Sequence[str] = (), themes: int = THEMES
) -> WordModel:
    """Logistic regression on TF-IDF. ``truth`` [M]: int codes below ``labels``, a class each; or bool [M, ``labels``], any number each.

    ``read``: all the text there is, in which words that go together are found; without any, ``texts``.
    """
    sample = _sample(read or texts, seed)
    known = Features(*_terms(texts), find_themes(sample, words_of, 2, themes, seed), find_themes(sample, pieces_of, 3, themes, seed))
    return _regression(known, texts, truth, labels, seed)


def out_of_fold(model: WordModel, texts: Sequence[str], truth: NDArray[Any], seed: int) -> NDArray[np.float32]:
    """Probabilities [M, L] of texts by models like ``model``, each of the folds that the text is not in; they share its themes.

    ``truth`` [M] or [M, L]: see :func:`train_words`.
    """
    task: Task = "multi-class" if truth.ndim == 1 else "multi-label"
    strata = np.unique(truth, axis=0, return_inverse=True)[1].ravel()
    found = np.empty((len(texts), len(model.biases)), np.float32)
    for learnt, left_out in folds(strata, FOLDS, seed):
        words, pieces = _terms(read := [texts[row] for row in learnt])
        its = _regression(replace(model.features, words=words, pieces=pieces), read, truth[learnt], len(model.biases), seed)
        found[left_out] = its.probabilities([texts[row] for row in left_out], task)
    return found


def _terms(texts: Sequence[str]) -> tuple[Terms, Terms]:
    """Words and pairs, and pieces, of the texts to learn from."""
    words, pieces = (known_terms(map(cut, texts), len(texts), 1 if len(texts) < RARE else 2, MOST) for cut in (words_of, pieces_of))
    return words, pieces


def _regression(known: Features, texts: Sequence[str], truth: NDArray[Any], labels: int, seed: int) -> WordModel:
    found = known.of(texts)
    if truth.ndim == 1:
        weights, biases = _classes(found, truth, labels, seed)
    else:
        columns = [_label(found, has) for has in truth.T]
        weights, biases = np.stack([column for column, _ in columns], axis=1), np.array([bias for _, bias in columns])
    return WordModel(known, weights.astype(np.float32), biases.astype(np.float32))


def _sample(texts: Sequence[str], seed: int) -> list[str]:
    chosen = np.sort(np.random.default_rng(seed).permutation(len(texts))[:READ]).tolist()
    return [texts[row][:BEGINNING] for row in chosen]


def find_themes(texts: Sequence[str], cut: Callable[[str], list[str]], least: int, number: int, seed: int) -> Themes:
    """The axes along which the ``texts`` differ most, by truncated singular value decomposition; none of few texts."""
    from sklearn.decomposition import TruncatedSVD

    terms = known_terms(map(cut, texts), len(texts), least, MOST_OF_THEMES)
    number = min(number, len(terms.terms) - 1)
    if len(texts) < FEWEST or number < 1:
        return Themes(Terms([], np.zeros(0, np.float32)), np.zeros((0, 0), np.float32))
    found = TruncatedSVD(number, n_iter=3, random_state=seed).fit(terms.features(map(cut, texts)))
    return Themes(terms, found.components_.T.astype(np.float16).astype(np.float32))  # as it is kept


def known_terms(found: Iterable[list[str]], texts: int, least: int, most: int) -> Terms:
    """The terms that ``least`` of so many ``texts`` have, the ``most`` frequent, and their inverse document frequencies, smoothed as
    scikit-learn does it; in the order of the alphabet."""
    counts = Counter[str]()
    for terms in found:
        counts.update(set(terms))
    frequent = sorted((term for term, count in counts.items() if count >= least), key=lambda term: (-counts[term], term))[:most]
    known = sorted(frequent)
    seen = np.array([counts[term] for term in known], dtype=np.float64)
    return Terms(known, (np.log((1 + texts) / (1 + seen)) + 1).astype(np.float32))


def _classes(features: csr_matrix, codes: Codes, labels: int, seed: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Weights [F, labels] and biases [labels]; a class that no row has is never given."""
    weights, biases = np.zeros((features.shape[1], labels)), np.full(labels, -np.inf)
    known, counts = np.unique(codes, return_counts=True)
    if len(known) == 1 or not features.shape[1]:
        biases[known] = np.log(counts / len(codes))
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

    if has.all() or not has.any() or not features.shape[1]:
        with np.errstate(divide="ignore"):
            return np.zeros(features.shape[1]), float(logit(has.mean()))
    found = LogisticRegression(C=10.0, max_iter=1000).fit(features, has)
    return found.coef_[0], float(found.intercept_[0])
