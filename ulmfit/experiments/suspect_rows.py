"""Suspects as rows of a corpus: where they stand, and the file that lists them."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import ClassVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from ulmfit.corpora.ingest.quarantine import judge as judge_row
from ulmfit.corpora.reading.formats import Row
from ulmfit.corpora.text_digests import fold
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
    """The rows that have both; the others are counted in a warning. UserError where that leaves fewer than two labels.

    ``name``: of the corpus. Rows of unlabelled text are not counted.
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
        reason, text, _, label = judge_row(row, needs_label=True)
        if reason or label is None:
            refused[reason] += 1
            first = first or f"row {row.row} of {row.source}"
            continue
        sources.append(row.source)
        numbers.append(row.row)
        texts.append(text)
        labels.append(label)
    if refused:
        reasons = ", ".join(f"{count:,} {reason}" for reason, count in refused.most_common())
        log.warning("%d rows cannot be judged (%s); the first is %s", refused.total(), reasons, first)
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


Judge = Callable[[Sequence[str], NDArray[np.int64]], NDArray[np.float64]]  # texts and codes [N] -> probabilities [N, L], NaN: not judged


def by_words(seed: int) -> Judge:
    """Judged by TF-IDF + logistic regression."""
    return lambda texts, codes: out_of_sample(texts, codes, seed)


def by_predictions(labelled: Labelled, ids: Sequence[str], names: Sequence[str], probabilities: NDArray[np.floating]) -> Judge:
    """Judged by ``probabilities`` [M, K] of labels ``names`` that documents ``ids`` of the corpus have; a text that was dropped there as
    a duplicate by those of the one that was kept."""
    places = {name: place for place, name in enumerate(ids)}
    known: dict[bytes, int] = {}
    for source, row, text in zip(labelled.sources, labelled.rows, labelled.texts, strict=True):
        if (place := places.get(f"{source}:{row}")) is not None:
            known[fold(text)] = place
    columns = {name: column for column, name in enumerate(names)}

    def looked_up(texts: Sequence[str], codes: NDArray[np.int64]) -> NDArray[np.float64]:
        found = np.full((len(texts), len(labelled.labels)), np.nan)
        rows = [(at, known[digest]) for at, digest in enumerate(map(fold, texts)) if digest in known]
        for place, label in enumerate(labelled.labels):
            found[[at for at, _ in rows], place] = probabilities[[row for _, row in rows], columns[label]] if label in columns else 0.0
        found[np.bincount(codes)[codes] == 1] = np.nan
        return found

    return looked_up


def suspect_rows(labelled: Labelled, judge: Judge) -> list[Suspect]:
    """The suspects among the rows, the most doubtful first. A label that only one text has cannot be judged; a warning says so.

    Rows with the same text and label are judged as one, for in other folds they would confirm each other.
    """
    alike: dict[tuple[str, int], list[int]] = {}
    for row, key in enumerate(zip(labelled.texts, labelled.codes.tolist(), strict=True)):
        alike.setdefault(key, []).append(row)
    texts, codes = zip(*alike, strict=True)
    places = list(alike.values())
    found = suspicion(judge(texts, np.array(codes)), np.array(codes))
    unjudged, alone = np.isnan(found.scores), np.bincount(codes)[list(codes)] == 1
    if lone := [labelled.labels[codes[place]] for place in np.flatnonzero(unjudged & alone).tolist()]:
        log.warning("%d labels have a single text, which cannot be judged; the first is %r", len(lone), lone[0])
    if aside := [labelled.rows[places[place][0]] for place in np.flatnonzero(unjudged & ~alone).tolist()]:
        log.warning("%d texts are not judged, for the corpus does not take them; the first is row %d", len(aside), aside[0])
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
