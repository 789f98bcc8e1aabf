"""The head that shares its matrix with the embedding, the loss computed in chunks, and the two penalties. fp32."""

import pytest
import torch
import torch.nn.functional as F
from reference import NO_DROPOUT, SMALL, WORDS, encode, lively, text
from torch.autograd.profiler import profile

from ulmfit.config import Dropouts
from ulmfit.models.language_model import CHUNK, LanguageModel, LinearCrossEntropy, regularisation

VALUE, GRADIENT = 1e-5, 2e-5


def problem(rows: int, requires_grad: bool = True):
    generator = torch.Generator().manual_seed(rows)
    tensors = [torch.randn(shape, generator=generator) for shape in ((rows, 8), (31, 8), (31,))]
    return [tensor.requires_grad_(requires_grad) for tensor in tensors], torch.randint(0, 31, (rows,), generator=generator)


@pytest.mark.parametrize("rows", [1, 7, CHUNK - 1, CHUNK, CHUNK + 1, 2 * CHUNK + 3])
def test_linear_cross_entropy_is_the_plain_one(rows):
    (x, weight, bias), targets = problem(rows)
    plain = F.cross_entropy(F.linear(x, weight, bias), targets)
    mine = LinearCrossEntropy.apply(x, weight, bias, targets, True)
    assert mine.item() == pytest.approx(plain.item(), rel=VALUE)
    expected = torch.autograd.grad(2.5 * plain, (x, weight, bias))  # a factor: the incoming gradient is not always 1
    found = torch.autograd.grad(2.5 * mine, (x, weight, bias))
    for mine_part, plain_part in zip(found, expected, strict=True):
        assert torch.allclose(mine_part, plain_part, atol=GRADIENT)


def test_linear_cross_entropy_bears_large_logits():
    (x, weight, bias), targets = problem(40)
    mine = LinearCrossEntropy.apply(100 * x, weight, bias, targets, True)
    plain = F.cross_entropy(F.linear(100 * x, weight, bias), targets)
    assert mine.item() == pytest.approx(plain.item(), rel=VALUE)
    assert all(gradient.isfinite().all() for gradient in torch.autograd.grad(mine, (x, weight, bias)))


@pytest.mark.parametrize("context", [torch.no_grad, torch.inference_mode])
def test_loss_without_gradients_is_the_same_and_computes_none(context):
    model = LanguageModel(WORDS, SMALL, NO_DROPOUT)
    dropped, targets = torch.randn(6, 4, SMALL.embedding, generator=torch.Generator().manual_seed(0)), text((6, 4))
    with_gradient = model.loss(dropped, targets)
    with context():
        without = model.loss(dropped, targets)
        assert not without.requires_grad and without.item() == with_gradient.item()
    with profile() as learning:
        model.loss(dropped, targets)
    with context(), profile() as looking:
        model.loss(dropped, targets)
    gradient = "aten::scatter_add_"
    assert gradient in {event.name for event in learning.function_events}
    assert gradient not in {event.name for event in looking.function_events}


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
