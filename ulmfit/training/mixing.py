"""New documents and a sample of the old ones: what a language model goes on with, so that it learns the new and keeps the old.

Rehearsal of a sample of earlier text is the plainest remedy for forgetting (Robins 1995, "Catastrophic forgetting, rehearsal and pseudorehearsal").
"""

import numpy as np

from ulmfit.shards.documents import Documents


def mixed(documents: Documents, new: np.ndarray, replay: float, seed: int) -> Documents:
    """The documents that are ``new``, bool [N], and others drawn by ``seed`` until they have ``replay`` tokens for each of the new ones."""
    others = np.random.default_rng(seed).permutation(np.flatnonzero(~new))
    before = np.cumsum(documents.lengths[others]) - documents.lengths[others]
    wanted = replay * documents.lengths[new].sum()
    return documents.take(np.sort(np.concatenate([np.flatnonzero(new), others[before < wanted]])))
