"""Cross-entropy over a sample of the vocabulary: a step of pretraining without the product by every word.

Sampled softmax (Jean et al. 2015, sec. 3): of the drawn words and the target, which is the target? Each word is drawn independently
with a probability ``q_w``, so the odds of word ``t`` are ``p(t)/q_t``, and logits ``l_w - log q_w`` learn the same ``p`` as those of
the whole vocabulary, however few are drawn. The probabilities follow the words' ranks, as in Zipf's law. Validation and prediction
use the whole vocabulary: the model is the same.

(Weighing only the drawn words by ``1/q_w``, and not the target, gives the right sum under the softmax but not its logarithm: a
rare word with a large logit costs something only when it is drawn.)
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from ulmfit.models.softmax import CHUNK, ChunkLinear, SavedGradients, accumulate, softmax_and_loss

TILE = 16  # of a matrix unit: the columns are the drawn words', one for the target, and what fills the last tile
NEVER = -1e9


def inclusion(vocab_size: int, count: int) -> Tensor:
    """fp64 [V]: the probability of each word, by its rank, to be among the ``count`` drawn; they add up to ``count``.

    ``min(1, c * log((rank + 2) / (rank + 1)))`` for the ``c`` that makes it so. ValueError where there are not so many words.
    """
    if not 0 < count <= vocab_size:
        raise ValueError(f"{count} words cannot be drawn from {vocab_size}")
    ranks = torch.arange(1, vocab_size + 1, dtype=torch.float64)
    shares = torch.log1p(1 / ranks)  # falling, so those that reach 1 are the first
    tails = shares.flip(0).cumsum(0).flip(0)
    sure = 0
    while sure < count and (count - sure) / tails[sure] * shares[sure] >= 1:
        sure += 1
    rates = torch.ones_like(shares)
    rates[sure:] = shares[sure:] * (count - sure) / (tails[sure] if sure < vocab_size else 1)
    return rates


@dataclass(frozen=True)
class Sample:
    """Words drawn for one step: ``words`` int64 [K], rising, and ``log_rates`` fp32 [V], the logarithm of every word's probability."""

    words: Tensor
    log_rates: Tensor


class Sampler:
    """Draws about ``count`` words, each independently with the probability that :func:`inclusion` gives it (Poisson sampling)."""

    def __init__(self, vocab_size: int, count: int, device: str | torch.device = "cpu"):
        self.rates = inclusion(vocab_size, count).float().to(device)
        self.log_rates = self.rates.log()

    def draw(self, generator: torch.Generator) -> Sample:
        """The words of one step."""
        dice = torch.rand(len(self.rates), device=self.rates.device, generator=generator)
        return Sample((dice < self.rates).nonzero().flatten(), self.log_rates)


def sampled_cross_entropy(rows_NE: Tensor, weight_VE: Tensor, bias_V: Tensor, targets_N: Tensor, sample: Sample) -> Tensor:
    """The mean in nats over the rows, fp32, of the cross-entropy of the target among itself and the drawn words, of ``l_w - log q_w``.

    ``rows`` fp32 or bf16: the type of the products, as in :func:`~ulmfit.models.softmax.linear_cross_entropy`.
    """
    return _SampledCrossEntropy.apply(rows_NE, weight_VE, bias_V, targets_N, sample)


class _SampledCrossEntropy(SavedGradients):
    """Gradients are computed on the way, in chunks of rows."""

    @staticmethod
    def forward(ctx: Any, rows_NE: Tensor, weight_VE: Tensor, bias_V: Tensor, targets_N: Tensor, sample: Sample) -> Tensor:
        words_K, kind = sample.words, rows_NE.dtype
        count = len(words_K)
        own = count  # the column of each row's own target
        spare = TILE - count % TILE
        drawn = F.pad(weight_VE.detach()[words_K], (0, 0, 0, spare))
        biases_V = bias_V.detach() - sample.log_rates
        shift = F.pad(biases_V[words_K], (0, spare), value=NEVER)
        place = torch.full((len(weight_VE),), own, dtype=torch.int64, device=words_K.device)
        place[words_K] = torch.arange(count, device=words_K.device)
        grad_rows, grad_drawn, grad_shift = torch.empty_like(rows_NE), torch.zeros_like(drawn), torch.zeros_like(shift)
        grad_weight, grad_bias = torch.zeros_like(weight_VE), torch.zeros_like(bias_V)
        chunk = CHUNK["gpu" if rows_NE.is_cuda else "fp32" if kind == torch.float32 else "bf16"]
        linear = ChunkLinear(drawn, shift, kind, min(chunk, len(rows_NE)))
        total = rows_NE.new_zeros((), dtype=torch.float32)
        for start in range(0, len(rows_NE), chunk):
            rows, targets = rows_NE[start : start + chunk], targets_N[start : start + chunk]
            theirs = weight_VE.detach()[targets].to(kind)
            expected = (rows * theirs).float().sum(1) + biases_V[targets]
            logits, line = linear(rows), torch.arange(len(rows), device=rows.device)
            logits[line, place[targets]] = NEVER  # where the target was drawn too, it must not count twice
            logits[:, own] = expected.to(kind)
            column = torch.full_like(targets, own)
            errors, loss = softmax_and_loss(logits, column)
            total = total + loss
            errors[:, own] -= 1
            error = errors[:, own].float()
            torch.mm(errors, linear.weight, out=grad_rows[start : start + chunk])
            grad_rows[start : start + chunk].addcmul_(theirs, errors[:, own : own + 1])
            accumulate(grad_drawn, grad_shift, errors, rows)
            grad_weight.index_add_(0, targets, rows.float() * error[:, None])
            grad_bias.index_add_(0, targets, error)
        grad_weight.index_add_(0, words_K, grad_drawn[:count])
        grad_bias.index_add_(0, words_K, grad_shift[:count])
        ctx.save_for_backward(grad_rows, grad_weight, grad_bias)
        ctx.count = len(rows_NE)
        return total / len(rows_NE)
