"""Learning rates: the slanted triangle, the discriminative rates, the order of unfreezing. Pure functions."""

from __future__ import annotations

import math


def stlr(step: int, steps: int, cut_frac: float = 0.1, ratio: float = 32.0) -> float:
    """The factor on the maximal rate at ``step`` of ``steps`` (Howard & Ruder 2018, eq. 3): up in a cut_frac, then slowly down.

    It runs from 1/ratio over 1 back to 1/ratio.
    """
    cut = max(1, math.floor(steps * cut_frac))
    p = step / cut if step < cut else 1 - (step - cut) / (cut * (1 / cut_frac - 1))
    return (1 + max(0.0, p) * (ratio - 1)) / ratio


def discriminative(lr: float, groups: int, decay: float) -> list[float]:
    """A rate a layer group, first to last: layer l-1 learns at 1/``decay`` of layer l's (sec. 3.2)."""
    return [lr / decay ** (groups - 1 - group) for group in range(groups)]


def unfrozen(groups: int, epoch: int, how: str) -> int:
    """How many of the last groups learn in ``epoch`` (from 0): ``gradual`` one more each epoch, ``full`` all, ``last`` one (sec. 3.3)."""
    known = {"gradual": min(groups, epoch + 1), "full": groups, "last": 1}
    if how not in known:
        raise ValueError(f"unfreezing is one of {', '.join(known)}, not {how!r}")
    return known[how]
