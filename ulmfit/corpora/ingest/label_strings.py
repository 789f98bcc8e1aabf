"""What the label strings of a corpus are made of, where a document may have several labels (see ``ulmfit/labels/label_set.py``)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ulmfit.labels.label_set import split_labels, strata


@dataclass(frozen=True, eq=False)
class LabelSets:
    """``held`` [S]: the single labels in each of S label strings. ``first_alike`` int32 [S + 1]: the first string with the same labels.

    Arrays by string have one place more, the last, which -1 finds: no string.
    """

    separator: str
    held: list[list[str]]
    first_alike: np.ndarray

    @classmethod
    def of(cls, strings: Sequence[str], separator: str) -> LabelSets:
        """UserError for a string with an empty label beside a separator."""
        held = [split_labels(string, separator) for string in strings]
        first: dict[tuple[str, ...], int] = {}
        alike = [first.setdefault(tuple(labels), number) for number, labels in enumerate(held)]
        return cls(separator, held, np.array([*alike, -1], np.int32))

    def names(self, codes: Sequence[int]) -> list[str]:
        """The single labels in the strings ``codes``, sorted."""
        return sorted({label for code in codes for label in self.held[code]})

    def documents(self, counts: Sequence[int]) -> dict[str, int]:
        """How many documents have each label, ``counts`` [S] being those of the strings; sorted, without labels that none has."""
        found: Counter[str] = Counter()
        for labels, count in zip(self.held, counts, strict=True):
            found.update(dict.fromkeys(labels, count))
        return {label: found[label] for label in sorted(found) if found[label]}

    def strata(self, codes: np.ndarray) -> np.ndarray:
        """int32 [S + 1]: the stratum to sample each string's documents by, where the documents to sample from have ``codes``."""
        counts = np.bincount(codes[codes >= 0], minlength=len(self.held))
        return np.append(strata(self.held, counts), -1).astype(np.int32)

    def trained(self, counts: np.ndarray) -> np.ndarray:
        """bool [S + 1]: whether all labels of a string are among those of the training documents, ``counts`` [S] by string."""
        known = set(self.names(np.flatnonzero(counts).tolist()))
        return np.array([*(known.issuperset(labels) for labels in self.held), True])
