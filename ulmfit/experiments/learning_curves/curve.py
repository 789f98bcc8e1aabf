"""A learning curve as it was measured, and where it falls."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ulmfit.errors import UserError

LEVEL = 0.95  # of all intervals
PRIOR_NOISE, PRIOR_DEGREES = 0.2, 2.0  # standard deviation of a trial times sqrt(size), and how many degrees of freedom that is worth


@dataclass(frozen=True)
class Curve:
    """Scores in [0, 1], more is better, of one trial or more at each of the rising ``sizes`` (labels or documents)."""

    sizes: tuple[int, ...]
    scores: tuple[tuple[float, ...], ...]

    @classmethod
    def of(cls, scores: Mapping[int, Sequence[float]]) -> Self:
        """Of size -> the trials' scores. UserError for a size without trials, and for scores that are none."""
        for size, found in scores.items():
            if not found or not all(0 <= score <= 1 for score in found):
                raise UserError(f"a learning curve needs scores between 0 and 1 at {size} labels or documents; these are {list(found)}")
        sizes = sorted(scores)
        return cls(tuple(sizes), tuple(tuple(scores[size]) for size in sizes))

    def up_to(self, size: int) -> Curve:
        """The sizes up to ``size``."""
        known = sum(one <= size for one in self.sizes)
        return Curve(self.sizes[:known], self.scores[:known])

    @property
    def means(self) -> NDArray[np.float64]:
        """float64 [K]: the mean score at each size."""
        return np.array([np.mean(found) for found in self.scores])

    def errors_of_means(self) -> NDArray[np.float64]:
        """The standard error of each mean, float64 [K]. Trials differ by a variance that falls as 1/size; all sizes together tell how much."""
        squares, degrees = PRIOR_DEGREES * PRIOR_NOISE**2, PRIOR_DEGREES
        for size, found in zip(self.sizes, self.scores, strict=True):
            squares += max(size, 1) * float(np.square(np.array(found) - np.mean(found)).sum())
            degrees += len(found) - 1
        variance = squares / degrees
        return np.array([math.sqrt(variance / max(size, 1) / len(found)) for size, found in zip(self.sizes, self.scores, strict=True)])


@dataclass(frozen=True)
class Fall:
    """The mean score falls by ``points`` (of 100) from one size to the next."""

    before: int
    after: int
    points: float

    @property
    def sentence(self) -> str:
        return f"the curve is not monotone: {self.points:.1f} points are lost from {self.before:,} to {self.after:,}"


def falls(curve: Curve) -> list[Fall]:
    """Where the mean score falls by more than chance explains, at ``LEVEL``."""
    from scipy.stats import norm

    means, errors = curve.means, curve.errors_of_means()
    limit = norm.ppf((1 + LEVEL) / 2)
    return [
        Fall(curve.sizes[at], curve.sizes[at + 1], 100 * float(means[at] - means[at + 1]))
        for at in range(len(means) - 1)
        if means[at] - means[at + 1] > limit * math.hypot(errors[at], errors[at + 1])
    ]
