"""The head that shares its matrix with the embedding, the loss computed in chunks, and the two penalties. fp32, where bf16 is not named."""

import pytest
import torch
import torch.nn.functional as F
from torch.autograd.profiler import profile

from tests.bf16 import needs_bf16
from tests.oracles.awd_lstm import NO_DROPOUT, SMALL, WORDS, encode, lively, text
from ulmfit.config import Dropouts
from ulmfit.models.language_model import LanguageModel, regularisation
from ulmfit.models.softmax import CHUNK, linear_cross_entropy

VALUE, GRADIENT = 1e-5, 2e-5
BF16 = 2**-8  # half the step between two numbers of bf16, relative
ROWS = 5  # a chunk in these tests


@pytest.fixture
def small_chunks(monkeypatch):
    for kind in CHUNK:
        monkeypatch.setitem(CHUNK, kind, ROWS)


def problem(rows: int, requires_grad: bool = True):
    generator = torch.Generator().manual_seed(rows)
    tensors = [torch.randn(shape, generator=generator) for shape in ((rows, 8), (31, 8), (31,))]
    return [tensor.requires_grad_(requires_grad) for tensor in tensors], torch.randint(0, 31, (rows,), generator=generator)


@pytest.mark.parametrize("rows", [1, ROWS - 1, ROWS, ROWS + 1, 2 * ROWS, 4 * ROWS + 3])
@pytest.mark.usefixtures("small_chunks")
def test_linear_cross_entropy_is_the_plain_one(rows):
    (x, weight, bias), targets = problem(rows)
    plain = F.cross_entropy(F.linear(x, weight, bias), targets)
    mine = linear_cross_entropy(x, weight, bias, targets)
    assert mine.item() == pytest.approx(plain.item(), rel=VALUE)
    expected = torch.autograd.grad(2.5 * plain, (x, weight, bias))  # a factor: the incoming gradient is not always 1
    found = torch.autograd.grad(2.5 * mine, (x, weight, bias))
    for mine_part, plain_part in zip(found, expected, strict=True):
        assert torch.allclose(mine_part, plain_part, atol=GRADIENT)


@needs_bf16
@pytest.mark.parametrize("rows", [1, ROWS, ROWS + 1, 4 * ROWS + 3])
@pytest.mark.usefixtures("small_chunks")
def test_in_bf16_it_is_the_plain_one_but_for_rounding(rows):
    """Against fp64 from the same rounded rows. A logit is rounded three times (weight, bias, itself), each by BF16 of up to 12; what
    a gradient sums up, a probability times a row or a weight, is rounded as often and no more than 1/rows of them each."""
    (x, weight, bias), targets = problem(rows)
    x = x.detach().bfloat16().requires_grad_()
    exact = [tensor.detach().double().requires_grad_() for tensor in (x, weight, bias)]
    plain = F.cross_entropy(F.linear(*exact), targets)
    mine = linear_cross_entropy(x, weight, bias, targets)
    assert mine.dtype == torch.float32
    assert mine.item() == pytest.approx(plain.item(), abs=12 * BF16 / rows**0.5)
    expected, found = torch.autograd.grad(2.5 * plain, exact), torch.autograd.grad(2.5 * mine, (x, weight, bias))
    assert [gradient.dtype for gradient in found] == [torch.bfloat16, torch.float32, torch.float32]
    for mine_part, plain_part in zip(found, expected, strict=True):
        assert (mine_part.double() - plain_part).norm() < 4 * BF16 * plain_part.norm()


@pytest.mark.parametrize("dtype", [torch.float32, pytest.param(torch.bfloat16, marks=needs_bf16)])
def test_the_length_of_a_chunk_makes_no_difference(dtype, monkeypatch):
    found = []
    for rows in (1, 7, 23, 1000):
        for kind in CHUNK:
            monkeypatch.setitem(CHUNK, kind, rows)
        (x, weight, bias), targets = problem(23)
        loss = linear_cross_entropy(x.to(dtype), weight, bias, targets)
        found.append([loss.detach(), *torch.autograd.grad(loss, (x, weight, bias))])
    for other in found[:-1]:
        for one, whole in zip(other, found[-1], strict=True):
            # fp32: the order of sums. bf16: a chunk's share of the weight's gradient is rounded before it is added.
            assert torch.allclose(one, whole, atol=1e-6 if dtype == torch.float32 else 2 * BF16 * float(whole.abs().max()))


@pytest.mark.parametrize("learns", [(True, False), (False, True)], ids=["rows alone", "weight alone"])
def test_what_is_frozen_gets_no_gradient(learns):
    (x, weight, bias), targets = problem(7)
    for tensor, on in zip((x, weight, bias), (learns[0], learns[1], learns[1]), strict=True):
        tensor.requires_grad_(on)
    linear_cross_entropy(x, weight, bias, targets).backward()
    assert [tensor.grad is not None for tensor in (x, weight, bias)] == [learns[0], learns[1], learns[1]]


@pytest.mark.parametrize("factor", [100, 3000])
def test_linear_cross_entropy_bears_large_logits(factor):
    (x, weight, bias), targets = problem(40)
    mine = linear_cross_entropy(factor * x, weight, bias, targets)
    plain = F.cross_entropy(F.linear(factor * x, weight, bias), targets)
    assert mine.item() == pytest.approx(plain.item(), rel=VALUE)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(mine, (x, weight, bias)))


@needs_bf16
def test_in_bf16_an_impossible_target_costs_much_and_not_all():
    (x, weight, bias), targets = problem(40)
    loss = linear_cross_entropy((3000 * x).bfloat16(), weight, bias, targets)
    assert 10 < loss.item() < 100  # a probability of nought counts as the smallest number
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(loss, (weight, bias)))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_loss_without_gradients_is_the_same_and_computes_none(context):
    model = LanguageModel(WORDS, SMALL, NO_DROPOUT)
    dropped, targets = torch.randn(6, 4, SMALL.embedding, generator=torch.Generator().manual_seed(0)), text((6, 4))
    with_gradient = model.loss(dropped, targets)
    with context():
        without = model.loss(dropped, targets)
        assert not without.requires_grad and without.item() == with_gradient.item()
    assert products(model, dropped.clone().requires_grad_(), targets) == 3  # logits, and the gradients of rows and weight
    with context():
        assert products(model, dropped, targets) == 1


def products(model: LanguageModel, dropped: torch.Tensor, targets: torch.Tensor) -> int:
    """Matrix products of rows and vocabulary that a loss asks for (one chunk)."""
    with profile() as seen:
        model.loss(dropped, targets)
    large = [event.name for event in seen.function_events if event.name in ("aten::mm", "aten::addmm", "aten::addmm_")]
    return len(large) - (len(large) > 1)  # the bias's gradient is a product too, with a row of ones


def test_the_decoder_is_the_embedding():
    model = LanguageModel(WORDS, SMALL, NO_DROPOUT)
    shapes = {name: tuple(parameter.shape) for name, parameter in model.named_parameters()}
    assert [name for name, shape in shapes.items() if shape == (WORDS, SMALL.embedding)] == ["encoder.embedding.weight"]
    assert sum(len(group) for group in model.groups()) == len(list(model.parameters()))
    with torch.no_grad():
        model.encoder.embedding.weight.zero_()
    assert (model.logits(torch.ones(1, 1, SMALL.embedding)) == model.bias).all()


def test_the_tied_matrix_gets_both_parts_of_the_gradient():
    model, ids, targets = lively(LanguageModel(WORDS, SMALL, NO_DROPOUT)), text((8, 3)), text((8, 3), seed=1)
    _, dropped, _ = model.hidden(ids, model.encoder.initial_state(3))
    loss = model.loss(dropped, targets)
    loss.backward()
    into, out_of = (model.encoder.embedding.weight.detach().clone().requires_grad_() for _ in range(2))
    states = encode(model.encoder, ids, into)
    plain = F.cross_entropy((states @ out_of.T + model.bias).flatten(0, 1), targets.flatten())
    first, second = torch.autograd.grad(plain, (into, out_of))
    assert loss.item() == pytest.approx(plain.item(), rel=VALUE)
    assert first.abs().max() > 100 * GRADIENT and second.abs().max() > 100 * GRADIENT
    assert torch.allclose(model.encoder.embedding.weight.grad, first + second, atol=GRADIENT)


def test_logits_and_loss_agree():
    model, ids, targets = LanguageModel(WORDS, SMALL, Dropouts()).eval(), text((5, 2)), text((5, 2), seed=1)
    _, dropped, _ = model.hidden(ids, model.encoder.initial_state(2))
    plain = F.cross_entropy(model.logits(dropped).flatten(0, 1), targets.flatten())
    assert model.loss(dropped, targets).item() == pytest.approx(plain.item(), rel=VALUE)


def test_penalties_are_the_means_of_squares():
    generator = torch.Generator().manual_seed(0)
    raw, dropped = torch.randn(4, 2, 3, generator=generator), torch.randn(4, 2, 3, generator=generator)
    places = [(t, b, e) for t in range(4) for b in range(2) for e in range(3)]
    activation = sum(dropped[place].item() ** 2 for place in places) / 24
    change = sum((raw[t + 1, b, e] - raw[t, b, e]).item() ** 2 for t, b, e in places if t < 3) / 18
    assert regularisation(raw, dropped, 2.0, 0.0).item() == pytest.approx(2 * activation, rel=VALUE)
    assert regularisation(raw, dropped, 0.0, 3.0).item() == pytest.approx(3 * change, rel=VALUE)
    assert regularisation(raw, dropped, 2.0, 3.0).item() == pytest.approx(2 * activation + 3 * change, rel=VALUE)
    assert regularisation(raw[:1], dropped[:1], 0.0, 3.0).item() == 0  # one step does not change
