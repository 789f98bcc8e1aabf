"""The learning rate of each layer at each step: slanted triangle, cosine, SGDR, discriminative rates, gradual unfreezing. Pure functions."""

import math
from collections.abc import Sequence

from ulmfit.config import TrainingConfig

CYCLES = 3  # of SGDR


def layer_rates(step: int, steps: int, highest: Sequence[float], config: TrainingConfig, scale: float = 1.0) -> list[float]:
    """The rate of each layer group at ``step`` (from 0) of ``steps``. ``highest``: see :func:`discriminative`; ``scale``: of this step."""
    factor = scale * rate(step, steps, config)
    return [lr * factor for lr in highest]


def stlr(step: int, steps: int, cut_frac: float = 0.1, ratio: float = 32.0) -> float:
    """The factor on the maximal rate at ``step`` of ``steps`` (Howard & Ruder 2018, eq. 3).

    It rises from 1/ratio to 1 during the first cut_frac of the steps, then falls slowly back to 1/ratio.
    """
    cut = max(1, math.floor(steps * cut_frac))
    p = step / cut if step < cut else 1 - (step - cut) / (cut * (1 / cut_frac - 1))
    return (1 + max(0.0, p) * (ratio - 1)) / ratio


def cosine(step: float, steps: float, ratio: float = 32.0) -> float:
    """The factor on the maximal rate at ``step`` of ``steps``: from 1 to 1/ratio along half a cosine (Loshchilov & Hutter 2017, eq. 5)."""
    lowest = 1 / ratio
    return lowest + (1 - lowest) * (1 + math.cos(math.pi * step / steps)) / 2


def sgdr(step: int, steps: int, ratio: float = 32.0) -> float:
    """``cosine`` with warm restarts (Loshchilov & Hutter 2017, sec. 3): ``CYCLES`` of it, each twice as long as the one before."""
    begun, length = 0.0, steps / (2**CYCLES - 1)
    while step >= begun + length and begun + length < steps:
        begun, length = begun + length, 2 * length
    return cosine(step - begun, length, ratio)


def rate(step: int, steps: int, config: TrainingConfig) -> float:
    """The factor on the highest rate at ``step`` (from 0) of ``steps``, by ``config.schedule``."""
    match config.schedule:
        case "constant":
            return 1.0
        case "cosine":
            return cosine(step, steps, config.ratio)
        case "sgdr":
            return sgdr(step, steps, config.ratio)
        case "stlr":
            return stlr(step, steps, config.cut_frac, config.ratio)


def discriminative(lr: float, groups: int, decay: float) -> list[float]:
    """The highest rate of each layer group, first to last: layer l-1 learns at 1/``decay`` of layer l's rate (sec. 3.2)."""
    return [lr / decay ** (groups - 1 - group) for group in range(groups)]


def learning(groups: int, epoch: int, how: str) -> list[int]:
    """Which layer groups (first layer = 0) learn in ``epoch`` (from 0); ValueError for an unknown ``how``.

    ``full`` all; ``last`` the last alone; ``gradual`` the last, and one more below it each epoch (sec. 3.3). ``chain-thaw``
    (Felbo et al. 2017, sec. 3.3): the new, last group alone, then each other group alone from the first on, then all.
    """
    every = list(range(groups))
    thaw = [every[-1:], *([group] for group in every[:-1])]
    known = {
        "full": every,
        "last": every[-1:],
        "gradual": every[-(epoch + 1) :],
        "chain-thaw": thaw[epoch] if epoch < len(thaw) and groups > 1 else every,
    }
    if how not in known:
        raise ValueError(f"unfreezing is one of {', '.join(known)}, not {how!r}")
    return known[how]
