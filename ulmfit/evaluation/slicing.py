"""The slices of held-out rows on which the gate compares two versions: by label, and the shortest and the longest texts."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ulmfit.evaluation.metrics import Labels

QUARTER = 0.25  # of the rows, in a slice by length


def slices_of(labels: Labels, names: Sequence[str], texts: Sequence[str]) -> dict[str, NDArray[np.bool_]]:
    """bool [N] by name of slice. ``labels`` int [N] or bool [N, L], ``names`` [L], ``texts`` [N]."""
    has = labels if labels.ndim == 2 else labels[:, None] == np.arange(len(names))
    slices = {f"label {name}": has[:, column] for column, name in enumerate(names)}
    lengths = np.array([len(text) for text in texts])
    if len(lengths) and lengths.min() < lengths.max():
        short, long = np.quantile(lengths, [QUARTER, 1 - QUARTER])
        slices |= {"shortest quarter of texts": lengths <= short, "longest quarter of texts": lengths >= long}
    return slices
