"""Scores as the report shows them: the table of systems, the verdict and the confusion matrix; ``evaluation/metrics.py`` computes them."""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Self

from ulmfit.evaluation.results import Estimate, Results
from ulmfit.report.numbers import points, signed

METRICS = {"accuracy": "Accuracy", "micro_f1": "Micro-F1", "macro_f1": "Macro-F1", "roc_auc": "ROC AUC"}
MATRIX_LABELS = 20  # with more, the most frequent confusions are listed in place of the matrix


def metric_titles(results: Results) -> dict[str, str]:
    """Titles of the scores in the results; where a document may have several labels, accuracy means that all labels are right."""
    scores = next(iter(results.systems.values()))
    titles = METRICS | ({"accuracy": "All labels right"} if results.task == "multi-label" else {})
    return {metric: title for metric, title in titles.items() if metric in scores}


@dataclass(frozen=True)
class Axis:
    """A scale from ``low`` to ``high`` in steps of ``step`` that holds the accuracy and the interval of every system."""

    low: float
    high: float
    step: float

    @classmethod
    def of(cls, estimates: Iterable[Estimate]) -> Self:
        """The axis of round numbers that holds the estimates."""
        known = [value for found in estimates for value in (found.low, found.value, found.high) if value is not None]
        low, high = min(known, default=0.0), max(known, default=1.0)
        step = next(step for step in (0.005, 0.01, 0.02, 0.05, 0.1, 0.25) if (high - low) / step <= 4 or step == 0.25)
        start, end = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
        return cls(start, end, step) if end > start else cls(start - step, end, step)

    def position(self, value: float | None) -> float | None:
        """Where a value lies, in percent of the axis."""
        return None if value is None else round(100 * (value - self.low) / (self.high - self.low), 2)

    def ticks(self) -> Iterator[tuple[float, str]]:
        """Positions in percent of the axis, and the text there."""
        for i in range(round((self.high - self.low) / self.step) + 1):
            yield round(100 * i * self.step / (self.high - self.low), 2), f"{100 * (self.low + i * self.step):.3g}%"

    def whisker(self, estimate: Estimate) -> Estimate:
        """Positions of an estimate and its interval."""
        return Estimate(value=self.position(estimate.value), low=self.position(estimate.low), high=self.position(estimate.high))


class Verdict(NamedTuple):
    """``tone`` is better, worse, unsure or alone."""

    tone: str
    sentence: str


def verdict(difference: Estimate | None) -> Verdict:
    """Whether the model is better than the baseline, judged by the interval of their difference in accuracy."""
    if difference is None or difference.value is None or difference.low is None or difference.high is None:
        return Verdict("alone", "There is no baseline in this run to compare with.")
    value, low, high = difference.value, difference.low, difference.high
    if low > 0:
        found = f"The model is more accurate than the baseline, by {points(value)} points ({points(low)} to {points(high)})."
        return Verdict("better", found)
    if high < 0:
        found = f"The baseline is more accurate than the model, by {points(-value)} points ({points(-high)} to {points(-low)})"
        return Verdict("worse", f"{found}: use the baseline, or give the model more text.")
    found = f"{signed(value)} points ({signed(low)} to {signed(high)})"
    return Verdict("unsure", f"The documents judged show no clear difference between the model and the baseline: {found}.")


@dataclass(frozen=True)
class Cell:
    """``count`` documents, out of ``of`` with one label, that are predicted as another."""

    count: int
    of: int

    @property
    def share(self) -> float:
        """Of the row."""
        return self.count / self.of if self.of else 0.0

    @property
    def tint(self) -> int:
        """The strength of the colour, 0 to 60."""
        return round(60 * math.sqrt(self.share))


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
    rows = [(label, [Cell(count, sum(row)) for count in row]) for label, row in zip(labels, counts, strict=True)]
    pairs = [
        Confused(cell.count, cell.share, label, labels[j])
        for i, (label, cells) in enumerate(rows)
        for j, cell in enumerate(cells)
        if i != j and cell.count
    ]
    return Matrix(rows, len(labels) <= MATRIX_LABELS, sorted(pairs, key=lambda pair: -pair.documents)[:MATRIX_LABELS])
