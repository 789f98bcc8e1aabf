"""The AWD-LSTM encoder and its five dropouts (Merity et al. 2017, sec. 4; Howard & Ruder 2018, sec. 3.1).

Shapes: T time, B batch, E embedding, H hidden, V vocabulary. Time comes first, as the LSTM kernels want it.
"""

from __future__ import annotations

import math
from itertools import pairwise

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit.config import Dropouts, ModelConfig

State = list[tuple[Tensor, Tensor]]  # (h, c) a layer, each [1, B, size]


def mask(shape: tuple[int, ...], p: float, generator: torch.Generator, like: Tensor) -> Tensor:
    """A dropout mask: 0 with probability ``p``, else 1/(1-p), so that the expectation is 1."""
    return torch.empty(shape, dtype=like.dtype, device=like.device).bernoulli_(1 - p, generator=generator).div_(1 - p)


class WeightDropLSTM(nn.Module):
    """One LSTM layer with DropConnect on the hidden-to-hidden matrix: one mask a forward pass, the same at every time step."""

    def __init__(self, input_size: int, hidden_size: int, p: float, generator: torch.Generator):
        super().__init__()
        self.hidden_size, self.p = hidden_size, p
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size))

        for parameter in self.parameters():  # uniform in +-1/sqrt(H), as LSTMs are by custom
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size), generator=generator)

    def forward(self, x_TBI: Tensor, state: tuple[Tensor, Tensor], generator: torch.Generator) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        weight_hh: Tensor = self.weight_hh
        if self.training and self.p:
            weight_hh = weight_hh * mask(tuple(weight_hh.shape), self.p, generator, weight_hh)
        weights: list[Tensor] = [self.weight_ih, weight_hh, self.bias_ih, self.bias_hh]
        # The functional call takes the dropped matrix as it is: no parameter is overwritten, none is copied back.
        out_TBH, h, c = torch._VF.lstm(x_TBI, state, weights, True, 1, 0.0, self.training, False, False)
        return out_TBH, (h, c)


class AWDLSTM(nn.Module):
    """Token ids to hidden states. The last layer is as wide as the embedding, so that a decoder can share its matrix."""

    def __init__(self, vocab_size: int, config: ModelConfig, dropouts: Dropouts, seed: int = 0):
        super().__init__()
        self.config, self.dropouts, self.vocab_size = config, dropouts, vocab_size
        self.sizes = [config.embedding, *[config.hidden] * (config.layers - 1), config.embedding]
        self.embedding = nn.Embedding(vocab_size, config.embedding)
        self.seed(seed)
        # Rows are as long as those of the paper, +-0.1 in 400 dimensions: shorter ones leave a narrow LSTM deaf to its input.
        reach = 2 / math.sqrt(config.embedding)
        nn.init.uniform_(self.embedding.weight, -reach, reach, generator=self.generator)
        layers = [WeightDropLSTM(inner, outer, dropouts.weight, self.generator) for inner, outer in pairwise(self.sizes)]
        self.layers = nn.ModuleList(layers)

    def seed(self, seed: int) -> None:
        """Start the random numbers of the masks anew. They are the model's own, so trainings in several threads do not mix."""
        self.generator = torch.Generator(self.embedding.weight.device).manual_seed(seed)

    def initial_state(self, batch: int) -> State:
        """Zeros, a pair a layer."""
        weight = self.embedding.weight
        return [(weight.new_zeros(1, batch, size), weight.new_zeros(1, batch, size)) for size in self.sizes[1:]]

    def forward(self, ids_TB: Tensor, state: State) -> tuple[Tensor, State]:
        """Hidden states [T, B, E] of the last layer, before any dropout of the output, and the state after the last step."""
        x = self.variational(self._embed(ids_TB), self.dropouts.input)
        after: State = []
        for number, layer in enumerate(self.layers):
            x, pair = layer(x, state[number], self.generator)
            after.append(pair)
            if number < len(self.layers) - 1:
                x = self.variational(x, self.dropouts.hidden)
        return x, after

    def variational(self, x_TBE: Tensor, p: float) -> Tensor:
        """Dropout with one mask for all time steps of a sequence (Gal & Ghahramani 2016)."""
        if not (self.training and p):
            return x_TBE
        return x_TBE * mask((1, *x_TBE.shape[1:]), p, self.generator, x_TBE)

    def _embed(self, ids_TB: Tensor) -> Tensor:
        """Embedding with whole words dropped: one draw a word of the vocabulary, so a word is gone wherever it stands."""
        x = F.embedding(ids_TB, self.embedding.weight)
        p = self.dropouts.embedding
        if not (self.training and p):
            return x
        kept_V = mask((self.vocab_size,), p, self.generator, x)
        return x * kept_V[ids_TB].unsqueeze(-1)

    def groups(self) -> list[list[nn.Parameter]]:
        """Layer groups from the first to the last, for discriminative rates and gradual unfreezing: embedding, LSTMs."""
        return [list(self.embedding.parameters()), *(list(layer.parameters()) for layer in self.layers)]


def detach(state: State) -> State:
    """The same state, cut from the graph: where back-propagation through time is truncated."""
    return [(h.detach(), c.detach()) for h, c in state]
