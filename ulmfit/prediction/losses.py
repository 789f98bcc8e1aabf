"""How well a language model expects each of many documents."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray

from ulmfit.compute.precision import inference_products
from ulmfit.directions import Direction
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.softmax import ChunkLinear
from ulmfit.shards.batches import inference_batches, pad
from ulmfit.shards.documents import Documents

DOCUMENTS, POSITIONS = 64, 16_384  # in a batch, at most
ROWS = 512  # of logits at a time


@torch.no_grad()
def document_losses(
    model: LanguageModel, documents: Documents, direction: Direction, max_tokens: int, device: str = "cpu"
) -> NDArray[np.float64]:
    """Mean cross-entropy in nats over the tokens after the first of each document, float64 [N]; NaN where a document has only one.

    Each document is read by itself, its first ``max_tokens`` tokens, in batches of similar length. The model is put on ``device``, in evaluation.
    """
    model.to(device).eval()
    model.encoder.products = inference_products("auto", device, model.encoder.config.hidden)
    lengths = np.minimum(documents.lengths, max_tokens)
    linear = ChunkLinear(model.encoder.embedding.weight, model.bias, model.encoder.products, ROWS)
    losses = np.full(len(documents), np.nan)
    for index in inference_batches(lengths, DOCUMENTS, POSITIONS):
        batch = pad(documents, index, direction, max_tokens)
        ids, known = batch.ids.to(device), batch.lengths.to(device) - 1
        if len(ids) < 2:
            continue
        _, states, _ = model.hidden(ids[:-1], model.encoder.initial_state(len(index)))
        real = torch.arange(len(ids) - 1, device=device)[:, None] < known
        rows, targets = states.to(model.encoder.products)[real], ids[1:][real]
        found = torch.cat([_losses(linear, rows[at : at + ROWS], targets[at : at + ROWS]) for at in range(0, len(rows), ROWS)])
        column = torch.arange(len(index), device=device).expand_as(real)[real]
        sums = torch.zeros(len(index), device=device, dtype=torch.float64).index_add_(0, column, found.double())
        losses[index] = (sums / known.where(known > 0, torch.nan)).cpu().numpy()
    return losses


def _losses(linear: ChunkLinear, rows_NE: torch.Tensor, targets_N: torch.Tensor) -> torch.Tensor:
    """Of each row, fp32 [N]. The probabilities overwrite the logits: the softmax is bound by memory."""
    logits = linear(rows_NE)
    probabilities = torch.ops.aten._softmax.out(logits, 1, False, out=logits)
    return -probabilities.gather(1, targets_N[:, None])[:, 0].float().clamp_min(torch.finfo(torch.float32).tiny).log()
