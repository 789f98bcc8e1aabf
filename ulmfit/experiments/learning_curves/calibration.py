"""How much curves leave their power law here: the misfit with which forecasts of past curves would have been right."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from ulmfit.experiments.learning_curves.curve import LEVEL, Curve
from ulmfit.experiments.learning_curves.gains import Interval
from ulmfit.experiments.learning_curves.power_law import FARTHEST, LEAST, MISFIT, fit, fitted_sizes

MISFITS = (0.02, 0.03, 0.05, 0.08, 0.12, 0.2)  # a doubling
ENOUGH = 20  # checks below which past curves do not decide


def checks(curve: Curve, misfit: float) -> Iterator[tuple[int, int, Interval, float]]:
    """Forecasts of a curve's larger sizes from its smaller ones: (largest size known, size, forecast, the mean score measured)."""
    for known, size in enumerate(curve.sizes):
        before = curve.up_to(size)
        if len(fitted_sizes(before)) < LEAST:
            continue
        targets = [at for at in range(known + 1, len(curve.sizes)) if curve.sizes[at] <= FARTHEST * size]
        if targets:
            samples = fit(before, misfit).scores([curve.sizes[at] for at in targets])
            for column, at in enumerate(targets):
                yield size, curve.sizes[at], Interval.of(samples[:, column]), float(curve.means[at])


def calibrated_misfit(past: Sequence[Curve]) -> float:
    """The smallest of ``MISFITS`` with which ``LEVEL`` of the forecasts of ``past`` curves hold; ``MISFIT`` where there are too few."""
    for misfit in MISFITS:
        held = [forecast.low <= measured <= forecast.high for curve in past for _, _, forecast, measured in checks(curve, misfit)]
        if len(held) < ENOUGH:
            return MISFIT
        if sum(held) >= LEVEL * len(held):
            return misfit
    return MISFITS[-1]
