"""Removes duplicates: repeats within a split, and training rows whose text also stands among the test or validation rows (leaks).

- The same text with the same label twice in a split: the first is kept. Test rows are all kept, so that an official test set
  stays what it is.
- A text that also stands in the test rows, compared without case and white space, is removed from train, valid and unlabelled;
  one that stands in valid, from train and unlabelled; one that stands in train, from unlabelled.
"""

import numpy as np

from ulmfit.corpora.ingest.facts import DocumentFacts
from ulmfit.corpora.quality.quality_record import Findings
from ulmfit.corpora.splits import DROPPED, JUDGES, SPLITS, TEST, TRAIN


def groups(digests: np.ndarray) -> np.ndarray:
    """int64 [N]: equal numbers, from 0 without gaps, for equal ``digests`` [N, 2]."""
    order = np.lexsort((digests[:, 1], digests[:, 0]))
    changes = np.zeros(len(order), bool)
    for word in digests.T:
        ordered = word[order]
        changes[1:] |= ordered[1:] != ordered[:-1]
    numbers = np.empty(len(order), np.int64)
    numbers[order] = np.cumsum(changes)
    return numbers


def _repeated(keys: np.ndarray) -> np.ndarray:
    """bool [N]: whether the same key stands before."""
    repeated = np.ones(len(keys), bool)
    repeated[np.unique(keys, return_index=True)[1]] = False
    return repeated


def drop_duplicates(facts: DocumentFacts, split: np.ndarray, folds: np.ndarray, findings: Findings) -> None:
    """Keep the first of equal documents (text and label) in each split but test; count them and conflicting labels.

    ``split`` int8 [N] is changed; ``folds`` int64 [N]: ``groups`` of the folded digests.
    """
    findings.folded_duplicates = int(_repeated(folds * len(SPLITS) + split).sum())
    texts = groups(facts.exact)
    repeated = _repeated((texts * (len(facts.labels) + 1) + facts.label + 1) * len(SPLITS) + split)
    findings.duplicates = int(repeated.sum())
    for code, name in enumerate(SPLITS):
        twice = int(repeated[split == code].sum())
        if twice:
            findings.warn(f"{twice} duplicated documents in {name}" + (", all of them kept" if code == TEST else ": each is kept once"))
    split[repeated & (split != TEST)] = DROPPED
    findings.conflicting_labels = _conflicts(folds[split == TRAIN], facts.label[split == TRAIN])
    if findings.conflicting_labels:
        findings.warn(f"{findings.conflicting_labels} texts of the training rows occur with different labels")


def _conflicts(folds: np.ndarray, label: np.ndarray) -> int:
    """How many of the folds stand with more than one label."""
    pairs = ~_repeated(folds * (label.max(initial=0) + 2) + label + 1)
    return int((np.unique(folds[pairs], return_counts=True)[1] > 1).sum())


def drop_overlap(split: np.ndarray, folds: np.ndarray, findings: Findings) -> None:
    """Remove from each split the texts that also stand in a split which judges it (see ``JUDGES``); arguments as above."""
    findings.documents = {name: int((split == code).sum()) for code, name in enumerate(SPLITS)}
    holds = np.zeros(int(folds.max(initial=-1)) + 1, np.int8)  # [groups]: a bit for each split that holds the text
    for code in JUDGES:
        holds[folds[split == code]] |= 1 << code
    judging = 0
    for number, code in enumerate(JUDGES):
        members = np.flatnonzero(split == code)
        beside = holds[folds[members]]
        for other in JUDGES[number + 1 :]:
            if both := int(((beside & (1 << other)) != 0).sum()):
                findings.overlap[f"{SPLITS[other]}/{SPLITS[code]}"] = both
        removed = members[(beside & judging) != 0]
        if len(removed):
            findings.overlap_removed += len(removed)
            name = SPLITS[code]
            findings.warn(f"{len(removed)} documents of {name} also stand in another split and were removed from {name}")
        split[removed] = DROPPED
        judging |= 1 << code
