"""The classifier: concat pooling and back-propagation through time for text classification (Howard & Ruder 2018, sec. 3.3)."""

import math
from dataclasses import dataclass
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit.config import Dropouts, ModelConfig
from ulmfit.models.awd_lstm import AWDLSTM, Masks, mask


@dataclass(frozen=True)
class HeadConfig:
    """Units of the head's hidden layer, and the dropouts of its two blocks."""

    hidden: int = 50
    dropouts: tuple[float, float] = (0.4, 0.1)


class Head(nn.Module):
    """Pooled states [B, 3E] to logits [B, L]: two blocks of batch normalisation, dropout and a linear layer, ReLU between."""

    def __init__(self, inputs: int, labels: int, config: HeadConfig, generator: torch.Generator):
        super().__init__()
        self.dropouts, hidden = config.dropouts, config.hidden
        self.norm1, self.norm2 = nn.BatchNorm1d(inputs), nn.BatchNorm1d(hidden)
        self.linear1, self.linear2 = nn.Linear(inputs, hidden, bias=False), nn.Linear(hidden, labels)
        nn.init.uniform_(self.linear1.weight, -1 / math.sqrt(inputs), 1 / math.sqrt(inputs), generator=generator)
        nn.init.uniform_(self.linear2.weight, -1 / math.sqrt(hidden), 1 / math.sqrt(hidden), generator=generator)
        nn.init.zeros_(self.linear2.bias)

    def forward(self, pooled: Tensor, generator: torch.Generator) -> Tensor:
        """Logits fp32 [B, L]; ``generator`` draws the masks."""
        x = self.linear1(self._drop(_normalised(self.norm1, pooled), self.dropouts[0], generator)).relu()
        return self.linear2(self._drop(_normalised(self.norm2, x), self.dropouts[1], generator))

    def _drop(self, x: Tensor, p: float, generator: torch.Generator) -> Tensor:
        return x * mask(tuple(x.shape), p, generator, x) if self.training and p else x


def _normalised(norm: nn.BatchNorm1d, x_BF: Tensor) -> Tensor:
    """Batch normalisation. A single document has no variance, so it uses the running statistics even in training.

    These are the plain mean of the first ten batches, and decay from then on. Otherwise a short training would keep most of their
    initial variance of 1, which is hundreds of times that of pooled states.
    """
    assert norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None
    if not norm.training or len(x_BF) == 1:
        return F.batch_norm(x_BF, norm.running_mean, norm.running_var, norm.weight, norm.bias, training=False, eps=norm.eps)
    with torch.no_grad():  # by hand: the library needs the share as a number, and reading that from a GPU would wait for it
        norm.num_batches_tracked += 1
        share = norm.num_batches_tracked.float().reciprocal().clamp_min(0.1)
        variance, mean = torch.var_mean(x_BF, 0)
        norm.running_mean.lerp_(mean, share)
        norm.running_var.lerp_(variance, share)
    return F.batch_norm(x_BF, None, None, norm.weight, norm.bias, training=True, eps=norm.eps)


class Classifier(nn.Module):
    """Ids of documents to logits. Each column is a document, padded at the end."""

    kind: Literal["classifier"] = "classifier"

    def __init__(
        self, vocab_size: int, labels: int, config: ModelConfig, dropouts: Dropouts, head: HeadConfig = HeadConfig(), seed: int = 0
    ):
        super().__init__()
        self.encoder = AWDLSTM(vocab_size, config, dropouts, seed)
        self.head = Head(3 * config.embedding, labels, head, self.encoder.generator)

    def forward(self, ids_TB: Tensor, lengths_B: Tensor, bptt: int = 70, max_gradient_tokens: int = 1400) -> Tensor:
        """Logits fp32 [B, L]. ``lengths_B`` int64: real tokens per document, each 1 or more."""
        free = gradient_start(int(lengths_B.min()), bptt, max_gradient_tokens)
        return self.score(self.pool(ids_TB, lengths_B, self.encoder.draw(len(lengths_B)), bptt, free))

    def pool(self, ids_TB: Tensor, lengths_B: Tensor, masks: Masks, bptt: int, free: int = 0) -> Tensor:
        """[h_T, maxpool(H), meanpool(H)] fp32 [B, 3E] over the real positions alone.

        BPT3C: gradients flow from position ``free`` on (see :func:`gradient_start`). Earlier positions are read without gradients,
        in chunks of ``bptt`` with the state carried over, so memory is bounded for documents of any length. The masks are the same
        for the whole document.
        """
        state, pooling = self.encoder.initial_state(ids_TB.shape[1]), Pooling(lengths_B)
        learning = torch.is_grad_enabled() and any(parameter.requires_grad for parameter in self.encoder.parameters())
        read = free if learning else len(ids_TB)
        with torch.no_grad():
            for start in range(0, read, bptt):
                hidden, state = self.encoder(ids_TB[start : min(start + bptt, read)], state, masks)
                pooling.add(hidden, start)
        if learning:  # in one pass, as gradients flow through all of it
            pooling.add(self.encoder(ids_TB[free:], state, masks)[0], free)
        return pooling.result()

    def score(self, pooled_BF: Tensor) -> Tensor:
        """Logits fp32 [B, L] of the pooled states of a whole batch, over which the head normalises."""
        return self.head(pooled_BF, self.encoder.generator)

    def groups(self) -> list[list[nn.Parameter]]:
        """Layer groups from the first to the last: embedding, LSTMs, head."""
        return [*self.encoder.groups(), list(self.head.parameters())]


def gradient_start(shortest: int, bptt: int, max_gradient_tokens: int) -> int:
    """The first position with gradients, a multiple of ``bptt``: that of the chunk in which the last ``max_gradient_tokens`` of a
    batch's ``shortest`` document begin, so that every document learns from its end."""
    return max(0, shortest - max_gradient_tokens) // bptt * bptt


class Pooling:
    """Running last, maximum and mean of hidden states over the real positions of padded documents."""

    def __init__(self, lengths_B: Tensor):
        self.lengths = lengths_B
        self.last: Tensor | None = None

    def add(self, hidden_TBE: Tensor, start: int) -> None:
        """Add the states of positions ``start``, ``start`` + 1, ..."""
        steps = torch.arange(start, start + len(hidden_TBE), device=hidden_TBE.device)
        real_TB1 = (steps[:, None] < self.lengths).unsqueeze(-1)
        total = hidden_TBE.where(real_TB1, 0.0).sum(0, dtype=torch.float32)  # half precision would lose a long document's tail
        highest = hidden_TBE.where(real_TB1, -torch.inf).amax(0).float()
        if self.last is None:
            self.total, self.highest, self.last = total, highest, torch.zeros_like(total)
        else:
            self.total, self.highest = self.total + total, torch.maximum(self.highest, highest)
        ends = self.lengths - 1 - start
        here_B = (ends >= 0) & (ends < len(hidden_TBE))
        at = hidden_TBE[ends.clamp(0, len(hidden_TBE) - 1), torch.arange(hidden_TBE.shape[1], device=hidden_TBE.device)].float()
        self.last = torch.where(here_B[:, None], at, self.last)

    def cut(self, columns: int) -> Tensor:
        """Keep only the first ``columns`` documents; returns the pooled states of the others, which have ended."""
        assert self.last is not None, "a batch has at least one position"
        ended = self.result()[columns:]
        self.lengths, self.last = self.lengths[:columns], self.last[:columns]
        self.total, self.highest = self.total[:columns], self.highest[:columns]
        return ended

    def result(self) -> Tensor:
        """[B, 3E]: last, maximum, mean."""
        assert self.last is not None, "a batch has at least one position"
        return torch.cat([self.last, self.highest, self.total / self.lengths[:, None]], dim=1)
