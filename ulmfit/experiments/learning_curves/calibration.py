"""How much curves leave their power law here: the misfit with which forecasts of past curves would have been right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from ulmfit.experiments.learning_curves.curve import LEVEL, Curve
from ulmfit.experiments.learning_curves.gains import Interval
from ulmfit.experiments.learning_curves.power_law import FARTHEST, LEAST, MISFIT, fit, fitted_sizes

MISFITS = (0.02, 0.03, 0.045, 0.06, 0.08, 0.12, 0.2)
ENOUGH = 20  # checks below which past curves do not decide


@dataclass(frozen=True)
class Check:
    """Forecasts at ``size`` of a curve that is known up to ``largest``: of the score, and of its gain, beside what was measured."""

    largest: int
    size: int
    score: Interval
    gain: Interval
    measured: float
    gained: float

    @property
    def inside(self) -> tuple[bool, bool]:
        """Whether score and gain are inside their intervals."""
        return self.score.low <= self.measured <= self.score.high, self.gain.low <= self.gained <= self.gain.high


def checks(curve: Curve, misfit: float) -> Iterator[Check]:
    """Forecasts of a curve's larger sizes from its smaller ones: from each size on which a fit can end, to those it may forecast."""
    for known, largest in enumerate(curve.sizes):
        before = curve.up_to(largest)
        targets = [at for at in range(known + 1, len(curve.sizes)) if curve.sizes[at] <= FARTHEST * largest]
        if len(fitted_sizes(before)) < LEAST or not targets:
            continue
        samples = fit(before, misfit).scores([largest, *(curve.sizes[at] for at in targets)])
        for column, at in enumerate(targets, 1):
            score, gain = Interval.of(samples[:, column]), Interval.of(samples[:, column] - samples[:, 0])
            yield Check(largest, curve.sizes[at], score, gain, float(curve.means[at]), float(curve.means[at] - curve.means[known]))


def calibrated_misfit(past: Sequence[Curve]) -> float:
    """The one of ``MISFITS`` with which closest to ``LEVEL`` of the forecasts of ``past`` curves hold, scores and gains together; of equal ones
    the smallest. ``MISFIT`` where there are too few."""
    distances = []
    for misfit in MISFITS:
        inside = [one for curve in past for check in checks(curve, misfit) for one in check.inside]
        if len(inside) < 2 * ENOUGH:
            return MISFIT
        distances.append(abs(sum(inside) / len(inside) - LEVEL))
    return MISFITS[distances.index(min(distances))]
