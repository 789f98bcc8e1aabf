"""Splitting: hold out test and validation rows where the source has none, by label and in a seeded order."""

import numpy as np

from ulmfit.config import CorpusConfig
from ulmfit.corpora.ingest.facts import Facts
from ulmfit.corpora.ingest.sampling import ranked_by_label
from ulmfit.corpora.splits import SPLITS, TEST, TRAIN, VALID

LEAST = 2  # training rows of a class


def hold_out(facts: Facts, split: np.ndarray, config: CorpusConfig, labelled: bool) -> None:
    """Move rows of train to the splits that the source lacks: ``split`` int8 [N] is changed.

    Each class stays in train and, if it has rows enough, is in the others.
    """
    shares = {TEST: config.test_share, VALID: config.valid_share} if labelled else {VALID: config.valid_share}
    wanted = [code for code, share in shares.items() if share and not (split == code).any()]
    for later, code in zip(reversed(range(len(wanted))), wanted, strict=True):
        members, label, position = ranked_by_label(facts, np.flatnonzero(split == TRAIN), SPLITS[code], config.seed)
        sizes = np.bincount(label + 1)
        due = np.array([held_out(size, shares[code], later) if size else 0 for size in sizes.tolist()], np.int64)
        split[members[position < due[label + 1]]] = code


def held_out(size: int, share: float, later: int) -> int:
    """How many of a class's ``size`` rows to hold out: one or more, but train keeps ``LEAST``, and each later split gets one."""
    spare = size - LEAST
    return min(max(round(size * share), 1), spare - later if spare > later else spare)
