"""The language model: the encoder, and a decoder that shares the embedding's matrix."""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit.config import Dropouts, ModelConfig
from ulmfit.models.awd_lstm import AWDLSTM, State

CHUNK = 256  # rows of the head at a time: 256 x 8,000 logits stay in the cache


class LanguageModel(nn.Module):
    """Predicts the next token. The decoder's weight is the embedding's (Inan et al. 2017), its bias is its own."""

    def __init__(self, vocab_size: int, config: ModelConfig, dropouts: Dropouts, seed: int = 0):
        super().__init__()
        self.encoder = AWDLSTM(vocab_size, config, dropouts, seed)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def hidden(self, ids_TB: Tensor, state: State) -> tuple[Tensor, Tensor, State]:
        """The last layer's states [T, B, E] raw, the same with output dropout, and the state after the last step."""
        raw, after = self.encoder(ids_TB, state)
        return raw, self.encoder.variational(raw, self.encoder.dropouts.output), after

    def logits(self, dropped_TBE: Tensor) -> Tensor:
        """[T, B, V]."""
        return F.linear(dropped_TBE, self.encoder.embedding.weight, self.bias)

    def loss(self, dropped_TBE: Tensor, targets_TB: Tensor) -> Tensor:
        """Mean cross-entropy in nats; on a CPU without ever holding all logits."""
        rows, targets = dropped_TBE.flatten(0, 1), targets_TB.flatten()
        weight = self.encoder.embedding.weight
        if rows.is_cuda:
            return F.cross_entropy(F.linear(rows, weight, self.bias).float(), targets)
        return LinearCrossEntropy.apply(rows, weight, self.bias, targets, torch.is_grad_enabled())

    def groups(self) -> list[list[nn.Parameter]]:
        """Layer groups from the first to the last: the LSTMs, then the tied matrix, which as decoder is the last layer."""
        embedding, *layers = self.encoder.groups()
        return [*layers, [*embedding, self.bias]]


def regularisation(raw_TBE: Tensor, dropped_TBE: Tensor, alpha: float, beta: float) -> Tensor:
    """AR and TAR (Merity et al. 2017, sec. 4.6): alpha * mean(dropped^2) + beta * mean((raw_t+1 - raw_t)^2)."""
    penalty = alpha * dropped_TBE.pow(2).mean()
    if len(raw_TBE) > 1:
        penalty = penalty + beta * (raw_TBE[1:] - raw_TBE[:-1]).pow(2).mean()
    return penalty


class LinearCrossEntropy(torch.autograd.Function):
    """``cross_entropy(linear(rows, weight, bias), targets)`` in chunks of rows, gradients computed on the way.

    The N x V logits of a step are the largest thing in an LM's memory; here a chunk of them lives in the cache, becomes
    its own gradient in place, and is forgotten. ``learning`` says whether gradients are wanted: autograd cannot tell a
    function that it runs under ``no_grad``.
    """

    @staticmethod
    def forward(ctx: Any, rows_NE: Tensor, weight_VE: Tensor, bias_V: Tensor, targets_N: Tensor, learning: bool) -> Tensor:
        grad_rows, grad_weight, grad_bias = (torch.zeros_like(x if learning else x[:0]) for x in (rows_NE, weight_VE, bias_V))
        total = rows_NE.new_zeros(())
        # One buffer serves all chunks: memory fresh from the system costs more than the arithmetic on it.
        buffer = rows_NE.new_empty(min(CHUNK, len(rows_NE)), len(weight_VE))
        for start in range(0, len(rows_NE), CHUNK):
            rows, targets = rows_NE[start : start + CHUNK], targets_N[start : start + CHUNK, None]
            logits = torch.addmm(bias_V, rows, weight_VE.t(), out=buffer[: len(rows)])
            expected, highest = logits.gather(1, targets), logits.amax(1, keepdim=True)
            errors = logits.sub_(highest).exp_()  # in place: the softmax times its row's sum
            sums = errors.sum(1, keepdim=True)
            total += (highest + sums.log() - expected).sum()
            if not learning:
                continue
            errors.scatter_add_(1, targets, -sums)
            torch.mm(errors, weight_VE, out=grad_rows[start : start + CHUNK]).div_(sums)
            grad_weight.addmm_(errors.t(), rows / sums)
            grad_bias.addmv_(errors.t(), sums.reciprocal()[:, 0])
        ctx.save_for_backward(grad_rows, grad_weight, grad_bias)
        ctx.count = len(rows_NE)
        return total / len(rows_NE)

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None]:
        scale = grads[0] / ctx.count
        grad_rows, grad_weight, grad_bias = ctx.saved_tensors
        return grad_rows * scale, grad_weight * scale, grad_bias * scale, None, None
