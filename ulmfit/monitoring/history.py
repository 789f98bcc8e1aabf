"""How much a figure wanders from cycle to cycle without drift: weeks differ by more than chance, since a week's documents belong together."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from ulmfit.monitoring.drift_figures import Figure

LEAST_CYCLES = 5


def wander(earlier: Sequence[Figure]) -> float:
    """The standard deviation of an effect (Cohen's d) between cycles, beyond what the number of documents explains; 0 for few cycles.

    ``earlier``: the same figure of earlier cycles under the same champion, oldest first. It comes from the differences of successive
    cycles, as in a control chart of single values (Shewhart), so that a slow drift does not hide itself. Cycles with noticed drift
    are left out.
    """
    known = [(figure.effect, figure.rows) for figure in earlier if figure.effect is not None and not figure.noticed]
    if len(known) < LEAST_CYCLES:
        return 0.0
    steps = [((now - before) ** 2 - 1 / rows - 1 / rows_before) / 2 for (before, rows_before), (now, rows) in pairwise(known)]
    return max(0.0, sum(steps) / len(steps)) ** 0.5
