"""The language model: the encoder, and a decoder that shares the embedding's matrix."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit.config import Dropouts, ModelConfig
from ulmfit.models.awd_lstm import AWDLSTM, Masks, State, dropped
from ulmfit.models.sampled_softmax import Sample, sampled_cross_entropy
from ulmfit.models.softmax import linear_cross_entropy


class LanguageModel(nn.Module):
    """Predicts the next token. The decoder's weight is the embedding's (Inan et al. 2017), its bias is its own."""

    kind: Literal["language_model"] = "language_model"

    def __init__(self, vocab_size: int, config: ModelConfig, dropouts: Dropouts, seed: int = 0):
        super().__init__()
        self.encoder = AWDLSTM(vocab_size, config, dropouts, seed)
        self.bias = nn.Parameter(torch.zeros(vocab_size))

    def forward(self, ids_TB: Tensor, state: State | None = None) -> tuple[Tensor, State]:
        """Logits fp32 [T, B, V] of the token after each, and the state after the last; ``state``: zeros if not given."""
        _, hidden, after = self.hidden(ids_TB, self.encoder.initial_state(ids_TB.shape[1]) if state is None else state)
        return self.logits(hidden), after

    def hidden(self, ids_TB: Tensor, state: State, masks: Masks | None = None) -> tuple[Tensor, Tensor, State]:
        """The last layer's states [T, B, E] raw, the same with output dropout, and the state after the last step."""
        masks = masks or self.encoder.draw(ids_TB.shape[1])
        raw, after = self.encoder(ids_TB, state, masks)
        return raw, dropped(raw, masks.output), after

    def logits(self, dropped_TBE: Tensor) -> Tensor:
        """fp32 [T, B, V]."""
        return F.linear(dropped_TBE.float(), self.encoder.embedding.weight, self.bias)

    def loss(self, dropped_TBE: Tensor, targets_TB: Tensor, sample: Sample | None = None) -> Tensor:
        """Mean cross-entropy in nats, without ever holding all logits of a CPU's step; over a ``sample`` of the words, its estimate."""
        inputs = dropped_TBE.flatten(0, 1), self.encoder.embedding.weight, self.bias, targets_TB.flatten()
        return linear_cross_entropy(*inputs) if sample is None else sampled_cross_entropy(*inputs, sample)

    def groups(self) -> list[list[nn.Parameter]]:
        """Layer groups from the first to the last: the LSTMs, then the tied matrix, which as decoder is the last layer."""
        embedding, *layers = self.encoder.groups()
        return [*layers, [*embedding, self.bias]]


def regularisation(raw_TBE: Tensor, dropped_TBE: Tensor, alpha: float, beta: float) -> Tensor:
    """AR and TAR (Merity et al. 2017, sec. 4.6): alpha * mean(dropped^2) + beta * mean((raw_t+1 - raw_t)^2)."""
    penalty = alpha * dropped_TBE.float().pow(2).mean()
    if len(raw_TBE) > 1:
        penalty = penalty + beta * (raw_TBE[1:].float() - raw_TBE[:-1].float()).pow(2).mean()
    return penalty
