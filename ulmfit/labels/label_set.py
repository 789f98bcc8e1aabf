"""The labels of a classifier: the names of its outputs, the targets that documents have, and probabilities from logits."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from ulmfit.config import ClassifierConfig
from ulmfit.errors import UserError
from ulmfit.labels.label_strings import split_labels, strata

if TYPE_CHECKING:
    from torch import Tensor

Task = Literal["multi-class", "multi-label"]
Temperature = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]  # by which logits are divided
THRESHOLD = 0.5  # a label is predicted from this probability on, if no threshold is fitted


@dataclass(frozen=True, eq=False)
class LabelSet:
    """``names`` [L]: the classifier's outputs, in order. ``table`` bool [S, L]: which of them each of the corpus's S label strings holds
    (multi-label); None where strings and names are the same (multi-class)."""

    task: Task
    names: list[str]
    table: NDArray[np.bool_] | None = None

    @classmethod
    def of(cls, strings: Sequence[str], config: ClassifierConfig) -> Self:
        """The labels of a corpus whose label strings are ``strings``, in the order of their codes.

        Multi-label names are sorted. Raises UserError where they do not make a task: fewer than two classes, one string
        twice, no label at all, or an empty label between separators.
        """
        if config.task == "multi-class":
            if len(strings) < 2:
                raise UserError(f"{len(strings)} classes are too few for a classifier; give documents of at least two")
            return cls("multi-class", _distinct(strings))
        sets = [split_labels(string, config.label_separator) for string in _distinct(strings)]
        names = sorted({name for labels in sets for name in labels})
        if not names:
            raise UserError("no document has a label; give documents that have some, or choose another column with --label-column")
        return cls("multi-label", names, indicators(sets, names))

    def __len__(self) -> int:
        return len(self.names)

    def strata_of(self, codes: NDArray[np.integer]) -> NDArray[np.integer]:
        """The strata of documents whose label strings have ``codes`` int [N]: the codes, or with several labels that of the rarest."""
        if self.table is None:
            return codes
        sets = [[self.names[label] for label in np.flatnonzero(row)] for row in self.table]
        return strata(sets, np.bincount(codes, minlength=len(sets)))[codes]

    def targets_of(self, codes: NDArray[np.integer]) -> Tensor:
        """Targets of documents whose label strings have ``codes`` int [B], none of them -1: int64 [B], or float32 [B, L] of 0 and 1."""
        from torch import from_numpy  # here, so that reading a corpus loads no torch

        assert not len(codes) or codes.min() >= 0, "a document without a label string has no target"
        if self.table is None:
            return from_numpy(np.asarray(codes, dtype=np.int64))
        return from_numpy(self.table[codes].astype(np.float32))

    def truth_of(self, codes: NDArray[np.integer]) -> NDArray[Any]:
        """The same as arrays: int64 [B], a class each; or bool [B, L], any number of labels each."""
        return np.asarray(codes, dtype=np.int64) if self.table is None else self.table[codes]


def indicators(sets: Sequence[Iterable[str]], names: Sequence[str]) -> NDArray[np.bool_]:
    """bool [N, L]: which of ``names`` each of N documents has. KeyError for a label that is none of them."""
    columns = {name: column for column, name in enumerate(names)}
    table = np.zeros((len(sets), len(names)), dtype=bool)
    for row, labels in enumerate(sets):
        table[row, [columns[label] for label in labels]] = True
    return table


def probabilities(logits: Tensor, task: Task, temperature: float = 1.0) -> Tensor:
    """float32 [N, L] of logits [N, L]: a softmax over the classes, or a sigmoid for each label, of ``logits / temperature``."""
    scaled = logits.float() / temperature
    return scaled.softmax(1) if task == "multi-class" else scaled.sigmoid()


def _distinct(strings: Sequence[str]) -> list[str]:
    """``strings`` as a list; UserError for one that is empty or stands there twice."""
    seen: set[str] = set()
    for string in strings:
        if not string.strip():
            raise UserError("a label is empty; name it, or drop its documents")
        if string in seen:
            raise UserError(f"label {string!r} stands twice among the labels; give each once")
        seen.add(string)
    return list(strings)
