"""The softmax over a sample of the words, against the formula written out, and against what it estimates."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.bf16 import needs_bf16
from ulmfit.config import Dropouts, ModelConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.sampled_softmax import Sample, Sampler, inclusion, sampled_cross_entropy


def inputs(words: int = 300, size: int = 24, rows: int = 50) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    torch.manual_seed(0)
    rows_NE, weight_VE, bias_V = torch.randn(rows, size), torch.randn(words, size) * 0.3, torch.randn(words) * 0.1
    return rows_NE.requires_grad_(), weight_VE.requires_grad_(), bias_V.requires_grad_(), torch.randint(0, words, (rows,))


def reference(rows_NE: Tensor, weight_VE: Tensor, bias_V: Tensor, targets_N: Tensor, sample: Sample) -> Tensor:
    """Row by row: which of the candidates, the target and the other drawn words, is the target?"""
    losses = []
    for row, target in zip(rows_NE, targets_N.tolist(), strict=True):
        others = [word for word in sample.words.tolist() if word != target]
        logits = torch.stack([row @ weight_VE[word] + bias_V[word] - sample.log_rates[word] for word in [target, *others]])
        losses.append(-F.log_softmax(logits, 0)[0])
    return torch.stack(losses).mean()


@pytest.mark.parametrize("count", [1, 15, 16, 60, 299])
def test_loss_and_gradients_are_those_of_the_formula(count: int) -> None:
    *given, targets = inputs()
    sample = Sampler(300, count).draw(torch.Generator().manual_seed(count))
    expected, found = reference(*given, targets, sample), sampled_cross_entropy(*given, targets, sample)
    torch.testing.assert_close(found, expected, rtol=1e-6, atol=1e-6)
    for ours, theirs in zip(torch.autograd.grad(found * 3, given), torch.autograd.grad(expected * 3, given), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=1e-5, atol=1e-7)


@needs_bf16
def test_bf16_stays_near_fp32() -> None:
    rows, weight, bias, targets = inputs()
    sample = Sampler(300, 60).draw(torch.Generator().manual_seed(1))
    rough = rows.detach().bfloat16().requires_grad_()
    exact = torch.autograd.grad(sampled_cross_entropy(rows, weight, bias, targets, sample), (rows, weight, bias))
    found = torch.autograd.grad(sampled_cross_entropy(rough, weight, bias, targets, sample), (rough, weight, bias))
    for ours, theirs in zip(found, exact, strict=True):
        assert (ours.float() - theirs).norm() < 0.01 * theirs.norm()


def test_with_all_words_drawn_it_is_the_whole_softmax() -> None:
    *given, targets = inputs()
    sample = Sampler(300, 300).draw(torch.Generator().manual_seed(0))
    expected = F.cross_entropy(F.linear(given[0], given[1], given[2]), targets)
    torch.testing.assert_close(sampled_cross_entropy(*given, targets, sample), expected, rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize(("words", "count"), [(1, 1), (10, 3), (10, 10), (1_000, 100), (24_000, 2_048), (500, 499)])
def test_rates_fall_with_the_rank_and_add_up(words: int, count: int) -> None:
    rates = inclusion(words, count)
    assert rates.sum().item() == pytest.approx(count)
    assert bool((rates > 0).all()) and bool((rates <= 1 + 1e-12).all()) and bool((rates.diff() <= 1e-12).all())


@pytest.mark.parametrize("count", [0, -1, 11])
def test_no_more_words_are_drawn_than_there_are(count: int) -> None:
    with pytest.raises(ValueError, match="cannot be drawn"):
        inclusion(10, count)


def test_words_are_drawn_as_often_as_their_rates_say() -> None:
    sampler, generator, times = Sampler(200, 40), torch.Generator().manual_seed(3), 4_000
    hits = torch.zeros(200)
    for _ in range(times):
        hits[sampler.draw(generator).words] += 1
    spread = (sampler.rates * (1 - sampler.rates) / times).sqrt()
    assert bool(((hits / times - sampler.rates).abs() <= 5 * spread + 1e-6).all())


def test_it_learns_the_distribution_that_the_whole_softmax_learns() -> None:
    """A bias alone, on targets of known shares: the softmax of what is learnt is those shares."""
    shares = torch.tensor([0.4, 0.25, 0.05, 0.05, 0.1, 0.02, 0.03, 0.1], dtype=torch.float64)
    targets = torch.repeat_interleave(torch.arange(8), (shares * 100).round().long())
    rows, weight, bias = torch.zeros(100, 2), torch.zeros(8, 2), torch.zeros(8, requires_grad=True)
    sampler, generator = Sampler(8, 3), torch.Generator().manual_seed(0)
    for step in range(4_000):
        loss = sampled_cross_entropy(rows, weight, bias, targets, sampler.draw(generator))
        (gradient,) = torch.autograd.grad(loss, bias)
        with torch.no_grad():
            bias -= gradient * (2.0 / (1 + step / 100))
    torch.testing.assert_close(bias.detach().double().softmax(0), shares, rtol=0.1, atol=0.005)


def test_the_language_model_takes_a_sample_and_validates_on_all_words() -> None:
    model = LanguageModel(64, ModelConfig(embedding=8, hidden=16, layers=2), Dropouts(output=0, hidden=0, input=0, embedding=0, weight=0))
    hidden, targets = torch.randn(5, 3, 8), torch.randint(0, 64, (5, 3))
    everything = Sampler(64, 64).draw(torch.Generator().manual_seed(0))
    torch.testing.assert_close(model.loss(hidden, targets, everything), model.loss(hidden, targets), rtol=1e-6, atol=1e-6)
    few = Sampler(64, 4).draw(torch.Generator().manual_seed(0))
    assert model.loss(hidden, targets, few).item() < model.loss(hidden, targets).item(), "fewer to choose from is easier"
