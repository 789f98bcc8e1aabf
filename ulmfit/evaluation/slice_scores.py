"""How often a model is right on each slice of the held-out rows, with an interval."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray
from scipy.stats import binomtest

from ulmfit.evaluation.results import Estimate
from ulmfit.store.json import Facts

LEAST_ROWS = 5  # of a slice that is shown


class SliceScore(Facts):
    """A slice: its rows, and the share of them that is right, with Wilson's interval."""

    name: str
    rows: int
    right: Estimate


def slice_scores(right: NDArray[np.bool_], slices: Mapping[str, NDArray[np.bool_]], confidence: float) -> list[SliceScore]:
    """The scores of slices with ``LEAST_ROWS`` rows or more, in order. ``right`` bool [N], ``slices`` bool [N] by name."""
    return [_score(name, right[mask], confidence) for name, mask in slices.items() if mask.sum() >= LEAST_ROWS]


def _score(name: str, right: NDArray[np.bool_], confidence: float) -> SliceScore:
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(confidence, "wilson")
    estimate = Estimate(value=float(right.mean()), low=float(interval.low), high=float(interval.high))
    return SliceScore(name=name, rows=len(right), right=estimate)
