"""Answers: what is predicted of each record, or why nothing is, in the order of the records and without holding them all."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import repeat

import numpy as np

from ulmfit.prediction.explain import explain
from ulmfit.prediction.explanation import Explanation
from ulmfit.prediction.familiar import Strangeness
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.records import Record
from ulmfit.prediction.resume import Kept, Piece
from ulmfit.prediction.strangeness import strangeness

PIECE_RECORDS, PIECE_CHARACTERS = 1_000, 4_000_000  # that are predicted together, at most
EXPLAINED = 10  # records of a piece with explanations, each of which takes about a second
DIGITS = 8  # of a probability
CLOSE = 1e-6  # how much a probability depends on what else is predicted
UNSURE = "not sure"  # the reason


@dataclass(frozen=True, slots=True)
class Answer:
    """``labels`` and ``probabilities`` [L] of the record's text; both None where the record has a reason instead. ``explanation``: of the
    likeliest label, and ``strange``, if they were asked for. ``unsure``: its probability is too low to be an answer."""

    record: Record
    labels: list[str] | None = None
    probabilities: list[float] | None = None
    explanation: Explanation | None = None
    unsure: bool = False
    strange: Strangeness | None = None

    @property
    def reason(self) -> str | None:
        """Why there is no label; None where there is one."""
        return self.record.reason or (UNSURE if self.unsure else None)


@dataclass(frozen=True)
class Wishes:
    """What answers have besides labels and probabilities: explanations if ``explained``; how strange the texts are if ``judged``; no label
    below the probability ``sure_from``."""

    explained: bool = False
    sure_from: float = 0.0
    judged: bool = False


def answers(predictor: Predictor, records: Iterable[Record], wishes: Wishes = Wishes(), kept: Kept | None = None) -> Iterator[list[Answer]]:
    """An answer for each record, in pieces. A probability does not depend on the piece beyond 1e-6.

    A piece that was ``kept`` is not predicted again, and one that is predicted is kept.
    """
    for piece in pieces(records, EXPLAINED if wishes.explained else PIECE_RECORDS):
        found = _predicted(predictor, [record.text for record in piece if not record.reason], wishes, kept)
        labels = predictor.decide(np.array(found.probabilities, dtype=np.float32).reshape(-1, len(predictor.labels)))
        rows = zip(labels, found.probabilities, found.explanations or repeat(None), found.strange or repeat(None), strict=False)
        yield [Answer(record) if record.reason else _answer(record, *next(rows), wishes) for record in piece]


def _predicted(predictor: Predictor, texts: list[str], wishes: Wishes, kept: Kept | None) -> Piece:
    if kept and (found := kept.find(texts)):
        return found
    probabilities = predictor.probabilities(texts, shown=False).tolist()
    explanations = [explain(predictor, text) for text in texts] if wishes.explained else None
    piece = Piece(probabilities, explanations, strangeness(predictor, texts) if wishes.judged else None)
    if kept:
        kept.keep(texts, piece)
    return piece


def _answer(
    record: Record, labels: list[str], probabilities: list[float], why: Explanation | None, strange: Strangeness | None, wishes: Wishes
) -> Answer:
    unsure = max(probabilities) < wishes.sure_from - CLOSE
    return Answer(record, labels, [round(value, DIGITS) for value in probabilities], why, unsure, strange)


def pieces(records: Iterable[Record], most: int = PIECE_RECORDS) -> Iterator[list[Record]]:
    """The records, as many at a time as are predicted together."""
    piece: list[Record] = []
    characters = 0
    for record in records:
        piece.append(record)
        characters += len(record.text)
        if len(piece) == most or characters >= PIECE_CHARACTERS:
            yield piece
            piece, characters = [], 0
    if piece:
        yield piece


@dataclass
class Summary:
    """Counts of answers: ``refused`` by reason, and the name of the ``first``; ``unsure``: without a label, with probabilities."""

    rows: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    first: str = ""
    unsure: int = 0

    def add(self, given: Iterable[Answer]) -> None:
        """Count further answers."""
        answers = list(given)
        self.count(answer.record for answer in answers)
        self.unsure += sum(answer.unsure for answer in answers)

    def count(self, records: Iterable[Record]) -> None:
        """Count further records."""
        for record in records:
            self.rows += 1
            if record.reason:
                self.refused[record.reason] += 1
                self.first = self.first or record.name

    @property
    def line(self) -> str:
        """One line for the user."""
        rows, without = f"{self.rows:,} row{'' if self.rows == 1 else 's'}", self.refused.total()
        unsure = f"; {self.unsure:,} too unsure for a label" if self.unsure else ""
        if not without:
            return f"{rows}, each with a prediction{unsure}"
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in self.refused.most_common())
        return f"{rows}, {without:,} without a prediction ({reasons}); the first is {self.first}{unsure}"
