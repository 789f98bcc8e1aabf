"""Training of a classifier on labelled documents."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F

from ulmfit.batches import DocumentBatch, inference_batches, pad, training_batches
from ulmfit.config import ClassifierConfig
from ulmfit.models.classifier import Classifier
from ulmfit.progress import Bar, progress
from ulmfit.shards import Documents
from ulmfit.training.loop import EVERY, Curves, Loss, Optimizer, Pace, freeze, precision
from ulmfit.training.schedules import unfrozen

INFERENCE_POSITIONS = 16_384  # padded positions a batch: bounds memory, and is enough to keep the kernels busy


def train_classifier_model(
    model: Classifier, train: Documents, valid: Documents, config: ClassifierConfig, direction: str, device: str, curves: Curves, name: str
) -> dict[str, Any]:
    """Train in place; returns tokens, speed, and loss and accuracy on the validation documents.

    One slanted triangle spans the training; a layer group more learns each epoch, the last first.
    """
    model.to(device)
    model.encoder.seed(config.seed)
    rng = np.random.default_rng(config.seed)
    lengths = np.minimum(train.lengths, config.max_tokens or np.iinfo(np.int64).max)
    plan = [training_batches(lengths, config.batch_size, config.max_gradient_tokens, rng) for _ in range(config.epochs)]
    groups = model.groups()
    optimizer = Optimizer(groups, config, sum(map(len, plan)))
    figures: dict[str, float] = {}
    with progress(name, int(lengths.sum()) * config.epochs, "tokens") as bar:
        pace = Pace(bar)
        for epoch, batches in enumerate(plan):
            freeze(groups, unfrozen(len(groups), epoch, config.unfreeze))
            _epoch(model, optimizer, train, batches, config, direction, device, curves, pace)
            figures = validate(model, valid, config, direction, device)
            curves.add(optimizer.step_number, **figures)
    freeze(groups, len(groups))
    return {"steps": optimizer.step_number, **pace.record(), **figures}


def _epoch(
    model: Classifier,
    optimizer: Optimizer,
    train: Documents,
    batches: list[np.ndarray],
    config: ClassifierConfig,
    direction: str,
    device: str,
    curves: Curves,
    pace: Pace,
) -> None:
    model.train()
    loss = Loss()
    for index in batches:
        batch = pad(train, index, direction, config.max_tokens)
        with precision(device):
            logits = model(batch.ids.to(device), batch.lengths.to(device), config.bptt, config.max_gradient_tokens)
            value = F.cross_entropy(logits.float(), torch.from_numpy(train.labels[index]).long().to(device))
        value.backward()
        optimizer.step()
        loss.add(value)
        pace.add(int(batch.lengths.sum()))
        if optimizer.step_number % EVERY == 0 or index is batches[-1]:
            curves.add(optimizer.step_number, train_loss=loss.look(), lr=optimizer.lr)


def validate(model: Classifier, valid: Documents, config: ClassifierConfig, direction: str, device: str) -> dict[str, float]:
    """Loss and accuracy on labelled documents; nothing where there are none."""
    if not len(valid):
        return {}
    logits = predict_logits(model, valid, direction, config.bptt, config.max_tokens, device)
    targets = torch.from_numpy(valid.labels).long()
    accuracy = float((logits.argmax(1) == targets).double().mean())
    return {"valid_loss": float(F.cross_entropy(logits, targets)), "valid_accuracy": accuracy}


def predict_logits(
    model: Classifier, documents: Documents, direction: str, bptt: int, max_tokens: int | None, device: str, bar: Bar | None = None
) -> torch.Tensor:
    """Logits float32 [N, L] on the CPU, in the order of ``documents``. The model is left in evaluation mode."""
    model.eval()
    lengths = np.minimum(documents.lengths, max_tokens or np.iinfo(np.int64).max)
    logits = torch.empty(len(documents), model.head.linear2.out_features)
    with torch.inference_mode(), precision(device):
        for index in inference_batches(lengths, INFERENCE_POSITIONS):
            batch: DocumentBatch = pad(documents, index, direction, max_tokens)
            logits[torch.from_numpy(index)] = model(batch.ids.to(device), batch.lengths.to(device), bptt).float().cpu()
            if bar:
                bar.advance(len(index))
    return logits
