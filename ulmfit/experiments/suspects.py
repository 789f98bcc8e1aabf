"""Which labels may be wrong: confident learning (Northcutt et al. 2021) on probabilities of rows that were not learnt from."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ulmfit.evaluation.baseline import fitted_words
from ulmfit.experiments.methods.method import Codes
from ulmfit.experiments.methods.tfidf import STRENGTHS
from ulmfit.progress import progress
from ulmfit.training.regression import FOLDS, cross_validation

METHOD = f"TF-IDF + logistic regression, {FOLDS} folds"


@dataclass(frozen=True, eq=False)
class Suspicion:
    """How doubtful each of N labels is.

    ``suggested`` int64 [N]: the likeliest other class. ``scores`` float64 [N]: its probability less that of the label, -1 to 1; NaN for the only
    row of a class, which cannot be judged. ``confident`` bool [N]: whether another class is likelier than the label, and as likely as it is
    on average in the rows that have it as their label.
    """

    suggested: NDArray[np.int64]
    scores: NDArray[np.float64]
    confident: NDArray[np.bool_]

    def ranked(self) -> NDArray[np.int64]:
        """The rows that can be judged: first those that are confident, then the most doubtful."""
        order = np.lexsort((-self.scores, ~self.confident))
        return order[~np.isnan(self.scores[order])]

    def suspects(self) -> NDArray[np.int64]:
        """The rows whose labels may be wrong, the most doubtful first."""
        return self.ranked()[: self.confident.sum()]


def out_of_sample(texts: Sequence[str], labels: Codes, seed: int) -> NDArray[np.float64]:
    """Probabilities float64 [N, L] of ``texts`` by classifiers that learnt from the other folds; ``labels`` are codes 0 to L - 1, each of
    which occurs. NaN for the only row of a class. UserError where all have the same label."""
    features = fitted_words(texts)[1]
    with progress("suspects", FOLDS * len(STRENGTHS), "fits") as bar:
        return cross_validation(features, labels, STRENGTHS, seed, bar).probabilities


def suspicion(probabilities: NDArray[np.float64], labels: Codes) -> Suspicion:
    """Of out-of-sample ``probabilities`` [N, L] and the ``labels`` int [N] as they are."""
    rows = np.arange(len(labels))
    own = probabilities[rows, labels]
    judged = ~np.isnan(own)
    usual = np.array(
        [own[judged & (labels == code)].mean() if (judged & (labels == code)).any() else np.inf for code in range(probabilities.shape[1])]
    )
    others = np.where(np.arange(probabilities.shape[1]) == labels[:, None], -1.0, probabilities)
    above = np.where(others >= usual, others, -1.0)
    confident = judged & (above.max(axis=1) > own)
    suggested = np.where(confident, above.argmax(axis=1), np.where(judged[:, None], others, 0.0).argmax(axis=1))
    return Suspicion(suggested, probabilities[rows, suggested] - own, confident)
