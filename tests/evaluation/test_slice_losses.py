"""Which slices alarm: few false alarms whatever their number, and real losses are found."""

import numpy as np
import pytest
from scipy.stats import binom

from ulmfit.evaluation.slice_losses import LEVEL, slice_figures

ROWS = 100  # of each slice


def figures(counts, margin=0.0, min_rows=50):
    """Slices of 100 rows, each with (rows that only the challenger, that only the champion gets right)."""
    champion, challenger = np.ones((2, ROWS * len(counts)), bool)
    masks = {}
    for i, (gained, lost) in enumerate(counts):
        start = i * ROWS
        champion[start : start + gained] = False
        challenger[start + gained : start + gained + lost] = False
        masks[str(i)] = np.arange(len(champion)) // ROWS == i
    return slice_figures((champion, challenger), masks, margin, min_rows)


@pytest.mark.parametrize("differ", [(8, 3, 20), (6,) * 12, (1, 2, 3, 4, 5), (30, 0)])
def test_false_alarms_of_all_slices_together_stay_below_the_level(differ):
    none = 1.0  # chance of no alarm: slices are independent, and only the slice that varies can alarm
    for at, n in enumerate(differ):
        alarm = 0.0
        for lost in range(n + 1):
            counts = [(m, 0) for m in differ]
            counts[at] = (n - lost, lost)
            alarm += binom.pmf(lost, n, 0.5) * figures(counts)[at].worse
        none *= 1 - alarm
    assert 1 - none <= LEVEL


def test_a_loss_is_found_among_many_slices_that_hardly_differ():
    found = figures([(0, 6)] + [(1, 1)] * 30)
    assert [slice.name for slice in found if slice.worse] == ["0"]  # p = 1/64: 31 slices that could alarm would hide it
    assert not figures([(0, 6)] + [(3, 3)] * 30)[0].worse


def test_a_loss_within_the_margin_is_allowed():
    assert figures([(0, 12)], margin=0.1)[0].worse
    assert not figures([(0, 12)], margin=0.12)[0].worse


def test_a_loss_that_chance_explains_is_no_alarm():
    assert not figures([(10, 18)], margin=0.05)[0].worse


def test_small_and_empty_slices_are_not_judged():
    right = np.ones(100, bool), np.zeros(100, bool)
    masks = {"all": np.ones(100, bool), "small": np.arange(100) < 49, "empty": np.zeros(100, bool)}
    assert [slice.name for slice in slice_figures(right, masks, 0.05, 50)] == ["all"]


def test_figures_say_what_a_slice_holds():
    (found,) = figures([(5, 20)])
    assert (found.accuracy.champion, found.accuracy.challenger) == (0.95, 0.8)
    assert found.disagreement.difference == pytest.approx(-0.15) and found.p_value == pytest.approx(binom.sf(19, 25, 0.5))
