"""Logits of documents, in batches of similar length."""

import numpy as np
import torch
from torch import Tensor

from ulmfit.directions import Direction
from ulmfit.models.classifier import Classifier
from ulmfit.prediction.folded import FoldedClassifier
from ulmfit.progress import Bar
from ulmfit.shards.batches import inference_batches, pad
from ulmfit.shards.documents import Documents

INFERENCE_DOCUMENTS = 256  # per batch: enough to keep the kernels busy
INFERENCE_POSITIONS = 1 << 22  # padded, per batch: 32 MB of ids


def predict_logits(
    model: Classifier | FoldedClassifier, documents: Documents, direction: Direction, max_tokens: int | None, bar: Bar | None = None
) -> Tensor:
    """Logits float32 [N, L] on the CPU, in the order of ``documents``; in evaluation, whatever mode the model is in."""
    folded = model if isinstance(model, FoldedClassifier) else FoldedClassifier(model, model.encoder.products)
    lengths = np.minimum(documents.lengths, max_tokens or np.iinfo(np.int64).max)
    logits = torch.empty(len(documents), folded.labels)
    for index in inference_batches(lengths, INFERENCE_DOCUMENTS, INFERENCE_POSITIONS):
        batch = pad(documents, index, direction, max_tokens)
        logits[torch.from_numpy(index)] = folded.logits(batch.ids.to(folded.device), batch.lengths.to(folded.device)).cpu()
        if bar:
            bar.advance(len(index))
    return logits
