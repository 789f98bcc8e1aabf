"""Whether two versions of a model can be compared on the same held-out rows, and if not, why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from ulmfit.evaluation.metrics import Labels
from ulmfit.evaluation.predictions import Predictions
from ulmfit.evaluation.reasons import quoted
from ulmfit.labels.label_set import Task

LISTED = 5  # labels that a sentence names at most


@dataclass(frozen=True, eq=False)
class Rows:
    """N held-out rows: ``labels`` int [N], a class each, or bool [N, L], any number of labels each; ``names`` [L] of the labels.

    ``slices`` are bool masks [N] by name.
    """

    labels: Labels
    names: Sequence[str]
    slices: Mapping[str, NDArray[np.bool_]] = field(default_factory=dict)

    @property
    def task(self) -> Task:
        """What the labels are those of."""
        return "multi-label" if self.labels.ndim == 2 else "multi-class"


@dataclass(frozen=True, eq=False)
class Candidate:
    """A version of a model: its labels' ``names`` [L], in the order of the columns of its ``predictions`` for the held-out rows.

    ``seconds`` are those of one text, ``bytes`` the size of the model; None, or no number, where they were not measured.
    """

    task: Task
    names: Sequence[str]
    predictions: Predictions
    seconds: float | None = None
    bytes: int | None = None

    def ordered(self, names: Sequence[str]) -> Predictions:
        """Its probabilities [N, L] and thresholds [L] with the labels in the order of ``names``, which are its own."""
        columns = [list(self.names).index(name) for name in names]
        thresholds = self.predictions.thresholds
        return Predictions(
            np.asarray(self.predictions.probabilities)[:, columns],
            thresholds=None if thresholds is None else np.asarray(thresholds)[columns],
        )


def obstacles(rows: Rows, champion: Candidate, challenger: Candidate, min_rows: int) -> list[str]:
    """Why the two cannot be compared on the rows, a sentence for each reason; empty where they can."""
    found = [*_between(champion, challenger)]
    for which, side in (("champion", champion), ("challenger", challenger)):
        found += _of_side(which, side, rows)
    if (n := len(rows.labels)) < min_rows:
        found.append(f"Too few held-out rows: {n:,}, and the policy asks for at least {min_rows:,}.")
    if rows.task == "multi-class" and (outside := int(((rows.labels < 0) | (rows.labels >= len(rows.names))).sum())):
        found.append(f"A label outside the names occurs in {outside:,} of the {n:,} held-out rows.")
    return found


def _between(champion: Candidate, challenger: Candidate) -> list[str]:
    if champion.task != challenger.task:
        return [f"The tasks differ: the champion is {champion.task}, the challenger {challenger.task}."]
    before, now = set(champion.names), set(challenger.names)
    gone, new = _named(before - now), _named(now - before)
    if gone and new:
        return [f"The labels differ: only the champion has {gone}, only the challenger {new}."]
    return [f"The labels differ: only the {who} has {which}." for who, which in (("champion", gone), ("challenger", new)) if which]


def _of_side(which: str, side: Candidate, rows: Rows) -> list[str]:
    shares = np.asarray(side.predictions.probabilities)
    found = []
    if side.task != rows.task:
        found.append(f"The {which} is {side.task}, the held-out rows are {rows.task}.")
    if sorted(side.names) != sorted(rows.names):
        found.append(f"The {which}'s labels are not those of the held-out rows.")
    if shares.shape != (len(rows.labels), len(side.names)):
        shape = " x ".join(f"{size:,}" for size in shares.shape)
        found.append(f"The {which}'s probabilities are {shape}, and should be {len(rows.labels):,} rows x {len(side.names):,} labels.")
    elif not np.isfinite(shares).all():
        strange = int((~np.isfinite(shares)).any(1).sum())
        found.append(f"The {which}'s probabilities are not finite in {strange:,} of the {len(shares):,} rows.")
    return found


def _named(labels: set[str]) -> str:
    listed = ", ".join(quoted(label) for label in sorted(labels)[:LISTED])
    return f"{listed} and {len(labels) - LISTED:,} more" if len(labels) > LISTED else listed
