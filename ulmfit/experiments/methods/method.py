"""A method: it learns from labelled texts and gives probabilities of other texts."""

from collections.abc import Sequence
from typing import Protocol

from ulmfit.training.regression import Codes, Probabilities


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
