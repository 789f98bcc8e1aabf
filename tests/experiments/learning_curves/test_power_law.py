"""Forecasts: against a plain Monte Carlo posterior, calibrated on curves from a known law, and what they promise."""

from functools import partial

import numpy as np
import pytest

from tests.experiments.learning_curves.simulated import curve_of, true_score
from ulmfit.errors import UserError
from ulmfit.experiments.learning_curves import power_law
from ulmfit.experiments.learning_curves.curve import Curve
from ulmfit.experiments.learning_curves.gains import Interval
from ulmfit.experiments.learning_curves.power_law import EXPONENT, FLOOR, SPREAD, fit


def drawn_law(random):
    """The score of a law drawn from the priors, whose error at 50 labels is possible."""
    while True:
        error, exponent = random.uniform(0.08, 0.35), EXPONENT * np.exp(SPREAD * random.standard_normal())
        floor = error * random.beta(*FLOOR)
        score = partial(true_score, floor=floor, height=(error - floor) * 400**exponent, exponent=exponent)
        if score(50) > 0.1:
            return score


def test_intervals_hold_as_often_as_they_say():
    """On 200 curves whose laws are drawn from the priors, measured at 50 to 400 labels in 5 trials."""
    random = np.random.default_rng(0)
    held = {800: [], 1600: []}
    for _ in range(200):
        score = drawn_law(random)
        law = fit(curve_of(score, 0.25, 5, random, (50, 100, 200, 400)), misfit=0.001)
        for column, size in enumerate(held):
            found = Interval.of(law.scores(list(held))[:, column])
            held[size].append(found.low <= score(size) <= found.high)
    assert all(0.9 <= np.mean(found) <= 0.99 for found in held.values()), {size: np.mean(found) for size, found in held.items()}


def test_the_posterior_is_that_of_a_plain_weighting_of_laws_drawn_from_the_priors():
    """Without misfit: the likelihood of each law, one after the other."""
    random = np.random.default_rng(1)
    curve = curve_of(true_score, 0.25, 5, random, (50, 100, 200, 400))
    sizes, errors, deviations = np.array(curve.sizes[1:]), 1 - curve.means[1:], curve.errors_of_means()[1:]
    exponents = EXPONENT * np.exp(SPREAD * random.standard_normal(200_000))
    floors = errors[-1] * random.beta(*FLOOR, 200_000)
    heights = random.uniform(-0.1, 0.4, 200_000)
    laws = floors[:, None] + heights[:, None] * (sizes / 400) ** -exponents[:, None]
    weights = np.exp(-0.5 * (((errors - laws) / deviations) ** 2).sum(1))
    drawn = 1 - (floors + heights * 4.0**-exponents)[random.choice(200_000, 20_000, p=weights / weights.sum())]
    found = fit(curve, misfit=1e-6).scores([1600])[:, 0]
    assert np.quantile(found, [0.05, 0.5, 0.95]) == pytest.approx(np.quantile(drawn, [0.05, 0.5, 0.95]), abs=4e-3)


def test_intervals_widen_with_the_distance_the_misfit_and_the_noise():
    random = np.random.default_rng(2)
    curve = curve_of(true_score, 0.25, 5, random, (50, 100, 200, 400))
    width = lambda law, size: np.ptp(np.quantile(law.scores([size]), [0.025, 0.975]))
    assert width(fit(curve), 400) < width(fit(curve), 800) < width(fit(curve), 1600)
    assert width(fit(curve, 0.02), 800) < width(fit(curve, 0.2), 800)
    assert width(fit(curve), 800) < width(fit(curve_of(true_score, 1.0, 5, random, (50, 100, 200, 400))), 800)


def test_many_trials_find_the_law():
    curve = curve_of(true_score, 0.05, 50, np.random.default_rng(3))
    assert np.median(fit(curve, 0.001).scores([6400, 12800]), axis=0) == pytest.approx(true_score([6400, 12800]), abs=5e-3)


def test_the_smallest_size_and_size_zero_are_left_out():
    plain = {100: [0.7, 0.72], 200: [0.75, 0.76], 400: [0.79, 0.8]}
    sizes = [400, 800, 1600]
    expected = fit(Curve.of(plain)).scores(sizes)
    assert np.quantile(fit(Curve.of({0: [0.6, 0.61], **plain})).scores(sizes), 0.5, axis=0) == pytest.approx(
        np.quantile(expected, 0.5, axis=0), abs=2e-3
    )
    used = power_law.fitted_sizes(Curve.of({0: [0.2], 50: [0.1], **plain}))
    assert used == [2, 3, 4]


def test_same_seed_same_samples():
    curve = curve_of(true_score, 0.25, 5, np.random.default_rng(4))
    assert np.array_equal(fit(curve).scores([3200, 6400]), fit(curve).scores([3200, 6400]))
    assert not np.array_equal(fit(curve).scores([6400]), fit(curve, seed=1).scores([6400]))


@pytest.mark.parametrize("scores", [[[1.0, 1.0]] * 4, [[0.5]] * 4, [[0.9], [0.8], [0.7], [0.6]], [[0.2], [0.9], [0.2], [0.9]], [[0.0]] * 4])
def test_odd_curves_have_scores_between_0_and_1(scores):
    found = fit(Curve((10, 20, 40, 80), tuple(map(tuple, scores)))).scores([1, 80, 160, 320])
    assert np.isfinite(found).all() and (found >= 0).all() and (found <= 1).all()


def test_too_few_sizes_and_too_far():
    with pytest.raises(UserError, match="3 sizes above 0; these are 0, 100, 200"):
        fit(Curve.of({0: [0.5], 100: [0.6], 200: [0.7]}))
    with pytest.raises(UserError, match="1,601 is more than 4 times the largest size measured, 400"):
        fit(Curve.of({100: [0.5], 200: [0.6], 400: [0.7]})).scores([1601])
