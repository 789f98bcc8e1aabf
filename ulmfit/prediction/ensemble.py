"""The ensemble: joins the probabilities of the forward and the backward classifier (Howard & Ruder 2018, sec. 3.3)."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ulmfit.directions import DIRECTIONS, Direction

Probabilities = NDArray[np.float32]


def average(directions: Mapping[Direction, Probabilities]) -> Probabilities:
    """float32 [N, L]: the mean of both directions' probabilities."""
    return np.mean([directions[direction] for direction in DIRECTIONS], axis=0, dtype=np.float32)


def average_thresholds(thresholds: Sequence[NDArray[np.float64] | None]) -> NDArray[np.float64] | None:
    """float64 [L]: the mean of the directions' thresholds; None where they have none."""
    each = [limits for limits in thresholds if limits is not None]
    return np.mean(each, axis=0) if each else None
