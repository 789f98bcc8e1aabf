"""The method's formulas written out plainly, one time step at a time, for the library to be held against."""

import math

import torch
from torch import Tensor

from ulmfit.config import Dropouts, ModelConfig

NO_DROPOUT = Dropouts(output=0, hidden=0, input=0, embedding=0, weight=0)
SMALL = ModelConfig(embedding=6, hidden=10, layers=3)
WORDS = 23


def lstm_loop(x_TBI: Tensor, h: Tensor, c: Tensor, w_ih: Tensor, w_hh: Tensor, b_ih: Tensor, b_hh: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """An LSTM layer by its equations; the rows of the weights stand in the order input, forget, cell, output gate."""
    size, out = h.shape[1], []
    for x in x_TBI:
        gates = x @ w_ih.T + b_ih + h @ w_hh.T + b_hh
        i, f, g, o = (gates[:, k * size : (k + 1) * size] for k in range(4))
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        h = torch.sigmoid(o) * torch.tanh(c)
        out.append(h)
    return torch.stack(out), h, c


def encode(encoder, ids_TB: Tensor, embedding_VE: Tensor | None = None, cut: int = 0) -> Tensor:
    """States [T, B, E] of the last layer without dropout, from zeros; the graph starts anew at step ``cut``."""
    embedding_VE = encoder.embedding.weight if embedding_VE is None else embedding_VE
    states = [(torch.zeros(ids_TB.shape[1], layer.hidden_size),) * 2 for layer in encoder.layers]
    parts = []
    for ids in (ids_TB[:cut], ids_TB[cut:]):
        if not len(ids):
            continue
        x = embedding_VE[ids]
        for number, layer in enumerate(encoder.layers):
            weights = (layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh)
            x, h, c = lstm_loop(x, *states[number], *weights)
            states[number] = (h.detach(), c.detach())
        parts.append(x.detach() if len(parts) == 0 and cut else x)
    return torch.cat(parts)


def pool(states_TBE: Tensor, lengths: list[int]) -> Tensor:
    """Concat pooling, document by document."""
    rows = []
    for column, length in enumerate(lengths):
        real = states_TBE[:length, column]
        rows.append(torch.cat([real[-1], real.max(0).values, real.sum(0) / length]))
    return torch.stack(rows)


def triangle(t: int, T: int, cut_frac: float, ratio: float) -> float:
    """Equation 3 of Howard & Ruder (2018), with the maximal rate 1."""
    cut = math.floor(T * cut_frac)
    p = t / cut if t < cut else 1 - (t - cut) / (cut * (1 / cut_frac - 1))
    return (1 + p * (ratio - 1)) / ratio


def lively(model):
    """The model with larger weights, as after training: states then differ enough for gradients to be well above rounding."""
    with torch.no_grad():
        for layer in model.encoder.layers:
            layer.weight_ih.mul_(3)
    return model


def text(shape: tuple[int, ...], seed: int = 0) -> Tensor:
    """Ids at random, int64."""
    return torch.randint(0, WORDS, shape, generator=torch.Generator().manual_seed(seed))
