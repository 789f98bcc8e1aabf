"""The baseline that a model is compared with: logistic regression on TF-IDF of words and word pairs, trained on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ulmfit.errors import UserError
from ulmfit.models.words import WORD

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix
    from sklearn.feature_extraction.text import TfidfVectorizer

NAME = "TF-IDF + logistic regression"
MAX_FEATURES = 1_000_000


def baseline_probabilities(
    train_texts: Sequence[str],
    train_labels: Sequence[int] | NDArray[np.integer] | NDArray[np.bool_],
    test_texts: Sequence[str],
    seed: int,
    n_labels: int | None = None,
) -> NDArray[np.float64]:
    """Probabilities float64 [N, L] of ``test_texts`` by a classifier trained on ``train_texts``.

    ``train_labels`` int [M] are codes of classes: L is ``n_labels`` (default: the highest code + 1), and a class without training
    rows has probability 0. ``train_labels`` bool [M, L] are any number of labels each: one classifier is trained per label
    (one-versus-rest), and a label that all training rows have, or none, has probability 1 or 0. Raises UserError where all rows
    have the same class.
    """
    labels = np.asarray(train_labels)
    width = labels.shape[1] if labels.ndim == 2 else n_labels or int(labels.max()) + 1
    if labels.ndim == 1 and len(np.unique(labels)) < 2:
        raise UserError("the baseline needs training rows of two labels or more; all have the same one")
    if not len(test_texts):
        return np.zeros((0, width))
    words, train = fitted_words(train_texts)
    test = words.transform(test_texts)
    if labels.ndim == 1:
        return _regression(train, labels, test, seed, width)
    columns = [_regression(train, truth.astype(np.int64), test, seed, 2)[:, 1] for truth in labels.T]
    return np.stack(columns, axis=1)


def fitted_words(texts: Sequence[str], most: int = MAX_FEATURES) -> tuple[TfidfVectorizer, csr_matrix]:
    """TF-IDF of the ``most`` frequent words and word pairs of ``texts`` (M), and their features, float32 [M, F]."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    # Documents that a word must be in: rare word pairs are noise in a large corpus, and most of a small one.
    least = 1 if len(texts) < 300 else 2 if len(texts) < 10_000 else 3
    words = TfidfVectorizer(ngram_range=(1, 2), min_df=least, sublinear_tf=True, max_features=most, token_pattern=WORD, dtype=np.float32)
    try:
        return words, words.fit_transform(texts)
    except ValueError:  # no word is in so many, as in scripts without spaces
        words.set_params(min_df=1)
        return words, words.fit_transform(texts)


def _regression(train: csr_matrix, codes: NDArray[np.integer], test: csr_matrix, seed: int, width: int) -> NDArray[np.float64]:
    """Probabilities float64 [N, width]; 1 for a class that all training rows have."""
    from sklearn.linear_model import LogisticRegression

    probabilities = np.zeros((test.shape[0], width))
    known = np.unique(codes)
    if len(known) == 1:
        probabilities[:, known] = 1.0
        return probabilities
    model = LogisticRegression(C=10.0, max_iter=1000, random_state=seed).fit(train, codes)
    probabilities[:, model.classes_] = model.predict_proba(test)
    return probabilities
