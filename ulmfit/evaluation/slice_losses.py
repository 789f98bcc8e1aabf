"""Which slices of the held-out rows the challenger is worse on, with few false alarms however many slices there are.

A slice alarms if the challenger loses more than a margin there, and chance explains no loss: the exact one-sided test of the rows on which the
two disagree, at a level for all slices of a cycle together. That level is divided by the number of slices that could alarm at all (Tarone 1990, "A modified
Bonferroni method for discrete data"): n disagreements give no p-value below 2^-n, so slices where the two hardly differ cost the others nothing.
A false alarm holds up one challenger and not for ever, so the level is per cycle.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from ulmfit.evaluation.paired import p_value_of_loss
from ulmfit.evaluation.verdict import Disagreement, Sides, SliceFigures

LEVEL = 0.05  # of a false alarm in any slice of a cycle

Mask = NDArray[np.bool_]


def slice_figures(right: tuple[Mask, Mask], slices: Mapping[str, Mask], margin: float, min_rows: int) -> list[SliceFigures]:
    """Figures of the slices with at least ``min_rows`` rows, in order; ``margin`` is the loss of accuracy that is allowed.

    ``right`` bool [N] each: whether the champion and the challenger are right. ``slices`` bool [N] by name.
    """
    champion, challenger = right
    kept = {name: mask for name, mask in slices.items() if mask.sum() >= max(min_rows, 1)}
    counts = [disagreement(champion[mask], challenger[mask]) for mask in kept.values()]
    level = LEVEL / _number_that_could_alarm(counts)
    figures = []
    for (name, mask), found in zip(kept.items(), counts, strict=True):
        p_value = p_value_of_loss(found)
        figures.append(
            SliceFigures(
                name=name,
                accuracy=Sides(champion=float(champion[mask].mean()), challenger=float(challenger[mask].mean())),
                disagreement=found,
                p_value=p_value,
                worse=found.difference < -margin and p_value <= level,
            )
        )
    return figures


def disagreement(champion: Mask, challenger: Mask) -> Disagreement:
    """How the two disagree, from whether each is right, bool [N], N > 0."""
    return Disagreement(
        rows=len(champion),
        only_challenger_right=int((challenger & ~champion).sum()),
        only_champion_right=int((champion & ~challenger).sum()),
    )


def _number_that_could_alarm(counts: Sequence[Disagreement]) -> int:
    """The smallest K for which at most K slices can reach a p-value of LEVEL / K; at least 1."""
    lowest = np.array([0.5 ** (found.only_challenger_right + found.only_champion_right) for found in counts])
    return next((k for k in range(1, len(counts) + 1) if (lowest <= LEVEL / k).sum() <= k), 1)
