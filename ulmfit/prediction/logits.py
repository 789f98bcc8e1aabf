"""Logits of documents: the classifier prepared for prediction, and documents read in batches of similar length."""

from collections.abc import Iterator

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ulmfit.directions import Direction
from ulmfit.models.awd_lstm import LSTMLayer, library_lstm, one_block
from ulmfit.models.classifier import Classifier, Pooling
from ulmfit.progress import Bar
from ulmfit.shards.batches import DocumentBatch, inference_batches, pad
from ulmfit.shards.documents import Documents

INFERENCE_DOCUMENTS = 256  # per batch: enough to keep the kernels busy
INFERENCE_POSITIONS = 1 << 22  # padded, per batch: 32 MB of ids
POSITIONS = 16_384  # per chunk of a batch, which bounds the states in memory
SHORTEST = 32  # steps of a chunk at least


class FoldedClassifier:
    """The same logits as the :class:`Classifier` in evaluation. Weights are cast once, biases are added up, and batch normalisation is
    multiplied into the linear layers. It is a copy, which later training does not change.

    ``products``: the type of the encoder's products, fp32 or bf16; the head is fp32.
    """

    def __init__(self, model: Classifier, products: torch.dtype):
        with torch.no_grad():
            encoder = model.encoder
            self.embedding = encoder.embedding.weight.to(products, copy=True)
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
        """fp32 [B, L]. ``ids`` int64, padded at the end; ``lengths`` int64, each 1 or more.

        Documents are read in chunks, and those that have ended are left out, so the cost is that of the real positions.
        """
        hidden, back = self._hidden(ids_TB, lengths_B)
        return F.linear(hidden, *self.linear2)[back]

    @torch.no_grad()
    def hidden(self, ids_TB: Tensor, lengths_B: Tensor) -> Tensor:
        """What the head's hidden layer gives, fp32 [B, H]; ``ids`` and ``lengths`` as for logits."""
        hidden, back = self._hidden(ids_TB, lengths_B)
        return hidden[back]

    def _hidden(self, ids_TB: Tensor, lengths_B: Tensor) -> tuple[Tensor, Tensor]:
        """The hidden layer of documents in order of falling length, and the places that bring them back to theirs."""
        order = lengths_B.argsort(descending=True, stable=True)
        pooled = self._pooled(ids_TB[:, order], lengths_B[order], sorted(lengths_B.tolist(), reverse=True))
        return F.linear(pooled, *self.linear1).relu(), order.argsort()

    def _pooled(self, ids_TB: Tensor, lengths_B: Tensor, lengths: list[int]) -> Tensor:
        """Pooled states [B, 3E] of documents in order of falling length."""
        zeros = [self.embedding.new_zeros(1, len(lengths), size) for size in self.sizes]
        state, pooling, ended = list(zip(zeros, zeros, strict=True)), Pooling(lengths_B), list[Tensor]()
        start, reading = 0, len(lengths)
        while start < lengths[0]:
            unfinished = sum(length > start for length in lengths)
            if unfinished < reading:
                reading = unfinished
                ended.append(pooling.cut(reading))
                state = [(h[:, :reading], c[:, :reading]) for h, c in state]
            chunk = max(SHORTEST, POSITIONS // reading)
            x = F.embedding(ids_TB[start : start + chunk, :reading], self.embedding)
            for number, weights in enumerate(self.layers):
                x, state[number] = library_lstm(x, state[number], weights, learning=False)
            pooling.add(x, start)
            start += chunk
        return torch.cat([pooling.result(), *reversed(ended)])


def _fold(norm: nn.BatchNorm1d, linear: nn.Linear) -> tuple[Tensor, Tensor]:
    """Weight and bias of the layer that does what ``linear`` does after ``norm``, by its running statistics."""
    assert norm.running_mean is not None and norm.running_var is not None
    scale = norm.weight / (norm.running_var + norm.eps).sqrt()
    shift = norm.bias - norm.running_mean * scale
    bias = linear.weight @ shift
    return linear.weight * scale, bias if linear.bias is None else bias + linear.bias


def predict_logits(
    model: Classifier | FoldedClassifier, documents: Documents, direction: Direction, max_tokens: int | None, bar: Bar | None = None
) -> Tensor:
    """Logits float32 [N, L] on the CPU, in the order of ``documents``; in evaluation, whatever mode the model is in."""
    folded = model if isinstance(model, FoldedClassifier) else FoldedClassifier(model, model.encoder.products)
    logits = torch.empty(len(documents), folded.labels)
    for index, batch in _batches(documents, direction, max_tokens, bar):
        logits[index] = folded.logits(batch.ids.to(folded.device), batch.lengths.to(folded.device)).cpu()
    return logits


def hidden_states(model: FoldedClassifier, documents: Documents, direction: Direction, max_tokens: int | None) -> Tensor:
    """What the head's hidden layer gives of each of ``documents``, float32 [N, H] on the CPU, in their order."""
    states = torch.empty(len(documents), len(model.linear1[0]))
    for index, batch in _batches(documents, direction, max_tokens, None):
        states[index] = model.hidden(batch.ids.to(model.device), batch.lengths.to(model.device)).cpu()
    return states


def _batches(documents: Documents, direction: Direction, max_tokens: int | None, bar: Bar | None) -> Iterator[tuple[Tensor, DocumentBatch]]:
    """Documents of similar length together, and where they stand."""
    lengths = np.minimum(documents.lengths, max_tokens or np.iinfo(np.int64).max)
    for index in inference_batches(lengths, INFERENCE_DOCUMENTS, INFERENCE_POSITIONS):
        yield torch.from_numpy(index), pad(documents, index, direction, max_tokens)
        if bar:
            bar.advance(len(index), float(lengths[index].sum()))
