"""TF-IDF of words and word pairs + logistic regression with cross-validated C."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ulmfit.evaluation.baseline import fitted_words
from ulmfit.training.regression import Codes, Probabilities, check_classes, cross_validated, spread

if TYPE_CHECKING:
    from sklearn.feature_extraction.text import TfidfVectorizer
    from sklearn.linear_model import LogisticRegression


STRENGTHS = (0.1, 1.0, 10.0, 100.0, 1000.0)  # C, the inverse of the penalty


@dataclass(frozen=True)
class TfidfRegression:
    """The method; ``seed``: of the folds."""

    seed: int = 0

    def fit(self, texts: Sequence[str], labels: Codes, n_labels: int) -> FittedTfidf:
        check_classes(labels)
        words, features = fitted_words(texts)
        return FittedTfidf(words, cross_validated(features, labels, STRENGTHS, self.seed), n_labels)


@dataclass(frozen=True)
class FittedTfidf:
    words: TfidfVectorizer
    regression: LogisticRegression
    n_labels: int

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        found = self.regression.predict_proba(self.words.transform(texts))
        return spread(found, self.regression.classes_, self.n_labels)
