"""Curves as measured."""

import numpy as np
import pytest

from tests.experiments.learning_curves.simulated import curve_of, true_score
from ulmfit.errors import UserError
from ulmfit.experiments.learning_curves.curve import Curve, falls


def test_sizes_rise_and_means_are_theirs():
    curve = Curve.of({200: [0.7, 0.8], 50: [0.5, 0.6]})
    assert curve.sizes == (50, 200) and curve.means == pytest.approx([0.55, 0.75])
    assert curve.up_to(100).sizes == (50,)


@pytest.mark.parametrize("scores", [{50: []}, {50: [1.2]}, {50: [float("nan")]}])
def test_scores_that_are_none(scores):
    with pytest.raises(UserError, match="between 0 and 1 at 50"):
        Curve.of(scores)


def test_the_error_of_a_mean_is_pooled_over_sizes():
    curve = curve_of(true_score, 0.3, 400, np.random.default_rng(0))
    assert curve.errors_of_means() == pytest.approx(0.3 * np.array(curve.sizes, dtype=float) ** -0.5 / 20, rel=0.05)


def test_a_fall_is_told_where_chance_does_not_explain_it():
    fallen = lambda size: true_score(size) - (0.05 if size == 800 else 0)
    (found,) = falls(curve_of(fallen, 0.1, 5, np.random.default_rng(1)))
    assert (found.before, found.after) == (400, 800) and found.points == pytest.approx(2, abs=1)
    assert found.sentence.startswith("the curve is not monotone: 2.") or found.sentence.startswith("the curve is not monotone: 1.")
    assert falls(Curve.of({50: [0.6, 0.7], 100: [0.64, 0.65]})) == []


def test_a_rising_curve_seldom_falls():
    random = np.random.default_rng(2)
    assert sum(bool(falls(curve_of(true_score, 0.3, 5, random))) for _ in range(100)) <= 5
