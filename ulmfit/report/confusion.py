"""The confusion matrix as the report shows it; ``evaluation/metrics.py`` computes it."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

MATRIX_LABELS = 20  # with more, the most frequent confusions are listed in place of the matrix


@dataclass(frozen=True)
class Cell:
    """Documents of one label predicted as another, their ``share`` of the row, and the strength of the colour, 0 to 60."""

    count: int
    share: float
    tint: int


class Confused(NamedTuple):
    """Documents of one label predicted as another, and their share of the label's documents."""

    documents: int
    share: float
    labelled: str
    predicted: str


@dataclass(frozen=True)
class Matrix:
    """The rows by true label, whether the ``whole`` matrix is shown, and the most frequent confusions."""

    rows: list[tuple[str, list[Cell]]]
    whole: bool
    pairs: list[Confused]


def matrix_of(labels: Sequence[str], counts: Sequence[Sequence[int]]) -> Matrix:
    """The matrix of ``counts`` [L, L], a row per true label and a column per predicted one."""
    rows = [(label, _cells(row)) for label, row in zip(labels, counts, strict=True)]
    pairs = [
        Confused(cell.count, cell.share, label, labels[j])
        for i, (label, cells) in enumerate(rows)
        for j, cell in enumerate(cells)
        if i != j and cell.count
    ]
    return Matrix(rows, len(labels) <= MATRIX_LABELS, sorted(pairs, key=lambda pair: -pair.documents)[:MATRIX_LABELS])


def _cells(row: Sequence[int]) -> list[Cell]:
    total = sum(row)
    shares = [count / total if total else 0 for count in row]
    return [Cell(count, share, round(60 * math.sqrt(share))) for count, share in zip(row, shares, strict=True)]
