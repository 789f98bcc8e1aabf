"""Suspects as rows of a corpus: where they stand, and the file that lists them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ulmfit.corpora.ingest.quarantine import judge
from ulmfit.corpora.reading.formats import Row
from ulmfit.errors import UserError
from ulmfit.experiments.suspects import out_of_sample, suspicion
from ulmfit.prediction.answer_files import as_text
from ulmfit.store.json import JsonObject

log = logging.getLogger(__name__)

DIGITS = 6  # of a score


@dataclass(frozen=True, eq=False)
class Labelled:
    """Rows with a text and a label: ``sources`` and ``rows`` say where each stands, ``codes`` int64 [N] are places in the sorted ``labels``."""

    sources: list[str]
    rows: list[int]
    texts: list[str]
    codes: NDArray[np.int64]
    labels: list[str]
    refused: Counter[str]


def labelled_rows(name: str, rows: Iterable[Row]) -> Labelled:
    """The rows that have both; the others are counted and told. UserError where that leaves fewer than two labels.

    ``name``: of the corpus. Rows of unlabelled text have none and are not told.
    """
    sources: list[str] = []
    numbers: list[int] = []
    texts: list[str] = []
    labels: list[str] = []
    refused: Counter[str] = Counter()
    first = ""
    for row in rows:
        if row.split == "unlabelled":
            continue
        reason, text, _, label = judge(row, needs_label=True)
        if reason or label is None:
            refused[reason] += 1
            first = first or f"row {row.row} of {row.source}"
            continue
        for column, value in ((sources, row.source), (numbers, row.row), (texts, text), (labels, label)):
            column.append(value)  # type: ignore[arg-type]  # each of its own kind
    if refused:
        told = ", ".join(f"{count:,} {reason}" for reason, count in refused.most_common())
        log.warning("%d rows cannot be judged (%s); the first is %s", refused.total(), told, first)
    names = sorted(set(labels))
    if len(names) < 2:
        raise UserError(f"{name}: its rows have {len(names)} labels, and suspects need two; choose the column with --label-column")
    places = {label: place for place, label in enumerate(names)}
    return Labelled(sources, numbers, texts, np.array([places[label] for label in labels]), names, refused)


@dataclass(frozen=True)
class Suspect:
    """A row whose label may be wrong. ``id`` is that of corpora; ``score``: the probability of ``suggested`` less that of ``label``."""

    id: str
    row: int
    text: str
    label: str
    suggested: str
    score: float


def suspect_rows(labelled: Labelled, seed: int) -> list[Suspect]:
    """The suspects among the rows, the most doubtful first. A label that only one text has cannot be judged, which is told.

    Rows with the same text and label are judged as one, for in other folds they would confirm each other.
    """
    alike: dict[tuple[str, int], list[int]] = {}
    for row, key in enumerate(zip(labelled.texts, labelled.codes.tolist(), strict=True)):
        alike.setdefault(key, []).append(row)
    texts, codes = zip(*alike, strict=True)
    places = list(alike.values())
    found = suspicion(out_of_sample(texts, np.array(codes), seed), np.array(codes))
    if lone := [labelled.labels[codes[place]] for place in np.flatnonzero(np.isnan(found.scores)).tolist()]:
        log.warning("%d labels have a single text, which cannot be judged; the first is %r", len(lone), lone[0])
    return [
        Suspect(
            f"{labelled.sources[row]}:{labelled.rows[row]}",
            labelled.rows[row],
            labelled.texts[row],
            labelled.labels[codes[place]],
            labelled.labels[found.suggested[place]],
            round(float(found.scores[place]), DIGITS),
        )
        for place in found.suspects().tolist()
        for row in places[place]
    ]


class SuspectTable:
    """How suspects are written."""

    schema: ClassVar[pa.Schema] = pa.schema(
        {"id": pa.string(), "row": pa.int64(), "text": pa.string(), "label": pa.string(), "suggested": pa.string(), "score": pa.float64()}
    )

    def nested(self, suspect: Suspect) -> JsonObject:
        """A suspect as JSON."""
        return asdict(suspect)

    def flat(self, suspect: Suspect) -> dict[str, object]:
        """A suspect as a row of a table."""
        return asdict(suspect)

    def texts(self, suspect: Suspect) -> dict[str, str | None]:
        """A suspect as a row of text."""
        return {name: as_text(value) for name, value in asdict(suspect).items()}
