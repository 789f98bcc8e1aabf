"""The second step of ingest: duplicates, splits, overlap and samples, decided for each document from its facts, in the driver.

The order is fixed: duplicates are dropped, test and validation rows held out where the source has none, overlap removed, and only
then are the ``max_*`` samples drawn.
"""

import hashlib
from dataclasses import dataclass, replace

import numpy as np

from ulmfit.config import CorpusConfig
from ulmfit.corpora.ingest.duplicates import drop_duplicates, drop_overlap, groups
from ulmfit.corpora.ingest.facts import UNKNOWN, Facts
from ulmfit.corpora.ingest.label_checks import Subject, check_labels
from ulmfit.corpora.ingest.sampling import draw_samples
from ulmfit.corpora.ingest.splitting import LEAST, hold_out
from ulmfit.corpora.quality.findings import Findings, SplitCounts
from ulmfit.corpora.quality.measuring import histogram
from ulmfit.corpora.splits import DROPPED, SPLITS, TEST, TRAIN
from ulmfit.errors import UserError
from ulmfit.labels.label_strings import LabelStrings
from ulmfit.store.recipe import canonical_json

CHUNK = 1 << 16  # documents hashed at a time


@dataclass(frozen=True)
class Decided:
    """What becomes of N documents. ``split`` int8 [N], an index of ``SPLITS`` or ``DROPPED``; ``label`` int32 [N], as in Facts.

    ``strings``: what the facts' labels hold, where a document may have several.
    """

    facts: Facts
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

    def counts(self) -> dict[str, SplitCounts]:
        """What each split holds."""
        return {split: self._counts(np.flatnonzero(self.split == code)) for code, split in enumerate(SPLITS)}

    def _counts(self, members: np.ndarray) -> SplitCounts:
        characters = self.facts.characters[members]
        counts = np.bincount(self.label[members] + 1, minlength=len(self.facts.labels) + 1)[1:].tolist()
        labels = {label: count for label, count in zip(self.facts.labels, counts, strict=True) if count}
        return SplitCounts(
            documents=len(members),
            characters=int(characters.sum()),
            labels=self.strings.documents(counts) if self.strings else labels,
            labelled=sum(counts),
            lengths=histogram(characters),
        )


def decide(
    facts: Facts, config: CorpusConfig, labelled: bool, subject: Subject, findings: Findings, separator: str | None = None
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
        check_labels(facts, split, subject, strings)  # again: what was removed may have been the last of its class
        if not (split == TEST).any():
            raise UserError(
                f"{subject.source}: there are no rows to test on; give them with --test, or leave corpus.test_share above 0 "
                f"and have more than {LEAST} rows in a class"
            )
    draw_samples(strata, split, label, config, labelled)
    return Decided(facts, split, label, strings)
