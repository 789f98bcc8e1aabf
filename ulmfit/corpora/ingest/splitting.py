"""Splits: hold out test and validation rows where the source has none, and cut splits to the ``max_*`` of ``CorpusConfig``.

Both go by label, in a seeded order that depends on the documents' texts alone: the order of a file does not matter, and a smaller
sample is a part of a larger one. Only the training rows of a trial (``draw``) are drawn as ``labels.number`` draws them, by their place.
"""

import hashlib
import math
from dataclasses import replace

import numpy as np

from ulmfit.config import CorpusConfig, LabelsConfig
from ulmfit.corpora.ingest.facts import UNKNOWN, DocumentFacts
from ulmfit.corpora.splits import DROPPED, SPLITS, TEST, TRAIN, UNLABELLED, VALID
from ulmfit.corpora.text_digests import DIGEST
from ulmfit.labels.drawing import by_label, draw, in_proportion

CHUNK = 1 << 16  # documents hashed at a time
LEAST = 2  # training rows of a class


def rank(folds: np.ndarray, purpose: str, seed: int) -> np.ndarray:
    """uint64 [n]: numbers to sort n documents by, from seed, purpose and text (its folded digest, ``folds`` [n, 2]) alone."""
    salt = hashlib.blake2b(f"{seed}:{purpose}".encode(), digest_size=16).digest()
    ranks = np.empty(len(folds), np.uint64)
    for start in range(0, len(folds), CHUNK):
        data = folds[start : start + CHUNK].tobytes()
        keyed = [hashlib.blake2b(data[at : at + DIGEST], digest_size=8, key=salt).digest() for at in range(0, len(data), DIGEST)]
        ranks[start : start + CHUNK] = np.frombuffer(b"".join(keyed), ">u8")
    return ranks


def ranked_by_label(facts: DocumentFacts, members: np.ndarray, purpose: str, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """``members`` label by label, ordered by rank within each; their labels; and the position of each within its label, from 0."""
    order, position = by_label(facts.label[members], rank(facts.fold[members], purpose, seed))
    return members[order], facts.label[members[order]], position


def sample(facts: DocumentFacts, members: np.ndarray, total: int, purpose: str, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """``total`` of the documents ``members``, of each label one and the rest in proportion; and the others; UserError for more labels than that."""
    drawn = members[in_proportion(facts.label[members], rank(facts.fold[members], purpose, seed), total)]
    return drawn[:total], drawn[total:]


def draw_samples(facts: DocumentFacts, split: np.ndarray, label: np.ndarray, config: CorpusConfig, labelled: bool) -> None:
    """Apply ``max_*`` to ``split`` int8 [N] and ``label`` int32 [N]. Training rows that are not drawn become unlabelled text.

    Validation rows shrink as training rows do, for their labels are used as well.
    """
    members = {code: np.flatnonzero(split == code) for code in (TRAIN, VALID, TEST)}
    seed = config.seed if config.draw is None else config.draw
    if config.max_train is not None and len(members[TRAIN]) > config.max_train:
        spare = _not_drawn(facts, members[TRAIN], config.max_train, config)
        if labelled:
            fewer = math.ceil(config.max_train / len(members[TRAIN]) * len(members[VALID]))
            fewer = max(fewer, len(np.unique(facts.label[members[VALID]])))
            _, spare_valid = sample(facts, members[VALID], fewer, "max_valid", seed)
            spare = np.concatenate([spare, spare_valid])
            label[spare] = UNKNOWN
        split[spare] = UNLABELLED if labelled else DROPPED
    if config.max_test is not None and len(members[TEST]) > config.max_test:
        split[sample(facts, members[TEST], config.max_test, "max_test", config.seed)[1]] = DROPPED
    unlabelled = np.flatnonzero(split == UNLABELLED)
    if config.max_unlabelled is not None and len(unlabelled) > config.max_unlabelled:
        split[sample(replace(facts, label=label), unlabelled, config.max_unlabelled, "unlabelled", seed)[1]] = DROPPED


def _not_drawn(facts: DocumentFacts, train: np.ndarray, total: int, config: CorpusConfig) -> np.ndarray:
    """All training rows but ``total``. With a ``draw`` those of the same trial that has all the text: what is read varies, not what is learnt."""
    if config.draw is None:
        return sample(facts, train, total, "train", config.seed)[1]
    return np.delete(train, draw(facts.label[train], LabelsConfig(number=total, seed=config.draw)))


def hold_out(facts: DocumentFacts, split: np.ndarray, config: CorpusConfig, labelled: bool) -> None:
    """Move rows of train to the splits that the source lacks, in ``split`` int8 [N]; a class stays in train; if it has enough rows it is in all."""
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
