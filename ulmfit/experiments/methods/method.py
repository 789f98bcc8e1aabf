"""A method: it learns from labelled texts and gives probabilities of other texts."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from ulmfit.errors import UserError

Codes = NDArray[np.integer]
Probabilities = NDArray[np.float64]


class Fitted(Protocol):
    """A classifier that has learnt."""

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """float64 [N, L], in the order of ``texts``, one or more; rows sum to 1."""


class Method(Protocol):
    """A way to learn a classifier."""

    def fit(self, texts: Sequence[str], labels: Codes, n_labels: int) -> Fitted:
        """Learn from ``texts`` with their ``labels``, codes int [M] below ``n_labels``, which is L.

        A class without texts has probability 0. Raises UserError where all texts have the same class, or there are none.
        """


def check_classes(labels: Codes) -> None:
    """UserError where there are not two classes to tell apart."""
    if len(np.unique(labels)) < 2:
        raise UserError("a classifier needs training rows of two labels or more; all have the same one")


def spread(columns: Probabilities, classes: Codes, n_labels: int) -> Probabilities:
    """Probabilities [N, ``len(classes)``] as [N, ``n_labels``], 0 for the classes that are not among ``classes``."""
    found = np.zeros((len(columns), n_labels))
    found[:, classes] = columns
    return found
