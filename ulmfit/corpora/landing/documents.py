"""What is true now of all documents that ever landed: which of equal texts counts, and which label it has. From digests alone.

Rows are taken in the order in which they landed: by arrival, then by the file's name, then by their place in it.

- A row that has an id stands until a later row has the same id: then that one is the document as it is now.
- Of rows that stand and have the same folded text, the first one is the document; the others are duplicates.
- Its label is the latest one that any row of the same text, or of the same id, has brought.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ulmfit.corpora.ingest.duplicates import groups
from ulmfit.corpora.ingest.facts import UNKNOWN, DocumentFacts, read_facts
from ulmfit.corpora.landing.entries import LandedPart
from ulmfit.corpora.landing.origins import read_origins
from ulmfit.corpora.landing.refusal import Refusal
from ulmfit.store import filesystem

NONE = np.iinfo(np.int64).min


@dataclass(frozen=True)
class Rows:
    """All N rows that landed and are not forgotten, in the order of the parts.

    ``facts``: their digests, labels and lengths as they came. ``ids`` uint64 [N, 2]: digests of their ids. ``part`` and ``file`` int32 [N]:
    numbers of parts, and of files over all arrivals. ``refused`` bool [N]: rows that are to be forgotten.
    """

    facts: DocumentFacts
    ids: np.ndarray
    part: np.ndarray
    file: np.ndarray
    refused: np.ndarray

    def __len__(self) -> int:
        return len(self.part)

    @cached_property
    def order(self) -> np.ndarray:
        """int64 [N]: the place of each row among all, in the order in which they landed; all places are different."""
        order = np.empty(len(self), np.int64)
        order[np.lexsort((np.arange(len(self)), self.file))] = np.arange(len(self))
        return order

    @cached_property
    def folds(self) -> np.ndarray:
        """int64 [N]: equal numbers for equal folded texts."""
        return groups(self.facts.fold)

    @cached_property
    def same_id(self) -> np.ndarray:
        """int64 [N]: equal numbers for equal ids."""
        return groups(self.ids)


@dataclass(frozen=True)
class Documents:
    """The rows, and what each is now.

    ``live`` bool [N]: it is a document. Of live rows, ``label`` int32 [N]: an index of ``rows.facts.labels``, or UNKNOWN; ``labelled_by``
    int64 [N]: the row that brought the label, -1 where there is none.
    """

    rows: Rows
    live: np.ndarray
    label: np.ndarray
    labelled_by: np.ndarray


def read_rows(folder: str, parts: Sequence[LandedPart], first_files: Sequence[int], refusal: Refusal) -> Rows:
    """The rows of ``parts`` in the ledger's ``folder``. ``first_files``: for each part the number of its arrival's first file."""
    facts = read_facts([filesystem.join(folder, f"{part.stem}.facts.arrow") for part in parts], sum(part.documents for part in parts))
    origins = [read_origins(folder, part.stem) for part in parts]
    ids = np.concatenate([np.empty((0, 2), np.uint64), *(ids for ids, _ in origins)])
    files = [numbers + first for (_, numbers), first in zip(origins, first_files, strict=True)]
    part = np.repeat(np.arange(len(parts), dtype=np.int32), [part.documents for part in parts])
    return Rows(facts, ids, part, np.concatenate([np.empty(0, np.int32), *files]), refusal.among((facts.exact, facts.fold), ids))


def resolve(rows: Rows, seen: np.ndarray | None = None) -> Documents:
    """Which rows are documents, and with which labels. ``seen`` bool [N]: as it was when only these rows had landed."""
    count = len(rows)
    known = ~rows.refused if seen is None else seen & ~rows.refused
    order, label, folds, ids = rows.order, rows.facts.label, rows.folds, rows.same_id
    stands = known & (_greatest(ids, order, known)[ids] == order)
    live = stands & (_greatest(folds, -order, stands)[folds] == -order)
    labelled = known & (label != UNKNOWN)
    by_text, by_id = _greatest(folds, order, labelled), _greatest(ids, order, labelled)
    latest = np.maximum(by_text, _greatest(folds, by_id[ids], stands))[folds]  # the place of the row whose label counts
    row_at = np.empty(count + 1, np.int64)
    row_at[order], row_at[-1] = np.arange(count), -1
    labelled_by = row_at[np.where(latest == NONE, -1, latest)]
    labels = np.append(label, UNKNOWN)[labelled_by]
    return Documents(rows, live, labels, labelled_by)


def _greatest(group: np.ndarray, values: np.ndarray, which: np.ndarray) -> np.ndarray:
    """int64 [groups]: the greatest of the ``values`` [N] of those ``which`` [N] of each ``group`` [N] has; NONE where there are none."""
    greatest = np.full(int(group.max(initial=-1)) + 1, NONE)
    np.maximum.at(greatest, group[which], values[which])
    return greatest


@dataclass(frozen=True)
class Change:
    """What became of the documents with some more rows. ``documents``: texts not known before; ``labels``: documents that got their first label.

    ``corrections``: documents whose label is another since; ``superseded``: texts that newer texts of the same ids replaced;
    ``duplicates``: rows whose text was known.
    """

    documents: int
    labels: int
    corrections: int
    superseded: int
    duplicates: int


def change(rows: Rows, seen: np.ndarray) -> Change:
    """What the rows that are not ``seen`` (bool [N]) changed."""
    there, label = _by_text(resolve(rows, seen))
    there_now, label_now = _by_text(resolve(rows))
    got = there_now & (label_now != UNKNOWN)
    had = there & (label != UNKNOWN)
    texts_before, texts = (len(np.unique(rows.folds[which & ~rows.refused])) for which in (seen, np.ones(len(rows), bool)))
    return Change(
        documents=int((there_now & ~there).sum()),
        labels=int((got & ~had).sum()),
        corrections=int((got & had & (label != label_now)).sum()),
        superseded=int((there & ~there_now).sum()),
        duplicates=int((~seen & ~rows.refused).sum()) - (texts - texts_before),
    )


def _by_text(documents: Documents) -> tuple[np.ndarray, np.ndarray]:
    """For each folded text: bool, whether it is a document; int32, its label."""
    folds = documents.rows.folds
    there, label = np.zeros(int(folds.max(initial=-1)) + 1, bool), np.full(int(folds.max(initial=-1)) + 1, UNKNOWN, np.int32)
    there[folds[documents.live]], label[folds[documents.live]] = True, documents.label[documents.live]
    return there, label
