"""Learning curves from a known law."""

import numpy as np

from ulmfit.experiments.learning_curves.curve import Curve

SIZES = (50, 100, 200, 400, 800, 1600, 3200)


def true_score(size, floor=0.08, height=2.0, exponent=0.5):
    return 1 - floor - height * np.asarray(size, dtype=float) ** -exponent


def curve_of(score, noise, trials, random, sizes=SIZES):
    """``noise``: a trial's standard deviation times the square root of the size."""
    draws = {size: score(size) + noise * size**-0.5 * random.standard_normal(trials) for size in sizes}
    return Curve.of({size: np.clip(found, 0, 1).tolist() for size, found in draws.items()})
