"""What more labels bring, in numbers and sentences."""

import numpy as np
import pytest

from tests.experiments.learning_curves.simulated import curve_of, true_score
from ulmfit.errors import UserError
from ulmfit.experiments.learning_curves.calibration import MISFITS, calibrated_misfit, checks
from ulmfit.experiments.learning_curves.curve import Curve
from ulmfit.experiments.learning_curves.gains import CatchUp, Gain, Interval, catch_up, cheaper, gain
from ulmfit.experiments.learning_curves.power_law import MISFIT, fit


def law(score=true_score, noise=0.1, seed=0, sizes=(100, 200, 400, 800), misfit=0.01):
    return fit(curve_of(score, noise, 5, np.random.default_rng(seed), sizes), misfit)


def test_a_gain_is_surer_than_the_score_itself():
    noisy = law(noise=0.6)
    found = gain(noisy, 800).points
    score = Interval.of(100 * noisy.scores([1600])[:, 0])
    true = 100 * (true_score(1600) - true_score(800))
    assert found.low < true < found.high and found.high - found.low < score.high - score.low


def test_sentences():
    assert Gain(500, Interval(0.4, 1.84, 3.1)).sentence("labels") == "500 more labels: +1.8 points (0.4 to 3.1)"
    assert Gain(10_000, Interval(-0.2, 0.2, 0.6)).sentence("unlabelled documents") == (
        "10,000 more unlabelled documents: cannot tell (-0.2 to 0.6)"
    )
    assert Gain(50, Interval(-3, -2, -1)).sentence("labels") == "50 more labels: -2.0 points (-3.0 to -1.0)"


def test_a_flat_curve_cannot_tell_and_a_steep_one_can():
    assert not gain(law(lambda size: 0.8), 800).known
    assert gain(law(), 800).known


def test_a_gain_too_far():
    with pytest.raises(UserError, match="more than 4 times"):
        gain(law(), 2401)


def test_the_better_buy_depends_on_the_prices():
    documents = law(lambda size: 0.9 - 0.5 * np.asarray(size) ** -0.3, sizes=(500, 1000, 2000, 4000))
    assert cheaper(law(), documents, 0.01, 10.0, 800).better == "labels"
    flat = law(lambda size: 0.8, misfit=0.001)
    assert cheaper(flat, documents, 1.0, 0.01, 800).better == "documents"
    unsure = cheaper(law(lambda size: 0.8), law(lambda size: 0.8, seed=1), 0.1, 0.1, 500)
    assert unsure.better is None and unsure.sentence.startswith("for 50: 500 more labels: cannot tell (")
    assert unsure.sentence.endswith("; cannot tell which is the better buy")


def test_where_another_method_catches_up():
    ours = lambda size: 0.9 - 1.0 * np.asarray(size, dtype=float) ** -0.4
    other = lambda size: 0.92 - 2.0 * np.asarray(size, dtype=float) ** -0.5
    crossing = next(size for size in range(100, 4000) if other(size) >= ours(size))
    found = catch_up(law(ours, 0.02), law(other, 0.02), 100)
    assert found.labels is not None and found.labels.low <= crossing <= found.labels.high and found.share > 0.9
    assert found.sentence("TF-IDF").startswith("TF-IDF catches up at ")


def test_another_method_that_does_not_catch_up_or_is_ahead():
    behind = catch_up(law(), law(lambda size: true_score(size) - 0.1), 100)
    assert behind.labels is None and behind.share < 0.1
    assert behind.sentence("TF-IDF") == f"TF-IDF does not catch up within 3,200 labels (probability {behind.share:.0%})"
    ahead = catch_up(law(lambda size: true_score(size) - 0.1), law(), 100)
    assert ahead.labels is not None and ahead.labels.high == 100
    half = CatchUp(0.9, 3200, Interval(500, 900, float("inf")))
    assert half.sentence("NB-SVM") == "NB-SVM catches up at 900 labels (500 to more than 3,200)"


def test_checks_forecast_larger_sizes_from_smaller_ones():
    curve = curve_of(true_score, 0.2, 5, np.random.default_rng(0))
    found = list(checks(curve, MISFIT))
    assert [(check.largest, check.size) for check in found] == [
        *[(200, 400), (200, 800), (400, 800), (400, 1600)],
        *[(800, 1600), (800, 3200), (1600, 3200)],
    ]
    last = found[-1]
    assert last.measured == curve.means[-1] and last.gained == curve.means[-1] - curve.means[-2]
    assert last.inside == (True, True) and last.gain.high - last.gain.low < last.score.high - last.score.low


def test_past_curves_that_leave_their_power_law_widen_forecasts():
    random = np.random.default_rng(5)
    smooth = [curve_of(true_score, 0.02, 5, random) for _ in range(6)]
    kinks = [dict(zip(smooth[0].sizes, 0.2 * random.standard_normal(7), strict=True)) for _ in range(6)]
    bent = [curve_of(lambda size, kink=kink: 1 - (1 - true_score(size)) * (1 + kink[size]), 0.02, 5, random) for kink in kinks]
    assert calibrated_misfit(smooth) == MISFITS[0] < calibrated_misfit(bent)
    assert calibrated_misfit(smooth[:1]) == MISFIT and calibrated_misfit([Curve.of({10: [0.5]})]) == MISFIT
