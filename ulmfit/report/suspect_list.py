"""The rows of a corpus whose labels may be wrong, as reports show them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Self

from ulmfit.store.json import Facts

if TYPE_CHECKING:
    from ulmfit.experiments.suspect_rows import Suspect  # which loads torch; a summary is read without

SHOWN, LONGEST = 50, 300  # suspects, and letters of the text of each


class ShownSuspect(Facts):
    """A suspect; ``text`` may be the beginning alone."""

    id: str
    label: str
    suggested: str
    score: float
    text: str


class SuspectList(Facts):
    """What ``ulmfit suspects`` found by ``method``: ``number`` suspects of ``rows`` rows, and the ``first`` of them, the most doubtful before."""

    method: str
    rows: int
    number: int
    first: tuple[ShownSuspect, ...]

    @classmethod
    def of(cls, method: str, rows: int, found: Sequence[Suspect]) -> Self:
        shown = [
            ShownSuspect(id=one.id, label=one.label, suggested=one.suggested, score=one.score, text=_beginning(one.text))
            for one in found[:SHOWN]
        ]
        return cls(method=method, rows=rows, number=len(found), first=tuple(shown))


def _beginning(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[:LONGEST]}..."
