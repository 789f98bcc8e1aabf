"""Label strings: the one string that a document's labels are in a corpus, where it may have several.

Several labels are joined by ``classifier.label_separator`` (``sport|politics``). A document without labels has the separator alone
(``|``), for a row without any string cannot be used.
"""

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ulmfit.errors import UserError


def split_labels(string: str, separator: str) -> list[str]:
    """The labels in ``string``, stripped, each once and sorted; UserError for an empty label between others."""
    pieces = [piece.strip() for piece in string.split(separator)]
    if any(pieces) and not all(pieces) and not separator.isspace():
        raise UserError(
            f"label {string!r} has an empty label beside a {separator!r}; correct it, or set classifier.label_separator "
            f"(a document without labels has {separator!r} alone)"
        )
    return sorted(set(filter(None, pieces)))


def join_labels(labels: Iterable[str], separator: str) -> str:
    """The inverse of ``split_labels``. UserError for a label that is empty, holds ``separator``, or has white space around it."""
    names = sorted(set(labels))
    for name in names:
        if not name.strip():
            raise UserError(f"label {name!r} is empty; rename it")
        if separator in name:
            raise UserError(f"label {name!r} holds the separator {separator!r}; rename it, or set another classifier.label_separator")
        if name != name.strip():
            raise UserError(f"label {name!r} has white space around it; strip it")
    return separator.join(names) or separator


def strata(sets: Sequence[Sequence[str]], documents: Sequence[int] | NDArray[np.integer]) -> NDArray[np.int64]:
    """int64 [S]: the stratum of each of S label strings, which have the labels in ``sets`` and belong to so many ``documents``.

    A string's stratum is that of its rarest label, because rare labels must be spread first (Sechidis et al. 2011). Combinations of
    labels are too many to be strata. Numbered from 0; no label at all is a stratum too.
    """
    often: Counter[str] = Counter()
    for labels, number in zip(sets, documents, strict=True):
        often.update(dict.fromkeys(labels, int(number)))
    rarest = [min(labels, key=lambda label: (often[label], label), default="") for labels in sets]
    numbers = {label: number for number, label in enumerate(sorted(set(rarest)))}
    return np.array([numbers[label] for label in rarest], dtype=np.int64)


@dataclass(frozen=True, eq=False)
class LabelStrings:
    """The label strings of a corpus. ``sets`` [S]: the single labels in each of S strings.

    ``first_alike`` int32 [S + 1]: for each string the first one with the same labels. The last entry of such arrays, which -1 finds, is
    for documents without a string.
    """

    separator: str
    sets: list[list[str]]
    first_alike: np.ndarray

    @classmethod
    def of(cls, strings: Sequence[str], separator: str) -> Self:
        """UserError for a string with an empty label beside a separator."""
        sets = [split_labels(string, separator) for string in strings]
        first: dict[tuple[str, ...], int] = {}
        alike = [first.setdefault(tuple(labels), number) for number, labels in enumerate(sets)]
        return cls(separator, sets, np.array([*alike, -1], np.int32))

    def names(self, codes: Sequence[int]) -> list[str]:
        """The single labels in the strings ``codes``, sorted."""
        return sorted({label for code in codes for label in self.sets[code]})

    def documents(self, counts: Sequence[int]) -> dict[str, int]:
        """Sorted label -> documents that have it, from the documents per string (``counts`` [S]); labels of no document are left out."""
        found: Counter[str] = Counter()
        for labels, count in zip(self.sets, counts, strict=True):
            found.update(dict.fromkeys(labels, count))
        return {label: found[label] for label in sorted(found) if found[label]}

    def strata(self, codes: np.ndarray) -> np.ndarray:
        """int32 [S + 1]: the stratum of each string, for sampling from documents with the strings ``codes``."""
        counts = np.bincount(codes[codes >= 0], minlength=len(self.sets))
        return np.append(strata(self.sets, counts), -1).astype(np.int32)

    def trained(self, counts: np.ndarray) -> np.ndarray:
        """bool [S + 1]: whether training documents have all labels of a string; ``counts`` [S]: training documents per string."""
        known = set(self.names(np.flatnonzero(counts).tolist()))
        return np.array([*(known.issuperset(labels) for labels in self.sets), True])
