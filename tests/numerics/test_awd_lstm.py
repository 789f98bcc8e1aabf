"""The encoder against a loop over time, and its five dropouts one by one. fp32; tolerances are absolute."""

import pytest
import torch

from tests.oracles.awd_lstm import NO_DROPOUT, SMALL, WORDS, encode, lstm_loop, text
from ulmfit.config import Dropouts
from ulmfit.models import awd_lstm
from ulmfit.models.awd_lstm import AWDLSTM, Masks, detach, dropped
from ulmfit.models.language_model import LanguageModel

FORWARD, GRADIENT = 1e-6, 1e-5


@pytest.fixture
def masks(monkeypatch) -> list[torch.Tensor]:
    """Every mask drawn by the encoder from here on."""
    drawn, real = [], awd_lstm.mask

    def recorder(*arguments):
        drawn.append(real(*arguments))
        return drawn[-1]

    monkeypatch.setattr(awd_lstm, "mask", recorder)
    return drawn


def encoder_with(**dropouts: float) -> AWDLSTM:
    return AWDLSTM(WORDS, SMALL, NO_DROPOUT.model_copy(update=dropouts), seed=1)


def test_evaluation_is_the_loop_over_time():
    encoder, ids = encoder_with(weight=0.5, input=0.5).eval(), text((9, 4))
    states, after = encoder(ids, encoder.initial_state(4))
    expected = encode(encoder, ids)
    assert torch.allclose(states, expected, atol=FORWARD)
    assert torch.allclose(after[-1][0][0], expected[-1], atol=FORWARD)


def test_layers_have_the_sizes_of_the_paper():
    encoder = encoder_with()
    assert [(layer.weight_ih.shape[1], layer.hidden_size) for layer in encoder.layers] == [(6, 10), (10, 10), (10, 6)]


@pytest.mark.parametrize("embedding", [16, 128, 400])
def test_embedding_rows_begin_as_long_as_the_papers(embedding):
    weight = AWDLSTM(500, SMALL.model_copy(update={"embedding": embedding}), NO_DROPOUT).embedding.weight
    assert weight.norm(dim=1).mean().item() == pytest.approx(20 * 0.1 / 3**0.5, rel=0.03)  # 400 numbers in +-0.1
    assert weight.mean().item() == pytest.approx(0, abs=0.02)


def half(shape: tuple[int, ...], generator: torch.Generator) -> torch.Tensor:
    """A mask that drops one in two."""
    return 2 * torch.randint(0, 2, shape, generator=generator).float()


def test_recurrent_weights_are_dropped_as_in_the_loop():
    layer, generator = encoder_with(weight=0.5).layers[0], torch.Generator().manual_seed(3)
    x = torch.randn(7, 3, 6, generator=generator)
    h, c = torch.randn(3, 10, generator=generator), torch.randn(3, 10, generator=generator)
    drawn = half((40, 10), generator)  # one for all seven steps
    out, (h_end, c_end) = layer(x, (h[None], c[None]), drawn)
    expected, h_loop, c_loop = lstm_loop(x, h, c, layer.weight_ih, layer.weight_hh * drawn, layer.bias_ih, layer.bias_hh)
    assert torch.allclose(out, expected, atol=FORWARD)
    assert torch.allclose(h_end[0], h_loop, atol=FORWARD) and torch.allclose(c_end[0], c_loop, atol=FORWARD)


def test_gradients_are_those_of_the_loop():
    layer, generator = encoder_with(weight=0.5).layers[0], torch.Generator().manual_seed(3)
    x, weigh = torch.randn(7, 3, 6, generator=generator), torch.randn(7, 3, 10, generator=generator)
    zeros, drawn = torch.zeros(3, 10), half((40, 10), generator)
    (layer(x, (zeros[None], zeros[None]), drawn)[0] * weigh).sum().backward()
    mine = [parameter.grad for parameter in layer.parameters()]
    w_ih, w_hh, b_ih, b_hh = (parameter.detach().clone().requires_grad_() for parameter in layer.parameters())
    (lstm_loop(x, zeros, zeros, w_ih, w_hh * drawn, b_ih, b_hh)[0] * weigh).sum().backward()
    for gradient, parameter in zip(mine, (w_ih, w_hh, b_ih, b_hh), strict=True):
        assert torch.allclose(gradient, parameter.grad, atol=GRADIENT)
    assert (mine[1][drawn == 0] == 0).all()


def test_one_weight_mask_a_layer_and_forward_pass(masks):
    encoder = encoder_with(weight=0.5)
    before = [layer.weight_hh.detach().clone() for layer in encoder.layers]
    for _ in range(2):
        encoder(text((5, 2)), encoder.initial_state(2))
    assert [mask.shape for mask in masks] == [(40, 10), (40, 10), (24, 6)] * 2
    assert not torch.equal(masks[0], masks[3])
    assert all(torch.equal(layer.weight_hh, weight) for layer, weight in zip(encoder.layers, before, strict=True))


def test_the_mask_of_a_pass_is_given_to_the_layers_it_names(masks):
    encoder = encoder_with(weight=0.5, hidden=0.5)
    drawn = encoder.draw(2)
    found, _ = encoder(text((5, 2)), encoder.initial_state(2), drawn)
    assert len(masks) == 5  # three matrices, two places between layers; none is drawn again
    x, plain = encoder.embedding.weight[text((5, 2))], torch.zeros(2, 10)
    for number, (layer, weights) in enumerate(zip(encoder.layers, drawn.weights, strict=True)):
        x = x if number == 0 else x * drawn.hidden[number - 1]
        zeros = plain[:, : layer.hidden_size]
        x, _, _ = lstm_loop(x, zeros, zeros, layer.weight_ih, layer.weight_hh * weights, layer.bias_ih, layer.bias_hh)
    assert torch.allclose(found, x, atol=FORWARD)


@pytest.mark.parametrize("p", [0.05, 0.25, 0.5, 0.9])
def test_a_mask_is_nought_or_the_inverse_of_what_is_kept(p):
    mask = awd_lstm.mask((200, 500), p, torch.Generator().manual_seed(0), torch.zeros(1))
    assert mask.shape == (200, 500) and mask.dtype == torch.float32
    assert torch.allclose(mask[mask != 0], torch.tensor(1 / (1 - p)))
    assert float((mask == 0).float().mean()) == pytest.approx(p, abs=0.01)  # over six standard deviations of 1e5 draws


def test_a_mask_is_drawn_sixteen_bits_a_number():
    """Four neighbours share a drawn number of 64 bits: that each is as likely as the others, and alone, is not a matter of course."""
    rows = awd_lstm.mask((25_000, 4), 0.3, torch.Generator().manual_seed(0), torch.zeros(1)) == 0
    assert rows.float().mean(0).tolist() == pytest.approx([0.3] * 4, abs=0.015)  # five standard deviations of 25,000 draws
    together = (rows.float().T @ rows.float() / len(rows)).masked_select(~torch.eye(4, dtype=torch.bool))
    assert together.tolist() == pytest.approx([0.09] * 12, abs=0.01)
    few = awd_lstm.mask((3,), 0.3, torch.Generator().manual_seed(0), torch.zeros(1))  # no multiple of four
    assert few.shape == (3,) and torch.equal(few == 0, rows[0, :3])


def test_embedding_dropout_drops_words_wherever_they_stand():
    encoder, ids = encoder_with(embedding=0.5), text((40, 6))
    inputs, plain, fates = [], encoder.embedding.weight.detach(), set()
    encoder.layers[0].register_forward_pre_hook(lambda layer, given: inputs.append(given[0].detach()))
    encoder(ids, encoder.initial_state(6))
    (states,) = inputs
    for word in ids.unique():
        rows = states[ids == word]
        gone = bool((rows == 0).all())
        assert gone or torch.allclose(rows, 2 * plain[word].expand_as(rows), atol=FORWARD)
        fates.add(gone)
    assert fates == {True, False}


def test_variational_masks_are_shared_over_time_and_differ_between_columns():
    generator, ones = torch.Generator().manual_seed(0), torch.ones(20, 8, 50)
    out = dropped(ones, awd_lstm.mask((8, 50), 0.4, generator, ones))
    assert (out == out[0]).all()
    assert len({tuple(column.tolist()) for column in out[0]}) == 8
    assert torch.allclose(out[out != 0], torch.tensor(1 / 0.6))
    assert not torch.equal(out, dropped(ones, awd_lstm.mask((8, 50), 0.4, generator, ones)))
    assert dropped(ones, None) is ones


@pytest.mark.parametrize(
    ("name", "shapes"), [("embedding", [(WORDS,)]), ("input", [(3, 6)]), ("hidden", [(3, 10)] * 2), ("output", [(3, 6)])]
)
def test_each_dropout_stands_in_its_place(masks, name, shapes):
    model = LanguageModel(WORDS, SMALL, NO_DROPOUT.model_copy(update={name: 0.5}))
    raw, dropped, _ = model.hidden(text((4, 3)), model.encoder.initial_state(3))
    assert [mask.shape for mask in masks] == shapes
    if name == "output":
        assert torch.equal(dropped, raw * masks[0]) and not torch.equal(dropped, raw)
    else:
        assert torch.equal(dropped, raw)


def test_nothing_is_dropped_in_evaluation(masks):
    model = LanguageModel(WORDS, SMALL, Dropouts(output=0.9, hidden=0.9, input=0.9, embedding=0.9, weight=0.9)).eval()
    bare = LanguageModel(WORDS, SMALL, NO_DROPOUT).train()
    bare.load_state_dict(model.state_dict())
    ids, state = text((5, 2)), model.encoder.initial_state(2)
    raw, dropped, _ = model.hidden(ids, state)
    assert torch.equal(raw, dropped) and torch.equal(raw, bare.hidden(ids, state)[0])
    assert masks == [] and model.encoder.draw(2) == Masks(None, None, (None,) * 2, None, (None,) * 3)


def test_two_windows_with_the_state_carried_are_one_pass():
    encoder, ids = encoder_with().eval(), text((12, 3))
    whole, after = encoder(ids, encoder.initial_state(3))
    first, state = encoder(ids[:5], encoder.initial_state(3))
    second, end = encoder(ids[5:], detach(state))
    assert torch.allclose(torch.cat([first, second]), whole, atol=FORWARD)
    assert all(torch.allclose(a, b, atol=FORWARD) for mine, other in zip(after, end, strict=True) for a, b in zip(mine, other, strict=True))


def test_a_detached_state_carries_no_gradient():
    encoder = encoder_with()
    _, state = encoder(text((4, 2)), encoder.initial_state(2))
    assert all(tensor.requires_grad for pair in state for tensor in pair)
    assert not any(tensor.requires_grad for pair in detach(state) for tensor in pair)


def test_masks_come_from_the_models_own_seed():
    encoder = encoder_with(weight=0.3, input=0.3, hidden=0.3, embedding=0.3)
    runs = []
    for seed in (5, 5, 6):
        encoder.seed(seed)
        torch.manual_seed(len(runs))  # the global seed has no say
        runs.append(encoder(text((6, 2)), encoder.initial_state(2))[0])
    assert torch.equal(runs[0], runs[1]) and not torch.equal(runs[0], runs[2])
