"""What one would use instead: TF-IDF of words and word pairs, and logistic regression, on the same rows."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ulmfit.errors import UserError

NAME = "TF-IDF + logistic regression"
MAX_FEATURES = 1_000_000


def baseline_probabilities(
    train_texts: Sequence[str],
    train_labels: Sequence[int] | NDArray[np.integer],
    test_texts: Sequence[str],
    seed: int,
    n_labels: int | None = None,
) -> NDArray[np.float64]:
    """Probabilities float64 [N, L] of ``test_texts`` by a classifier trained on ``train_texts`` with label codes.

    L is ``n_labels``, or else the highest code + 1; a class that no training row has gets probability 0.
    Raises UserError where the training rows have one class alone.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression

    codes = np.asarray(train_labels)
    width = n_labels or int(codes.max()) + 1
    if len(np.unique(codes)) < 2:
        raise UserError("the baseline needs training rows of two labels or more; all have the same one")
    probabilities = np.zeros((len(test_texts), width))
    if not len(test_texts):
        return probabilities
    words = TfidfVectorizer(
        ngram_range=(1, 2),
        min_df=_min_df(len(train_texts)),
        sublinear_tf=True,
        max_features=MAX_FEATURES,
        token_pattern=r"(?u)\b\w+\b|[^\w\s]",  # marks such as ! and single letters count too
        dtype=np.float32,
    )
    model = LogisticRegression(C=10.0, max_iter=1000, random_state=seed)
    model.fit(words.fit_transform(train_texts), codes)
    probabilities[:, model.classes_] = model.predict_proba(words.transform(test_texts))
    return probabilities


def _min_df(documents: int) -> int:
    """Rare word pairs are noise in a large corpus and all there is in a small one."""
    return 1 if documents < 300 else 2 if documents < 10_000 else 3
