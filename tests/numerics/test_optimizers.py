"""Adam and NT-ASGD against their formulas written out, clipping, rates, averages, and going on from a state bit for bit."""

import numpy as np
import pytest
import torch
from safetensors.torch import load, save
from torch import nn

from tests.oracles.awd_lstm import NO_DROPOUT, SMALL, WORDS, triangle
from ulmfit.config import ClassifierConfig, LMConfig
from ulmfit.models.classifier import Classifier
from ulmfit.presets import PRETRAINING
from ulmfit.training.optimizers import Optimizer

ASGD = {"optimizer": "nt-asgd", "schedule": "constant"}


def clipped(gradients, most):
    """Gradients (a list of arrays) with their common norm cut to ``most``, and that norm before."""
    norm = np.sqrt(sum((gradient**2).sum() for gradient in gradients))
    return [gradient * min(1.0, most / (norm + 1e-6)) for gradient in gradients], norm


def test_every_group_has_the_rate_of_its_step():
    model, config = Classifier(WORDS, 2, SMALL, NO_DROPOUT), ClassifierConfig(lr=0.02, decay=2.0, cut_frac=0.25, ratio=8)
    optimizer = Optimizer(model.groups(), config, steps=8)
    for step in range(8):
        assert optimizer.step_number == step
        assert optimizer.lr == pytest.approx(0.02 * triangle(step, 8, 0.25, 8))
        scale = 0.5 if step == 3 else 1.0
        optimizer.step(scale)
        expected = [0.02 / 2 ** (4 - group) * triangle(step, 8, 0.25, 8) * scale for group in range(5)]
        assert [group["lr"] for group in optimizer.rule.param_groups] == pytest.approx(expected)
    assert [group["params"] for group in optimizer.rule.param_groups] == model.groups()
    assert optimizer.rule.defaults["betas"] == (0.7, 0.99)


@pytest.mark.parametrize("weight_decay", [0.0, 0.1])
def test_a_step_is_adams_update_of_the_clipped_gradient(weight_decay):
    rng = np.random.default_rng(0)
    start = [rng.normal(size=(3, 2)), rng.normal(size=4)]
    parameters = [nn.Parameter(torch.tensor(array, dtype=torch.float32)) for array in start]
    config = LMConfig(lr=0.01, decay=2.6, clip=0.25, cut_frac=0.5, ratio=2, weight_decay=weight_decay)
    optimizer = Optimizer([[parameter] for parameter in parameters], config, steps=6)
    values, m, v = start, [0.0, 0.0], [0.0, 0.0]
    for step in range(5):
        raw = [rng.normal(size=array.shape) * (0.01 if step == 3 else 1) for array in start]  # step 3 is under the norm
        for parameter, gradient in zip(parameters, raw, strict=True):
            parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        norm = optimizer.step(scale=0.7)
        gradients, expected = clipped(raw, 0.25)
        assert norm.shape == () and float(norm) == pytest.approx(expected, rel=1e-5)
        for k in range(2):
            gradient = gradients[k] + weight_decay * values[k]
            m[k], v[k] = 0.7 * m[k] + 0.3 * gradient, 0.99 * v[k] + 0.01 * gradient**2
            lr = 0.7 * 0.01 / 2.6 ** (1 - k) * triangle(step, 6, 0.5, 2)
            values[k] = values[k] - lr * (m[k] / (1 - 0.7 ** (step + 1))) / (np.sqrt(v[k] / (1 - 0.99 ** (step + 1))) + 1e-8)
            assert parameters[k].grad is None
            assert np.allclose(parameters[k].detach().numpy(), values[k], atol=1e-6)


def test_sgd_moves_against_the_clipped_gradient_and_its_decay():
    config = LMConfig(**ASGD, lr=30.0, clip=0.25, weight_decay=1e-3)
    parameter = nn.Parameter(torch.tensor([1.0, -2.0, 3.0]))
    optimizer = Optimizer([[parameter]], config, steps=10)
    value = np.array([1.0, -2.0, 3.0])
    for step in range(10):
        gradient = np.array([0.5, 1.0, -1.0]) * (step + 0.1)
        parameter.grad = torch.tensor(gradient, dtype=torch.float32)
        optimizer.step(scale=0.5)
        value = value - 15.0 * (clipped([gradient], 0.25)[0][0] + 1e-3 * value)
        assert np.allclose(parameter.detach().numpy(), value, rtol=1e-5)


@pytest.mark.parametrize("settings", [{}, ASGD], ids=["adam", "nt-asgd"])
def test_a_frozen_layer_stays_as_it_is(settings):
    groups = [[nn.Parameter(torch.ones(3))], [nn.Parameter(torch.ones(3))]]
    optimizer = Optimizer(groups, LMConfig(**settings, weight_decay=0.1), steps=4)
    for _ in range(3):
        groups[1][0].grad = torch.tensor([3.0, 4.0, 0.0])
        assert float(optimizer.step()) == pytest.approx(5.0)
    assert torch.equal(groups[0][0], torch.ones(3))
    assert not torch.equal(groups[1][0], torch.ones(3))
    assert float(optimizer.step()) == 0.0 and optimizer.step_number == 4  # nothing has a gradient


def algorithm_1(losses, nonmono):
    """The validation (from 0) at which Merity et al. 2017, algorithm 1 sets T; None where it never does."""
    t, logs, trigger = 0, [], None
    for k, v in enumerate(losses):
        if trigger is None:
            if t > nonmono and v > min(logs[i] for i in range(t - nonmono)):
                trigger = k
            logs.append(v)
            t += 1
    return trigger


@pytest.mark.parametrize("nonmono", [1, 2, 5])
def test_averaging_begins_when_the_papers_algorithm_says(nonmono):
    rng = np.random.default_rng(nonmono)
    falling, flat = list(np.linspace(9, 1, 20)), [3.0] * 20
    cases = [falling, flat, falling[::-1], [5, 4, 3, 3.5, 3.6, 3.4, 3.2, 3.1, 3.05, 2.9, 3.3, 3.4]]
    cases += [list(8 / (1 + np.arange(25)) + rng.normal(size=25) * 0.3) for _ in range(40)]
    found = set()
    for losses in cases:
        optimizer = Optimizer([[nn.Parameter(torch.zeros(2))]], LMConfig(**ASGD, nonmono=nonmono), steps=100)
        began = None
        for k, loss in enumerate(losses):
            optimizer.step()
            optimizer.validated(loss)
            if optimizer.means and began is None:
                began = k
        assert began == algorithm_1(losses, nonmono)
        found.add(began)
    assert None in found and len(found) > 3


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_the_average_is_the_mean_of_the_weights_from_the_trigger_on(dtype):
    rng = np.random.default_rng(0)
    parameter = nn.Parameter(torch.arange(6.0, dtype=dtype).reshape(2, 3))
    optimizer = Optimizer([[parameter]], LMConfig(**ASGD, lr=0.5, nonmono=2), steps=60)
    history = []
    for step in range(1, 61):
        parameter.grad = torch.tensor(rng.normal(size=(2, 3))).to(dtype)
        optimizer.step()
        history.append(parameter.detach().double().numpy())
        if step % 5 == 0:
            optimizer.validated(step)
    trigger = 20  # the fourth validation: more than two are logged, and it is worse than the first
    expected = np.mean(history[trigger - 1 :], axis=0)  # weights w_T, w_T+1, ..., w_k, as the paper returns
    last = parameter.detach().clone()
    with optimizer.averaged():
        assert np.allclose(parameter.detach().double().numpy(), expected, atol=0.02 if dtype == torch.bfloat16 else 1e-5)
        assert not torch.equal(parameter, last)
    assert torch.equal(parameter, last)
    assert optimizer.averages.means[0].dtype == torch.float32
    assert np.allclose(optimizer.averages.means[0].double().numpy(), expected, atol=1e-5)
    with pytest.raises(KeyError), optimizer.averaged():
        raise KeyError
    assert torch.equal(parameter, last)
    means = optimizer.averages.means[0]
    optimizer.finish()
    assert torch.equal(parameter, means.to(dtype)) and optimizer.means is None


def test_a_layer_frozen_for_a_time_counts_in_the_mean_with_what_it_was():
    groups = [[nn.Parameter(torch.full((2,), 0.1))], [nn.Parameter(torch.zeros(2))]]
    optimizer = Optimizer(groups, LMConfig(**ASGD, lr=1.0, clip=100.0, nonmono=1), steps=10)
    for loss in (1.0, 1.0, 2.0):
        optimizer.validated(loss)
    for step in range(6):
        groups[1][0].grad = torch.ones(2)
        if step >= 4:
            groups[0][0].grad = torch.ones(2)
        optimizer.step()
        if step == 3:
            assert torch.equal(optimizer.averages.means[0], torch.full((2,), 0.1))
    assert torch.allclose(optimizer.averages.means[0], torch.full((2,), 0.1 - (1 + 2) / 7))
    assert torch.allclose(optimizer.averages.means[1], torch.full((2,), -21 / 7))


@pytest.mark.parametrize("settings", [{}, ASGD], ids=["adam", "nt-asgd"])
def test_without_averages_nothing_is_exchanged(settings):
    parameter = nn.Parameter(torch.tensor([1.0, 2.0]))
    optimizer = Optimizer([[parameter]], LMConfig(**settings), steps=4)
    for loss in (1.0, 2.0, 3.0):
        optimizer.validated(loss)
    with optimizer.averaged():
        assert torch.equal(parameter, torch.tensor([1.0, 2.0]))
    optimizer.finish()
    assert torch.equal(parameter, torch.tensor([1.0, 2.0])) and optimizer.means is None


class Run:
    """A small training with a validation every third step; ``frozen(step)`` is how many of the three groups do not learn."""

    def __init__(self, config, frozen):
        torch.manual_seed(0)
        self.layers = nn.ModuleList([nn.Linear(5, 7), nn.Linear(7, 6), nn.Linear(6, 2)])
        self.groups = [list(layer.parameters()) for layer in self.layers]
        self.optimizer, self.frozen = Optimizer(self.groups, config, steps=40), frozen

    def train(self, first, last):
        for step in range(first, last):
            for number, group in enumerate(self.groups):
                for parameter in group:
                    parameter.requires_grad_(number >= self.frozen(step))
            x = torch.randn(4, 5, generator=torch.Generator().manual_seed(step))
            for layer in self.layers:
                x = torch.tanh(layer(x))
            (x - torch.tensor([1.0, -1.0])).square().sum().backward()
            self.optimizer.step(scale=0.5 + step % 3)
            if step % 3 == 2:
                with self.optimizer.averaged():
                    x = torch.ones(1, 5)
                    for layer in self.layers:
                        x = layer(x)
                self.optimizer.validated(float(step) + float(x.detach().sum()) * 1e-3)  # worse and worse
        return self

    def everything(self):
        return {**{f"model.{name}": value for name, value in self.layers.state_dict().items()}, **self.optimizer.state()}


@pytest.mark.parametrize("half", [1, 4, 9, 10, 20])
@pytest.mark.parametrize("settings", [{}, {"weight_decay": 0.01, "decay": 2.6}, {**ASGD, "nonmono": 2, "lr": 0.1}], ids=str)
@pytest.mark.parametrize("frozen", [lambda step: 0, lambda step: max(0, 2 - step // 8), lambda step: (2, 0, 1)[step // 7 % 3]])
def test_a_training_goes_on_from_its_state_bit_for_bit(half, settings, frozen):
    config = LMConfig(**settings)
    whole = Run(config, frozen).train(0, 40)
    stored = save({name: value.clone() for name, value in Run(config, frozen).train(0, half).everything().items()})
    resumed = Run(config, frozen)
    resumed.optimizer.step()  # whatever it did before is forgotten
    state = load(stored)
    resumed.layers.load_state_dict({name.removeprefix("model."): value for name, value in state.items() if name.startswith("model.")})
    resumed.optimizer.restore({name: value for name, value in state.items() if not name.startswith("model.")})
    assert_same(resumed.everything(), state)
    resumed.train(half, 40)
    assert_same(resumed.everything(), whole.everything())
    assert (whole.optimizer.means is not None) == (config.optimizer == "nt-asgd")
    whole.optimizer.finish(), resumed.optimizer.finish()
    assert_same(resumed.everything(), whole.everything())


def assert_same(one, other):
    assert one.keys() == other.keys()
    assert all(one[name].dtype == other[name].dtype and torch.equal(one[name], other[name]) for name in one)


def test_a_state_is_flat_and_says_by_name_what_it_is():
    run = Run(LMConfig(), lambda step: 2).train(0, 3)
    state = run.optimizer.state()
    assert set(state) == {"step_number", *(f"adam.{number}.{name}" for number in (4, 5) for name in ("exp_avg", "exp_avg_sq", "step"))}
    assert state["step_number"].dtype == torch.int64 and state["step_number"] == 3
    assert state["adam.4.step"].dtype == torch.float32 and state["adam.4.step"] == 3
    run = Run(LMConfig(**ASGD, nonmono=1), lambda step: 0).train(0, 6)
    assert set(run.optimizer.state()) == {"step_number", "asgd.losses"}
    state = run.train(6, 12).optimizer.state()
    assert set(state) == {"step_number", "asgd.losses", "asgd.trigger", *(f"asgd.mean.{number}" for number in range(6))}
    assert state["asgd.losses"].dtype == torch.float64 and state["asgd.trigger"].dtype == torch.int64
    assert state["asgd.trigger"] == 9 and state["asgd.losses"].tolist() == run.optimizer.averages.losses


def test_restored_tensors_are_copies():
    source = Run(LMConfig(), lambda step: 0).train(0, 4)
    state = source.optimizer.state()
    before = {name: value.clone() for name, value in state.items()}
    other = Run(LMConfig(), lambda step: 0)
    other.optimizer.restore(state)
    other.train(4, 8)
    assert_same(state, before)


def test_a_state_of_something_else_is_refused():
    adam, asgd = Run(LMConfig(), lambda step: 0).train(0, 2), Run(LMConfig(**ASGD), lambda step: 0).train(0, 2)
    with pytest.raises(ValueError, match="of adam, not of nt-asgd"):
        asgd.optimizer.restore(adam.optimizer.state())
    with pytest.raises(ValueError, match="of nt-asgd, not of adam"):
        adam.optimizer.restore(asgd.optimizer.state())
    with pytest.raises(ValueError, match=r"shape \(7, 5\) for a parameter of shape \(3,\)"):
        Optimizer([[nn.Parameter(torch.zeros(3))]], LMConfig(), steps=4).restore(adam.optimizer.state())
    few = [[nn.Parameter(parameter.detach().clone()) for parameter in adam.groups[0]]]
    with pytest.raises(ValueError, match="a parameter 2, and there are 2"):
        Optimizer(few, LMConfig(), steps=4).restore(adam.optimizer.state())


@pytest.mark.parametrize("recipe", sorted(PRETRAINING))
def test_both_recipes_of_pretraining_lower_a_loss(recipe):
    config = LMConfig(**PRETRAINING[recipe])
    weight = nn.Parameter(torch.full((10,), 20.0 if recipe == "awd-lstm" else 0.05))
    optimizer = Optimizer([[weight]], config, steps=50)
    first = float(weight.detach().square().sum())
    for _ in range(50):
        weight.square().sum().backward()
        optimizer.step()
    assert float(weight.detach().square().sum()) < first / 2
