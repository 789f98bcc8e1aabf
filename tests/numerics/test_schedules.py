"""The slanted triangle against the paper's equation 3, discriminative rates, unfreezing, and what the optimiser makes of them."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from reference import NO_DROPOUT, SMALL, WORDS, triangle
from torch import nn

from ulmfit.config import ClassifierConfig, LMConfig
from ulmfit.models.classifier import Classifier
from ulmfit.models.language_model import LanguageModel
from ulmfit.training.loop import Optimizer, freeze
from ulmfit.training.schedules import discriminative, stlr, unfrozen


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


def test_each_layer_learns_slower_than_the_next():
    rates = discriminative(0.01, 5, 2.6)
    assert rates[-1] == 0.01
    assert [later / earlier for earlier, later in pairwise(rates)] == pytest.approx([2.6] * 4)
    assert discriminative(0.01, 3, 1.0) == [0.01] * 3


def test_unfreezing_goes_from_the_last_to_the_first():
    model = Classifier(WORDS, 2, SMALL, NO_DROPOUT)
    groups = model.groups()
    learning = []
    for epoch in range(7):
        freeze(groups, unfrozen(len(groups), epoch, "gradual"))
        learning.append([number for number, group in enumerate(groups) if all(parameter.requires_grad for parameter in group)])
        assert all(parameter.requires_grad == (number in learning[-1]) for number, group in enumerate(groups) for parameter in group)
    assert learning == [[4], [3, 4], [2, 3, 4], [1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4], [0, 1, 2, 3, 4]]
    assert [unfrozen(5, epoch, "full") for epoch in range(3)] == [5] * 3
    assert [unfrozen(5, epoch, "last") for epoch in range(3)] == [1] * 3
    with pytest.raises(ValueError, match="gradual, full, last"):
        unfrozen(5, 0, "slowly")


def test_adam_takes_the_rates_of_every_step():
    model, config = Classifier(WORDS, 2, SMALL, NO_DROPOUT), ClassifierConfig(lr=0.02, decay=2.0, cut_frac=0.25, ratio=8)
    optimizer = Optimizer(model.groups(), config, steps=8)
    for step in range(8):
        scale = 0.5 if step == 3 else 1.0
        optimizer.step(scale)
        expected = [0.02 / 2 ** (4 - group) * triangle(step, 8, 0.25, 8) * scale for group in range(5)]
        assert [group["lr"] for group in optimizer.adam.param_groups] == pytest.approx(expected)
    assert [group["params"] for group in optimizer.adam.param_groups] == model.groups()
    assert optimizer.adam.defaults["betas"] == (0.7, 0.99)


def test_the_tied_matrix_is_the_language_models_last_layer():
    groups = LanguageModel(WORDS, SMALL, NO_DROPOUT).groups()
    assert [tuple(group[0].shape) for group in groups] == [(40, 6), (40, 10), (24, 10), (WORDS, 6)]


def test_a_step_is_adams_update_of_the_clipped_gradient():
    parameter = nn.Parameter(torch.zeros(4))
    config = LMConfig(lr=0.01, clip=0.25, cut_frac=0.5, ratio=2)
    optimizer = Optimizer([[parameter]], config, steps=4)
    value, m, v = np.zeros(4), np.zeros(4), np.zeros(4)
    for step in range(3):
        gradient = np.arange(1.0, 5.0) * (step + 1)
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step()
        assert parameter.grad is None
        gradient *= 0.25 / (np.linalg.norm(gradient) + 1e-6)
        m, v = 0.7 * m + 0.3 * gradient, 0.99 * v + 0.01 * gradient**2
        lr = 0.01 * triangle(step, 4, 0.5, 2)
        value -= lr * (m / (1 - 0.7 ** (step + 1))) / (np.sqrt(v / (1 - 0.99 ** (step + 1))) + 1e-8)
        assert np.allclose(parameter.detach().numpy(), value, atol=1e-6)
