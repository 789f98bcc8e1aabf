"""What is true now of all documents that ever landed: which of equal texts counts, and which label it has. From digests alone.

Rows are taken in the order in which they landed: by arrival, then by the file's name, then by their place in it.

- A row that has an id stands until a later row has the same id: then that one is the document as it is now.
- Of rows that stand and have the same folded text, the first one is the document; the others are duplicates.
- Its label is the latest one that any row of the same text, or of the same id, has brought.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np

from ulmfit.corpora.ingest.duplicates import groups
from ulmfit.corpora.ingest.facts import UNKNOWN, DocumentFacts, read_facts
from ulmfit.corpora.landing.entries import LandedPart
from ulmfit.corpora.landing.late_labels import read_late_labels
from ulmfit.corpora.landing.origins import read_origins
from ulmfit.corpora.landing.refusal import Refusal
from ulmfit.store import filesystem

NONE = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Late:
    """M labels that came without a text. ``ids`` uint64 [M, 2], ``label``, ``part`` and ``file`` int32 [M], ``refused`` bool [M]: as those of Rows."""

    ids: np.ndarray
    label: np.ndarray
    part: np.ndarray
    file: np.ndarray
    refused: np.ndarray


@dataclass(frozen=True)
class Rows:
    """All N rows with a text that landed, in the order of the parts, and the labels that came ``late``, for ids.

    ``facts``: their digests, labels and lengths as they came. ``ids`` uint64 [N, 2]: digests of their ids. ``part`` and ``file`` int32 [N]:
    numbers of parts, and of files over all arrivals. ``refused`` bool [N]: rows that are to be forgotten; ``judging`` bool [N]: rows of the
    test file, which stay as they are, and whose texts are no other documents.
    """

    facts: DocumentFacts
    ids: np.ndarray
    part: np.ndarray
    file: np.ndarray
    refused: np.ndarray
    judging: np.ndarray
    late: Late

    def __len__(self) -> int:
        return len(self.part)

    @cached_property
    def order(self) -> np.ndarray:
        """int64 [N + M]: the place of each row and late label among all, in the order in which they landed; all places are different."""
        file = np.concatenate([self.file, self.late.file])
        order = np.empty(len(file), np.int64)
        order[np.lexsort((np.arange(len(file)), file))] = np.arange(len(file))
        return order

    @cached_property
    def folds(self) -> np.ndarray:
        """int64 [N]: equal numbers for equal folded texts."""
        return groups(self.facts.fold)

    @cached_property
    def same_id(self) -> np.ndarray:
        """int64 [N + M]: equal numbers for equal ids."""
        return groups(np.concatenate([self.ids, self.late.ids]))


@dataclass(frozen=True)
class Documents:
    """The rows, and what each is now.

    ``live`` bool [N]: it is a document. Of live rows, ``label`` int32 [N]: an index of ``rows.facts.labels``, or UNKNOWN. ``overlap``: texts
    that would be documents, were they not in the test file.
    """

    rows: Rows
    live: np.ndarray
    label: np.ndarray
    overlap: int


def read_rows(folder: str, parts: Sequence[LandedPart], first_files: Sequence[int], refusal: Refusal) -> Rows:
    """The rows of ``parts`` in the ledger's ``folder``. ``first_files``: for each part the number of its arrival's first file."""
    texts = [number for number, part in enumerate(parts) if part.documents]
    facts = read_facts(
        [filesystem.join(folder, f"{parts[number].stem}.facts.arrow") for number in texts], sum(part.documents for part in parts)
    )
    origins = [read_origins(folder, parts[number].stem) for number in texts]
    ids = np.concatenate([np.empty((0, 2), np.uint64), *(ids for ids, _ in origins)])
    files = [numbers + first_files[number] for number, (_, numbers) in zip(texts, origins, strict=True)]
    part = np.repeat(np.arange(len(parts), dtype=np.int32), [part.documents for part in parts])
    late, facts = _late(folder, parts, first_files, refusal, facts)
    judging = np.array([part.test for part in parts], bool)[part]
    return Rows(
        facts, ids, part, np.concatenate([np.empty(0, np.int32), *files]), refusal.among((facts.exact, facts.fold), ids), judging, late
    )


def _late(
    folder: str, parts: Sequence[LandedPart], first_files: Sequence[int], refusal: Refusal, facts: DocumentFacts
) -> tuple[Late, DocumentFacts]:
    """The labels that came without a text; and the facts, with labels numbered over all."""
    late = {number: read_late_labels(folder, part.stem) for number, part in enumerate(parts) if part.labels}
    names = [label for labels in late.values() for label in labels.labels]
    labels = sorted({*facts.labels, *names})
    code = {name: number for number, name in enumerate(labels)}
    numbered = np.array([*(code[name] for name in facts.labels), UNKNOWN], np.int32)
    ids = np.concatenate([np.empty((0, 2), np.uint64), *(labels.digests for labels in late.values())])
    label = np.array([code[name] for name in names], np.int32)
    part = np.repeat(np.array([*late], np.int32), [len(labels) for labels in late.values()])
    file = np.array([first_files[number] + file for number, labels in late.items() for file in labels.files], np.int32)
    return Late(ids, label, part, file, refusal.among((), ids)), replace(facts, label=numbered[facts.label], labels=labels)


def resolve(rows: Rows, hidden: Collection[int] = ()) -> Documents:
    """Which rows are documents, and with which labels. ``hidden``: numbers of parts; as it was before these landed."""
    count = len(rows)
    late, folds, ids, order = rows.late, rows.folds, rows.same_id, rows.order
    label = np.concatenate([rows.facts.label, late.label])
    part = np.concatenate([rows.part, late.part])
    there = ~np.concatenate([rows.refused, late.refused]) & ~np.isin(part, list(hidden))
    texts = slice(0, count)
    judging = there[texts] & rows.judging
    known = there & ~np.concatenate([rows.judging, np.zeros(len(late.part), bool)])
    stands = known[texts] & (_greatest(ids[texts], order[texts], known[texts])[ids[texts]] == order[texts])
    live = stands & (_greatest(folds, -order[texts], stands)[folds] == -order[texts])
    labelled = known & (label != UNKNOWN)
    by_text, by_id = _greatest(folds, order[texts], labelled[texts]), _greatest(ids, order, labelled)
    latest = np.maximum(by_text, _greatest(folds, by_id[ids[texts]], stands))[folds]  # the place of what brought the label that counts
    label_at = np.full(len(order) + 1, UNKNOWN, np.int32)
    label_at[order] = label
    judged = np.isin(folds, folds[judging]) & live
    now = np.where(judging, rows.facts.label, label_at[np.where(latest == NONE, -1, latest)])
    return Documents(rows, (live & ~judged) | judging, now, int(judged.sum()))


@dataclass(frozen=True)
class Change:
    """What became of the documents with some more parts. ``documents``: texts not known before; ``labels``: documents that got their first label.

    ``corrections``: documents whose label is another since; ``superseded``: texts that newer texts of the same ids replaced;
    ``duplicates``: rows whose text was known; ``waiting``: labels for ids of which no text has come yet.
    """

    documents: int
    labels: int
    corrections: int
    superseded: int
    duplicates: int
    waiting: int


def change(rows: Rows, parts: Collection[int]) -> Change:
    """What the ``parts`` of these numbers changed."""
    there, label = _by_text(resolve(rows, parts))
    there_now, label_now = _by_text(resolve(rows))
    got = there_now & (label_now != UNKNOWN)
    had = there & (label != UNKNOWN)
    landed = ~rows.refused & ~rows.judging
    new, late = np.isin(rows.part, list(parts)) & landed, np.isin(rows.late.part, list(parts)) & ~rows.late.refused
    known, now = len(np.unique(rows.folds[landed & ~new])), len(np.unique(rows.folds[landed]))
    with_text = np.isin(rows.same_id[len(rows) :], rows.same_id[: len(rows)][~rows.refused])
    return Change(
        documents=int((there_now & ~there).sum()),
        labels=int((got & ~had).sum()),
        corrections=int((got & had & (label != label_now)).sum()),
        superseded=int((there & ~there_now).sum()),
        duplicates=int(new.sum()) - (now - known),
        waiting=int((late & ~with_text).sum()),
    )


@dataclass(frozen=True)
class Relabelled:
    """C times that a document's label gave way to another, int64 [C] each: the document's ``row``, its labels ``before`` and ``after`` (indices
    of ``rows.facts.labels``), and the ``file`` that brought the later one."""

    row: np.ndarray
    before: np.ndarray
    after: np.ndarray
    file: np.ndarray


def relabelled(documents: Documents) -> Relabelled:
    """Every label of a document that is one no more, in the order in which the later ones came."""
    rows = documents.rows
    live = np.flatnonzero(documents.live & ~rows.judging)
    row_of_text = np.full(int(rows.folds.max(initial=-1)) + 1, -1)
    row_of_text[rows.folds[live]] = live
    row_of_id = np.full(int(rows.same_id.max(initial=-1)) + 1, -1)
    placed = np.argsort(rows.order[: len(rows)])  # of rows with one id the last one counts
    placed = placed[~rows.judging[placed]]
    row_of_id[rows.same_id[placed]] = row_of_text[rows.folds[placed]]
    by_text, by_id = row_of_text[rows.folds], row_of_id[rows.same_id]  # a label counts for the text it came with, and for its id
    again = np.where(by_id[: len(rows)] == by_text, -1, by_id[: len(rows)])
    row = np.concatenate([by_text, again, by_id[len(rows) :]])
    event = np.concatenate([np.arange(len(rows)), np.arange(len(by_id))])
    label, file = np.concatenate([rows.facts.label, rows.late.label])[event], np.concatenate([rows.file, rows.late.file])[event]
    left, order = np.concatenate([rows.refused | rows.judging, rows.late.refused])[event], rows.order[event]
    counts = np.flatnonzero((row >= 0) & (label != UNKNOWN) & ~left)
    counts = counts[np.lexsort((order[counts], row[counts]))]
    gives_way = np.flatnonzero((row[counts][1:] == row[counts][:-1]) & (label[counts][1:] != label[counts][:-1]))
    gives_way = gives_way[np.argsort(order[counts[gives_way + 1]])]
    earlier, later = counts[gives_way], counts[gives_way + 1]
    return Relabelled(row[later], label[earlier].astype(np.int64), label[later].astype(np.int64), file[later].astype(np.int64))


def _by_text(documents: Documents) -> tuple[np.ndarray, np.ndarray]:
    """For each folded text: bool, whether it is a document; int32, its label."""
    folds, landed = documents.rows.folds, documents.live & ~documents.rows.judging
    there, label = np.zeros(int(folds.max(initial=-1)) + 1, bool), np.full(int(folds.max(initial=-1)) + 1, UNKNOWN, np.int32)
    there[folds[landed]], label[folds[landed]] = True, documents.label[landed]
    return there, label


def _greatest(group: np.ndarray, values: np.ndarray, which: np.ndarray) -> np.ndarray:
    """int64 [groups]: the greatest of the ``values`` [N] of those ``which`` [N] of each ``group`` [N] has; NONE where there are none."""
    greatest = np.full(int(group.max(initial=-1)) + 1, NONE)
    np.maximum.at(greatest, group[which], values[which])
    return greatest
