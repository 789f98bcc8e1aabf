"""What one would use instead: TF-IDF of words and word pairs, and logistic regression, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ulmfit.errors import UserError

NAME = "TF-IDF + logistic regression"
MAX_FEATURES = 1_000_000


def baseline_probabilities(
    train_texts: Sequence[str],
    train_labels: Sequence[int] | NDArray[Any],
    test_texts: Sequence[str],
    seed: int,
    n_labels: int | None = None,
) -> NDArray[np.float64]:
    """Probabilities float64 [N, L] of ``test_texts`` by a classifier trained on ``train_texts``.

    ``train_labels``: codes int [M], where L is ``n_labels``, or else the highest code + 1, and a class that no training row has
    gets probability 0; or bool [M, L], any number of labels each, for which one classifier a label is trained (one-versus-rest), and
    a label that all training rows have, or none, gets probability 1 or 0. Raises UserError where the rows have one class alone.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    labels = np.asarray(train_labels)
    width = labels.shape[1] if labels.ndim == 2 else n_labels or int(labels.max()) + 1
    if labels.ndim == 1 and len(np.unique(labels)) < 2:
        raise UserError("the baseline needs training rows of two labels or more; all have the same one")
    if not len(test_texts):
        return np.zeros((0, width))
    words = TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=_min_df(len(train_texts)),
        sublinear_tf=True,
        max_features=MAX_FEATURES,
        token_pattern=r"(?u)\b\w+\b|[^\w\s]",  # marks such as ! and single letters count too
        dtype=np.float32,
    )
    train, test = words.fit_transform(train_texts), words.transform(test_texts)
    if labels.ndim == 1:
        return _regression(train, labels, test, seed, width)
    columns = [_regression(train, truth.astype(np.int64), test, seed, 2)[:, 1] for truth in labels.T]
    return np.stack(columns, axis=1)


def _regression(train: Any, codes: NDArray[np.integer], test: Any, seed: int, width: int) -> NDArray[np.float64]:
    """Probabilities float64 [N, width]; of one class alone they are 1."""
    from sklearn.linear_model import LogisticRegression

    probabilities = np.zeros((test.shape[0], width))
    known = np.unique(codes)
    if len(known) == 1:
        probabilities[:, known] = 1.0
        return probabilities
    model = LogisticRegression(C=10.0, max_iter=1000, random_state=seed).fit(train, codes)
    probabilities[:, model.classes_] = model.predict_proba(test)
    return probabilities


def _min_df(documents: int) -> int:
    """Rare word pairs are noise in a large corpus and all there is in a small one."""
    return 1 if documents < 300 else 2 if documents < 10_000 else 3
