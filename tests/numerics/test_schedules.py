"""The slanted triangle against the paper's equation 3, discriminative rates, and the order of unfreezing."""

from itertools import pairwise

import pytest

from tests.oracles.awd_lstm import NO_DROPOUT, SMALL, WORDS, triangle
from ulmfit.config import LMConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.training.schedules import discriminative, layer_rates, learning, rate, stlr


@pytest.mark.parametrize(("steps", "cut_frac", "ratio"), [(1000, 0.1, 32.0), (200, 0.25, 8.0), (50, 0.5, 100.0), (10, 0.1, 32.0)])
def test_the_triangle_is_the_papers_at_every_step(steps, cut_frac, ratio):
    mine = [stlr(step, steps, cut_frac, ratio) for step in range(steps + 1)]
    assert mine == pytest.approx([triangle(step, steps, cut_frac, ratio) for step in range(steps + 1)], rel=1e-9)
    assert mine[0] == pytest.approx(1 / ratio) and mine[steps] == pytest.approx(1 / ratio)
    assert max(mine) == mine[int(steps * cut_frac)] == pytest.approx(1)


@pytest.mark.parametrize("steps", [1, 2, 7, 19, 33, 1234])
def test_any_number_of_steps_stays_between_the_extremes(steps):
    mine = [stlr(step, steps) for step in range(steps + 1)]
    assert all(1 / 32 - 1e-12 <= factor <= 1 for factor in mine) and max(mine) == 1
    if steps >= 10:
        paper = [triangle(step, steps, 0.1, 32.0) for step in range(steps + 1)]
        assert mine == pytest.approx([max(1 / 32, factor) for factor in paper])  # the equation falls below its own minimum there


def test_the_schedule_is_the_settings():
    config = LMConfig(cut_frac=0.25, ratio=8.0)
    assert [rate(step, 80, config) for step in range(81)] == pytest.approx([triangle(step, 80, 0.25, 8.0) for step in range(81)])
    assert {rate(step, 80, LMConfig(schedule="constant")) for step in range(81)} == {1.0}


def test_each_layer_learns_slower_than_the_next():
    rates = discriminative(0.01, 5, 2.6)
    assert rates[-1] == 0.01
    assert [later / earlier for earlier, later in pairwise(rates)] == pytest.approx([2.6] * 4)
    assert discriminative(0.01, 3, 1.0) == [0.01] * 3


def test_a_layers_rate_at_a_step_is_its_highest_rate_by_the_schedule_and_the_steps_scale():
    config = LMConfig(lr=0.01, decay=2.0, cut_frac=0.1, ratio=32.0)
    highest = discriminative(config.lr, 3, config.decay)
    assert layer_rates(10, 100, highest, config) == pytest.approx([0.0025, 0.005, 0.01])  # the triangle's peak
    assert layer_rates(0, 100, highest, config, scale=0.5) == pytest.approx([lr / 64 for lr in highest])


@pytest.mark.parametrize(
    ("how", "expected"),
    [
        ("full", [[0, 1, 2, 3, 4]] * 7),
        ("last", [[4]] * 7),
        ("gradual", [[4], [3, 4], [2, 3, 4], [1, 2, 3, 4], *[[0, 1, 2, 3, 4]] * 3]),
        ("chain-thaw", [[4], [0], [1], [2], [3], *[[0, 1, 2, 3, 4]] * 2]),
    ],
)
def test_which_layers_learn_in_which_epoch(how, expected):
    assert [learning(5, epoch, how) for epoch in range(7)] == expected
    assert [learning(1, epoch, how) for epoch in range(3)] == [[0]] * 3


def test_an_unknown_order_of_unfreezing_is_refused():
    with pytest.raises(ValueError, match="full, last, gradual, chain-thaw, not 'slowly'"):
        learning(5, 0, "slowly")


def test_the_tied_matrix_is_the_language_models_last_layer():
    groups = LanguageModel(WORDS, SMALL, NO_DROPOUT).groups()
    assert [tuple(group[0].shape) for group in groups] == [(40, 6), (40, 10), (24, 10), (WORDS, 6)]


def test_the_cosine_falls_from_the_highest_rate_to_the_lowest():
    config = LMConfig(schedule="cosine", ratio=32.0)
    mine = [rate(step, 100, config) for step in range(101)]
    assert mine[0] == 1 and mine[50] == pytest.approx((1 + 1 / 32) / 2) and mine[100] == pytest.approx(1 / 32)
    assert all(later < earlier for earlier, later in pairwise(mine))


@pytest.mark.parametrize("steps", [1, 2, 7, 70, 1000])
def test_sgdr_restarts_twice_each_cycle_twice_as_long(steps):
    mine = [rate(step, steps, LMConfig(schedule="sgdr")) for step in range(steps)]
    assert all(1 / 32 <= factor <= 1 for factor in mine) and mine[0] == 1
    if steps >= 70:
        rises = [step for step in range(1, steps) if mine[step] > mine[step - 1]]
        assert rises == [-(-steps // 7), -(-3 * steps // 7)], "after one and three sevenths"
        cosine = LMConfig(schedule="cosine")
        assert mine[rises[1]] == pytest.approx(rate(0, 100, cosine), abs=1e-2) and mine[-1] < 1 / 32 + 1e-2
