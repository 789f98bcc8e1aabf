"""A Bayesian power law of a learning curve: p(n) = floor + height * (n / largest)^-exponent, and error(n) = p + p * (1 - p) * misfit(n).

Priors: the exponent is log-normal, the floor's share of the error at the largest size is Beta. The misfit is Brownian motion in log2(n) that is
0 at the largest size, on both sides, for real curves leave their power law: on the logistic scale, so that what an error of 5% and one of 50%
may do is of the same kind. So small sizes count for less, and an interval widens with every doubling beyond the largest. The posterior
is exact on a grid of floor and exponent; given these the height is Gaussian.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ulmfit.errors import UserError
from ulmfit.experiments.learning_curves.curve import Curve

LEAST = 3  # sizes that a fit needs
FARTHEST = 4  # times the largest size that a forecast goes
MISFIT = 0.06  # standard deviation after one doubling
EXPONENT, SPREAD = 0.5, 0.6  # median of the exponent, and the standard deviation of its logarithm
FLOOR = (1.0, 3.0)  # of the Beta distribution
EXPONENTS = np.geomspace(0.03, 3.0, 40)
FLOORS = (np.arange(40) + 0.5) / 40
SAMPLES = 4_000
SMALLEST_ERROR = 1e-3

Samples = NDArray[np.float64]  # [S] or [S, K]


@dataclass(frozen=True, eq=False)
class PowerLaw:
    """A posterior, as samples of its parameters, float64 [S] each. ``largest``: the largest size measured."""

    floors: Samples
    heights: Samples
    exponents: Samples
    largest: int
    misfit: float
    seed: int

    def scores(self, sizes: Sequence[int]) -> Samples:
        """Samples of the mean score at each of ``sizes``, float64 [S, K], each 1 or more; one sample is one possible curve.

        UserError for a size beyond ``FARTHEST`` times the largest one measured.
        """
        if max(sizes) > FARTHEST * self.largest:
            raise UserError(
                f"{max(sizes):,} is more than {FARTHEST} times the largest size measured, {self.largest:,}; measure larger ones"
            )
        ratios = np.array(sizes, dtype=np.float64) / self.largest
        errors = np.clip(self.floors[:, None] + self.heights[:, None] * ratios ** -self.exponents[:, None], 0, 1)
        return 1 - np.clip(errors + errors * (1 - errors) * self._misfits(ratios), 0, 1)

    def _misfits(self, ratios: NDArray[np.float64]) -> Samples:
        """Brownian motion beyond the largest size, [S, K]; none up to it, where the curve was measured."""
        beyond = np.maximum(0, np.log2(ratios))
        order = beyond.argsort()
        steps = np.sqrt(np.diff(beyond[order], prepend=0))
        random = np.random.default_rng(self.seed + 1).standard_normal((len(self.floors), len(ratios)))
        walked = np.empty_like(random)
        walked[:, order] = self.misfit * np.cumsum(random * steps, axis=1)
        return walked


def fitted_sizes(curve: Curve) -> list[int]:
    """The places of the sizes that a fit uses: none of size 0, and without the smallest where enough are left."""
    known = [at for at, size in enumerate(curve.sizes) if size > 0]
    return known[1:] if len(known) > LEAST else known


def fit(curve: Curve, misfit: float = MISFIT, seed: int = 0) -> PowerLaw:
    """The posterior of ``curve``. UserError where it has fewer than ``LEAST`` sizes above 0."""
    used = fitted_sizes(curve)
    if len(used) < LEAST:
        raise UserError(f"a forecast needs {LEAST} sizes above 0; these are {', '.join(map(str, curve.sizes)) or 'none'}")
    sizes = np.array(curve.sizes, dtype=np.float64)[used]
    errors = np.maximum(1 - curve.means[used], SMALLEST_ERROR)
    covariance = _covariance(sizes, errors, curve.errors_of_means()[used], misfit)
    random = np.random.default_rng(seed)
    weights, heights, deviations = _posterior(sizes / sizes[-1], errors, covariance)
    cells = random.choice(weights.size, SAMPLES, p=weights.ravel())
    floor, exponent = np.unravel_index(cells, weights.shape)
    drawn = heights[floor, exponent] + deviations[exponent] * random.standard_normal(SAMPLES)
    return PowerLaw(FLOORS[floor] * errors[-1], drawn, EXPONENTS[exponent], int(sizes[-1]), misfit, seed)


def _covariance(sizes: NDArray[np.float64], errors: NDArray[np.float64], deviations: NDArray[np.float64], misfit: float) -> Samples:
    """Of the measured errors [K, K]: the trials' noise, and the misfit, which is shared by the sizes on the way to the largest."""
    below, scale = np.log2(sizes[-1] / sizes), misfit * errors * (1 - errors)
    return np.diag(deviations**2) + np.minimum.outer(below, below) * np.outer(scale, scale)


def _posterior(ratios: NDArray[np.float64], errors: NDArray[np.float64], covariance: Samples) -> tuple[Samples, Samples, Samples]:
    """On the grid of floors F and exponents E: weights [F, E], which sum to 1, and the height's mean [F, E] and deviation [E].

    By generalised least squares; the height has a flat prior.
    """
    inverse = np.linalg.inv(covariance)
    shapes = ratios[None] ** -EXPONENTS[:, None]  # [E, K]
    left = errors[None] - FLOORS[:, None] * errors[-1]  # [F, K]
    information = np.einsum("ek,kl,el->e", shapes, inverse, shapes)
    heights = np.einsum("fk,kl,el->fe", left, inverse, shapes) / information
    squares = np.einsum("fk,kl,fl->f", left, inverse, left)[:, None] - information * heights**2
    logarithm = _log_prior() - 0.5 * squares - 0.5 * np.log(information)
    weights = np.exp(logarithm - logarithm.max())
    return weights / weights.sum(), heights, information**-0.5


def _log_prior() -> Samples:
    """[F, E], up to a constant. The exponents stand at even steps of their logarithm, so theirs is normal there."""
    first, second = FLOOR
    floors = (first - 1) * np.log(FLOORS) + (second - 1) * np.log1p(-FLOORS)
    exponents = -0.5 * (np.log(EXPONENTS / EXPONENT) / SPREAD) ** 2
    return floors[:, None] + exponents[None]
