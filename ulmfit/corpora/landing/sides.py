"""The side of a document, train, valid or test, by the hash of its folded text alone: it is the same for ever, whatever else comes."""

from typing import Self

import numpy as np

from ulmfit.config import CorpusConfig
from ulmfit.corpora.ingest.splitting import rank
from ulmfit.corpora.splits import TEST, TRAIN, VALID
from ulmfit.store.json import Facts

SEED = 0  # never another


class Shares(Facts):
    """The shares of the documents on the sides test and valid. They stay as they are while a model lives, so that no document changes sides."""

    test: float
    valid: float

    @classmethod
    def of(cls, config: CorpusConfig) -> Self:
        """The shares that the settings ask for. A seed has no part in it: it may differ from training to training."""
        return cls(test=config.test_share, valid=config.valid_share)


def side_of(folds: np.ndarray, shares: Shares) -> np.ndarray:
    """int8 [N]: TRAIN, VALID or TEST of texts by their folded digests, uint64 [N, 2]. No text's side depends on another text."""
    place = rank(folds, "side", SEED) / 2.0**64  # even over 0 to 1
    sides = np.full(len(folds), TRAIN, np.int8)
    sides[place < shares.test + shares.valid] = VALID
    sides[place < shares.test] = TEST
    return sides
