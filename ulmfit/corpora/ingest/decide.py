"""The second step of ingest, in the driver: calls ``duplicates`` and ``splitting``, and says for each document which split it goes to.

The order is fixed: duplicates are dropped, test and validation rows held out where the source has none, overlap removed, and only
then are the ``max_*`` samples drawn.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np

from ulmfit.config import CorpusConfig
from ulmfit.corpora.ingest.duplicates import drop_duplicates, drop_overlap, groups
from ulmfit.corpora.ingest.facts import UNKNOWN, DocumentFacts
from ulmfit.corpora.ingest.splitting import CHUNK, LEAST, draw_samples, hold_out
from ulmfit.corpora.quality.quality_record import Findings, SplitQuality
from ulmfit.corpora.splits import DROPPED, SPLITS, TEST, TRAIN, VALID
from ulmfit.errors import UserError
from ulmfit.labels.label_strings import LabelStrings
from ulmfit.store.recipe import canonical_json


@dataclass(frozen=True)
class Subject:
    """What an error names: the source, the column of its labels if they come from one, and a document by its number."""

    source: str
    column: str | None
    name_of: Callable[[int], str]

    @property
    def labels(self) -> str:
        """Where the labels come from."""
        return self.source if self.column is None else f"{self.source}: column {self.column!r}"


def check_labels(facts: DocumentFacts, split: np.ndarray, subject: Subject, strings: LabelStrings | None, removed: int = 0) -> None:
    """UserError unless there are two classes or more with ``LEAST`` training rows each, and none in valid or test alone.

    ``strings``: what the label strings hold, where a document may have several labels; a combination of them may be rare.
    ``removed``: documents that were taken out because they stand in two splits; errors tell them.
    """
    leaks = f" ({removed} documents that stand in two splits were removed from one: give other rows to test on)" if removed else ""
    train = facts.label[split == TRAIN]
    counts = np.bincount(train, minlength=len(facts.labels))
    known = np.flatnonzero(counts)
    if not len(known):
        raise UserError(f"{subject.labels}: there is no labelled training row{leaks}")
    if len(known) == 1:
        raise UserError(
            f"{subject.labels} holds one class only ({facts.labels[known[0]]!r}); a classifier needs two: choose another with --label-column{leaks}"
        )
    trained = strings.trained(counts) if strings else counts > 0
    for code in (TEST, VALID):
        strange = np.flatnonzero((split == code) & ~trained[facts.label])
        if len(strange):
            listed = ", ".join((strings.names(known.tolist()) if strings else [facts.labels[label] for label in known.tolist()])[:10])
            raise UserError(
                f"row {subject.name_of(int(strange[0]))} has the label {facts.labels[facts.label[strange[0]]]!r}, which no training row has "
                f"(they have: {listed}); correct or drop it{leaks}"
            )
    if strings:
        return
    rare = [facts.labels[label] for label in np.flatnonzero((counts > 0) & (counts < LEAST)).tolist()]
    if rare:
        others = f" (so have {len(rare) - 1} other classes)" if len(rare) > 1 else ""
        raise UserError(
            f"class {rare[0]!r} has 1 training row{others}: merge it with another class or drop it; each needs {LEAST} or more{leaks}"
        )


@dataclass(frozen=True)
class Decided:
    """What becomes of N documents. ``split`` int8 [N], an index of ``SPLITS`` or ``DROPPED``; ``label`` int32 [N], as in DocumentFacts.

    ``strings``: what the facts' labels hold, where a document may have several.
    """

    facts: DocumentFacts
    split: np.ndarray
    label: np.ndarray
    strings: LabelStrings | None = None

    @property
    def labels(self) -> list[str]:
        """The labels of the documents that are kept, sorted."""
        return [self.facts.labels[code] for code in self._codes().tolist()]

    @property
    def names(self) -> list[str]:
        """The single labels of the documents that are kept, sorted."""
        return self.strings.names(self._codes().tolist()) if self.strings else self.labels

    def _codes(self) -> np.ndarray:
        """The labels' indices, int64 [labels]."""
        used = np.unique(self.label[self.split != DROPPED])
        return used[used != UNKNOWN]

    @property
    def digest(self) -> str:
        """SHA-256 over (split, label, exact text) of the documents kept, in order: no path, no time, no id."""
        digest = hashlib.sha256(canonical_json([self.strings.separator, self.labels] if self.strings else self.labels))
        number = np.full(len(self.facts.labels) + 1, UNKNOWN, np.int32)  # UNKNOWN finds the last
        number[self._codes()] = np.arange(len(self._codes()))
        for start in range(0, len(self.split), CHUNK):
            kept = start + np.flatnonzero(self.split[start : start + CHUNK] != DROPPED)
            rows = np.empty(len(kept), np.dtype([("split", "i1"), ("label", "<i4"), ("exact", "<u8", 2)]))
            rows["split"], rows["label"], rows["exact"] = self.split[kept], number[self.label[kept]], self.facts.exact[kept]
            digest.update(rows.tobytes())
        return digest.hexdigest()

    def splits(self) -> dict[str, SplitQuality]:
        """What each split holds."""
        return {split: self._split(np.flatnonzero(self.split == code)) for code, split in enumerate(SPLITS)}

    def _split(self, members: np.ndarray) -> SplitQuality:
        counts = np.bincount(self.label[members] + 1, minlength=len(self.facts.labels) + 1)[1:].tolist()
        single = {label: count for label, count in zip(self.facts.labels, counts, strict=True) if count}
        labels = self.strings.documents(counts) if self.strings else single
        return SplitQuality.of(self.facts.characters[members], labels, sum(counts))


def decide(
    facts: DocumentFacts, config: CorpusConfig, labelled: bool, subject: Subject, findings: Findings, separator: str | None = None
) -> Decided:
    """The final split of each document. What is found on the way is added to ``findings``.

    ``labelled=False``: general text, which needs no labels. ``separator``: stands between the labels of a document; None: a
    document has one label. Raises UserError where the labels do not make a classification.
    """
    split, label = facts.split.copy(), facts.label.copy()
    folds = groups(facts.fold)
    strings = LabelStrings.of(facts.labels, separator) if labelled and separator else None
    alike = replace(facts, label=strings.first_alike[facts.label]) if strings else facts
    drop_duplicates(alike, split, folds, findings)
    if labelled:
        check_labels(facts, split, subject, strings)
    strata = replace(facts, label=strings.strata(facts.label[split == TRAIN])[facts.label]) if strings else facts
    hold_out(strata, split, config, labelled)
    drop_overlap(split, folds, findings)
    if labelled:
        check_labels(
            facts, split, subject, strings, findings.overlap_removed
        )  # again: what was removed may have been the last of its class
        if not (split == TEST).any():
            raise UserError(
                f"{subject.source}: there are no rows to test on; give them with --test, or leave corpus.test_share above 0 "
                f"and have more than {LEAST} rows in a class"
            )
    draw_samples(strata, split, label, config, labelled)
    return Decided(facts, split, label, strings)
