"""The exact test of a paired difference, and its bounds, beside sums over all outcomes."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import beta, multinomial

from ulmfit.evaluation.paired import interval, lower_bound, p_value, p_value_of_loss, shown_above
from ulmfit.evaluation.verdict import Disagreement

SHARES = np.linspace(0, 1, 201)


def disagreement(rows, gained, lost):
    return Disagreement(rows=rows, only_challenger_right=gained, only_champion_right=lost)


def outcomes(rows):
    return np.array([(gained, lost) for gained in range(rows + 1) for lost in range(rows + 1 - gained)])


def chances(rows, difference, share):
    """Of each outcome where the two disagree on a share of rows; None where no such models exist."""
    if abs(difference) > share:
        return None
    gained, lost = (share + difference) / 2, (share - difference) / 2
    every = outcomes(rows)
    return multinomial.pmf(np.column_stack([every, rows - every.sum(1)]), rows, [gained, lost, 1 - gained - lost])


@st.composite
def disagreements(draw, most=400):
    rows = draw(st.integers(1, most))
    gained = draw(st.integers(0, rows))
    return disagreement(rows, gained, draw(st.integers(0, min(rows - gained, 40))))


@pytest.mark.parametrize("difference", [0.0, -0.05, -0.2, 0.1])
@pytest.mark.parametrize("level", [0.05, 0.002])
def test_a_false_claim_is_as_rare_as_promised_whatever_the_share_of_rows_that_differ(difference, level):
    rows = 15
    shown = np.array([shown_above(disagreement(rows, int(b), int(c)), difference, level) for b, c in outcomes(rows)])
    worst = 0.0
    for less in (0.0, 0.02, 0.1, 0.3):  # the true difference is no more than the one that is claimed to be exceeded
        for share in SHARES:
            found = chances(rows, difference - less, share)
            worst = worst if found is None else max(worst, found[shown].sum())
    assert 0.25 * level < worst <= level  # and the level is not left unused


def test_the_bounds_cover_the_true_difference():
    rows, level = 8, 0.05
    found = [interval(disagreement(rows, int(b), int(c)), level) for b, c in outcomes(rows)]
    for difference in (-0.3, -0.05, 0.0, 0.15):
        too_high = np.array([estimate.low > difference + 1e-9 for estimate in found])
        too_low = np.array([estimate.high < difference - 1e-9 for estimate in found])
        for share in SHARES[::4]:
            if (likely := chances(rows, difference, share)) is not None:
                assert likely[too_high].sum() <= level and likely[too_low].sum() <= level


@pytest.mark.parametrize(("gained", "lost", "difference"), [(7, 2, 0.0), (5, 5, -0.2), (3, 1, -0.1), (0, 0, -0.1), (9, 0, 0.1)])
def test_the_p_value_is_the_sum_over_outcomes_that_are_as_high(gained, lost, difference):
    rows, every = 20, outcomes(20)
    differ = every.sum(1)
    spread = np.sqrt(np.maximum(differ, rows * abs(difference)) - rows * difference**2)
    with np.errstate(invalid="ignore", divide="ignore"):
        height = np.nan_to_num((every[:, 0] - every[:, 1] - rows * difference) / spread)
    observed = height[(every == (gained, lost)).all(1)][0]
    n, missed = gained + lost, 1e-6
    low, high = beta.ppf(missed / 2, n, rows - n + 1) if n else 0, beta.isf(missed / 2, n + 1, rows - n)
    likely = [chances(rows, difference, share) for share in SHARES if low <= share <= high]
    sums = [found[height >= observed - 1e-9].sum() for found in likely if found is not None]
    assert p_value(disagreement(rows, gained, lost), difference, missed) == pytest.approx(max(sums) + missed, rel=0.01)


@given(found=disagreements(), level=st.sampled_from([0.02, 1e-3, 1e-5]))
@settings(max_examples=8, deadline=None)
def test_bounds_hold_the_estimate_and_mirror_each_other(found, level):
    estimate, mirrored = interval(found, level), interval(found.mirrored(), level)
    assert -1 <= estimate.low <= estimate.value <= estimate.high <= 1
    assert (mirrored.low, mirrored.value, mirrored.high) == pytest.approx((-estimate.high, -estimate.value, -estimate.low), abs=1e-4)


@given(found=disagreements(), difference=st.sampled_from([0.0, -0.02, -0.1]), level=st.sampled_from([0.02, 1e-3]))
@settings(max_examples=50, deadline=None)
def test_one_more_row_for_the_challenger_never_takes_its_case_away(found, difference, level):
    rows, gained, lost = found.rows, found.only_challenger_right, found.only_champion_right
    stronger = [disagreement(rows, gained + 1, lost - 1), disagreement(rows, gained, lost - 1)] if lost else []
    stronger += [disagreement(rows, gained + 1, lost)] if gained + lost < rows else []
    if shown_above(found, difference, level):
        assert all(shown_above(more, difference, level) for more in stronger)
    if lost:  # a row changes sides
        assert p_value(stronger[0], difference) <= p_value(found, difference) + 1e-12


@given(found=disagreements(), level=st.sampled_from([0.02, 1e-3]), anchor=st.sampled_from([0.0, -0.02]))
@settings(max_examples=8, deadline=None)
def test_a_bound_passes_the_anchor_exactly_where_the_test_does(found, level, anchor):
    assert (lower_bound(found, level, anchor) >= anchor) == shown_above(found, anchor, level)


@given(found=disagreements(100))
@settings(max_examples=6, deadline=None)
def test_a_smaller_level_gives_wider_bounds(found):
    wide, narrow = interval(found, 1e-4), interval(found, 1e-2)
    assert wide.low <= narrow.low + 1e-4 and narrow.high <= wide.high + 1e-4


def test_with_many_rows_the_bounds_are_those_of_the_normal_distribution():
    estimate = interval(disagreement(20_000, 800, 700), 0.001)
    error = 3.09 * np.sqrt(1500 - 20_000 * 0.005**2) / 20_000
    assert (estimate.low, estimate.high) == pytest.approx((0.005 - error, 0.005 + error), abs=0.03 * error)


def test_the_p_value_of_a_loss_is_that_of_tossing_a_coin():
    assert p_value_of_loss(disagreement(100, 1, 4)) == pytest.approx(6 / 32)
    assert p_value_of_loss(disagreement(100, 0, 0)) == 1.0
