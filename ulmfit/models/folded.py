"""A classifier made ready for prediction: no dropout, no gradients, and all that can be worked out beforehand worked out."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit.models.awd_lstm import LSTMLayer, library_lstm, one_block
from ulmfit.models.classifier import Classifier, Pooling

POSITIONS = 16_384  # padded positions that are read at a time; states of so many are held


class FoldedClassifier:
    """The same logits as the :class:`Classifier` in evaluation, from weights that are cast once, with biases added up and batch
    normalisation multiplied into the linear layers. It is a copy: later training does not reach it.

    ``products``: the type of the encoder's products, fp32 or bf16; the head is fp32.
    """

    def __init__(self, model: Classifier, products: torch.dtype):
        with torch.no_grad():
            encoder = model.encoder
            self.embedding = encoder.embedding.weight.to(products)
            self.sizes = encoder.sizes[1:]
            self.layers = []
            for layer in encoder.layers:
                assert isinstance(layer, LSTMLayer)
                bias = layer.bias_ih + layer.bias_hh
                self.layers.append(one_block([layer.weight_ih, layer.weight_hh, bias, torch.zeros_like(bias)], products))
            self.linear1, self.linear2 = _fold(model.head.norm1, model.head.linear1), _fold(model.head.norm2, model.head.linear2)
            self.labels = model.head.linear2.out_features

    @property
    def device(self) -> torch.device:
        return self.embedding.device

    @torch.no_grad()
    def logits(self, ids_TB: Tensor, lengths_B: Tensor) -> Tensor:
        """fp32 [B, L]. ``ids`` int64, padded at the end; ``lengths`` int64, each 1 or more. Long documents are read in chunks."""
        batch, pooling = ids_TB.shape[1], Pooling(lengths_B)
        chunk = max(1, POSITIONS // batch)
        zeros = [self.embedding.new_zeros(1, batch, size) for size in self.sizes]
        state = list(zip(zeros, zeros, strict=True))
        for start in range(0, len(ids_TB), chunk):
            x = F.embedding(ids_TB[start : start + chunk], self.embedding)
            for number, weights in enumerate(self.layers):
                x, state[number] = library_lstm(x, state[number], weights, learning=False)
            pooling.add(x, start)
        return F.linear(F.linear(pooling.result(), *self.linear1).relu(), *self.linear2)


def _fold(norm: nn.BatchNorm1d, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias of the layer that does what ``linear`` does after ``norm``, by its running statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - norm.running_mean * scale
    bias = linear.weight @ shift
    return linear.weight * scale, bias if linear.bias is None else bias + linear.bias
