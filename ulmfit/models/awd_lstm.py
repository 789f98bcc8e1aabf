"""The AWD-LSTM encoder and its five dropouts (Merity et al. 2017, sec. 4; Howard & Ruder 2018, sec. 3.1).

Shapes: T time, B batch, E embedding, H hidden, V vocabulary. Time is the first dimension, as in the LSTM kernels.

The masks of a forward pass are drawn first and passed in (:class:`Masks`), so that a batch gives the same result when it is
processed in parts, one after the other or by several processes.
"""

import math
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit.config import Dropouts, ModelConfig

State = list[tuple[Tensor, Tensor]]  # (h, c) per layer, each fp32 [1, B, size]


def mask(shape: tuple[int, ...], p: float, generator: torch.Generator, like: Tensor) -> Tensor:
    """A dropout mask in fp32: 0 with probability ``p`` (to a part in 65,536), else 1/(1-p), so that the expectation is 1."""
    count = math.prod(shape)
    # Each 64-bit number serves four mask values: a CPU's generator uses one core, and a step needs millions of values.
    bits = torch.empty((count + 3) // 4, dtype=torch.int64, device=like.device).random_(-(2**63), None, generator=generator)
    kept = bits.view(torch.int16)[:count].view(shape) >= round(p * 2**16) - 2**15
    return kept.to(torch.float32).div_(1 - p)


@dataclass(frozen=True)
class Masks:
    """The masks of one forward pass; None where nothing is dropped.

    ``embedding`` [V]: whole words. ``input`` [B, E], ``hidden`` (one [B, H] between two layers), ``output`` [B, E]: variational,
    the same at every time step (Gal & Ghahramani 2016). ``weights``: one [4H, H] per layer, for the hidden-to-hidden matrix.
    """

    embedding: Tensor | None
    input: Tensor | None
    hidden: tuple[Tensor | None, ...]
    output: Tensor | None
    weights: tuple[Tensor | None, ...]

    def columns(self, part: slice) -> Self:
        """The masks of a part of the batch."""
        cut = lambda found: None if found is None else found[part]
        return replace(self, input=cut(self.input), hidden=tuple(map(cut, self.hidden)), output=cut(self.output))


class LSTMLayer(nn.Module):
    """An LSTM layer with dropout on its hidden-to-hidden matrix (DropConnect): one mask per forward pass, the same at every time step."""

    def __init__(self, input_size: int, hidden_size: int, generator: torch.Generator):
        super().__init__()
        self.hidden_size = hidden_size
        self.weight_ih = nn.Parameter(torch.empty(4 * hidden_size, input_size))
        self.weight_hh = nn.Parameter(torch.empty(4 * hidden_size, hidden_size))
        self.bias_ih = nn.Parameter(torch.empty(4 * hidden_size))
        self.bias_hh = nn.Parameter(torch.empty(4 * hidden_size))

        for parameter in self.parameters():  # uniform in +-1/sqrt(H), the convention for LSTMs
            nn.init.uniform_(parameter, -1 / math.sqrt(hidden_size), 1 / math.sqrt(hidden_size), generator=generator)

    def forward(self, x_TBI: Tensor, state: tuple[Tensor, Tensor], dropped: Tensor | None = None) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """States [T, B, H] in the type of ``x``, and the pair after the last step in fp32; ``dropped``: a mask [4H, H].

        The library's kernel takes the dropped matrix directly, so no parameter is overwritten. It computes one product of the
        input over all time steps, and one for each weight's gradient.
        """
        weight_hh: Tensor = self.weight_hh if dropped is None else self.weight_hh * dropped
        weights = [self.weight_ih, weight_hh, self.bias_ih, self.bias_hh]
        weights = one_block(weights, x_TBI.dtype) if x_TBI.is_cuda else [weight.to(x_TBI.dtype) for weight in weights]
        pair = tuple(part.to(x_TBI.dtype) for part in state)
        learning = torch.is_grad_enabled() and (x_TBI.requires_grad or self.weight_ih.requires_grad)
        out_TBH, (h, c) = library_lstm(x_TBI, pair, weights, learning)
        return out_TBH, (h.float(), c.float())


def library_lstm(x_TBI: Tensor, pair: tuple[Tensor, ...], weights: list[Tensor], learning: bool) -> tuple[Tensor, tuple[Tensor, Tensor]]:
    """PyTorch's LSTM layer, all tensors of one dtype: states [T, B, H] and the last pair. Sizes that are slow or wrong in bf16 are padded."""
    batch, size, units, rows = x_TBI.shape[1], weights[1].shape[1], 0, 0
    if x_TBI.dtype == torch.bfloat16 and not x_TBI.is_cuda:
        units = SPARE if learning and wrong_backward(x_TBI.dtype, size) else 0
        rows = -batch % ROWS if batch > 2 * ROWS else 0
    if units:
        weights = _widened(weights, size)
    if units or rows:
        x_TBI, pair = F.pad(x_TBI, (0, 0, 0, rows)), tuple(F.pad(part, (0, units, 0, rows)) for part in pair)
    out_TBH, h, c = torch._VF.lstm(x_TBI, pair, weights, True, 1, 0.0, learning, False, False)
    return out_TBH[:, :batch, :size], (h[:, :batch, :size], c[:, :batch, :size])


ROWS = 16  # of a matrix unit: a batch that is not a multiple of it runs five times as slowly
SPARE = 16  # units added where the kernel is wrong for the layer's width


def wrong_backward(dtype: torch.dtype, size: int) -> bool:
    """Whether oneDNN's backward pass gives wrong gradients: in bf16 on a matrix unit, for multiples of 32 from 1024 units on.

    Seen with torch 2.13 (oneDNN 3) for 1024, 1056, ..., 1536; the forward pass is right. Other widths are right in both.
    """
    return dtype == torch.bfloat16 and size >= 1000 and size % 32 == 0


def _widened(weights: list[Tensor], size: int) -> list[Tensor]:
    """The same layer with ``SPARE`` more units, whose weights and states are 0. The other units keep their gradients."""
    weight_ih, weight_hh, *biases = (weight.view(4, size, *weight.shape[1:]) for weight in weights)
    wider = [F.pad(weight_ih, (0, 0, 0, SPARE)), F.pad(weight_hh, (0, SPARE, 0, SPARE)), *(F.pad(bias, (0, SPARE)) for bias in biases)]
    return [weight.flatten(0, 1) for weight in wider]


def one_block(tensors: list[Tensor], dtype: torch.dtype) -> list[Tensor]:
    """The tensors as consecutive views of a single block; cuDNN copies, and warns about, any other layout."""
    block = torch.cat([tensor.flatten() for tensor in tensors]).to(dtype)
    return [view.view_as(tensor) for view, tensor in zip(block.split([tensor.numel() for tensor in tensors]), tensors, strict=True)]


class AWDLSTM(nn.Module):
    """Token ids to hidden states. The last layer is as wide as the embedding, so that a decoder can share its matrix.

    ``products``: the dtype of the matrix products, fp32 or bf16. Weights, cell states and masks are always fp32.
    """

    products = torch.float32

    def __init__(self, vocab_size: int, config: ModelConfig, dropouts: Dropouts, seed: int = 0):
        super().__init__()
        self.config, self.dropouts, self.vocab_size = config, dropouts, vocab_size
        self.sizes = [config.embedding, *[config.hidden] * (config.layers - 1), config.embedding]
        self.embedding = nn.Embedding.from_pretrained(torch.empty(vocab_size, config.embedding), freeze=False)  # drawn below, once
        self.seed(seed)
        # Rows are as long as the paper's, +-0.1 in 400 dimensions; shorter rows give a narrow LSTM too little input.
        reach = 2 / math.sqrt(config.embedding)
        nn.init.uniform_(self.embedding.weight, -reach, reach, generator=self.generator)
        self.layers = nn.ModuleList(LSTMLayer(inner, outer, self.generator) for inner, outer in pairwise(self.sizes))

    def seed(self, seed: int) -> None:
        """Seed the generator of the masks. Each model has its own, so trainings in several threads do not interfere."""
        self.generator = torch.Generator(self.embedding.weight.device).manual_seed(seed)

    def initial_state(self, batch: int) -> State:
        """Zeros, a pair per layer."""
        weight = self.embedding.weight
        return [(weight.new_zeros(1, batch, size), weight.new_zeros(1, batch, size)) for size in self.sizes[1:]]

    def draw(self, batch: int) -> Masks:
        """The masks of one forward pass; all None in evaluation."""
        p, sizes = self.dropouts, self.sizes
        drawn = lambda shape, share: mask(shape, share, self.generator, self.embedding.weight) if self.training and share else None
        return Masks(
            embedding=drawn((self.vocab_size,), p.embedding),
            input=drawn((batch, sizes[0]), p.input),
            hidden=tuple(drawn((batch, size), p.hidden) for size in sizes[1:-1]),
            output=drawn((batch, sizes[-1]), p.output),
            weights=tuple(drawn((4 * size, size), p.weight) for size in sizes[1:]),
        )

    def forward(self, ids_TB: Tensor, state: State, masks: Masks | None = None) -> tuple[Tensor, State]:
        """Hidden states [T, B, E] of the last layer, before any dropout of the output, and the state after the last step.

        ``masks``: those of this pass, as from :meth:`draw`; drawn here if not given.
        """
        masks = masks or self.draw(ids_TB.shape[1])
        x, after = dropped(self._embed(ids_TB, masks.embedding), masks.input).to(self.products), []
        for number, layer in enumerate(self.layers):
            if number:
                x = dropped(x, masks.hidden[number - 1])
            x, pair = layer(x, state[number], masks.weights[number])
            after.append(pair)
        return x, after

    def _embed(self, ids_TB: Tensor, words_V: Tensor | None) -> Tensor:
        """Embedding with whole words dropped: one draw per word of the vocabulary, so a dropped word is missing everywhere."""
        x = F.embedding(ids_TB, self.embedding.weight)
        return x if words_V is None else x * words_V[ids_TB].unsqueeze(-1)

    def groups(self) -> list[list[nn.Parameter]]:
        """Layer groups, first to last, for discriminative rates and gradual unfreezing: embedding, LSTMs."""
        return [list(self.embedding.parameters()), *(list(layer.parameters()) for layer in self.layers)]


def dropped(x_TBE: Tensor, mask_BE: Tensor | None) -> Tensor:
    """``x`` under a variational mask."""
    return x_TBE if mask_BE is None else x_TBE * mask_BE.to(x_TBE.dtype)


def detach(state: State) -> State:
    """The same state, cut from the graph: where back-propagation through time is truncated."""
    return [(h.detach(), c.detach()) for h, c in state]
