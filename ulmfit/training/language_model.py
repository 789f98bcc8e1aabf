"""Training of a language model on streams of text."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from ulmfit.batches import Windows, lm_batches, stream_windows
from ulmfit.config import LMConfig
from ulmfit.errors import UserError
from ulmfit.models.awd_lstm import State, detach
from ulmfit.models.language_model import LanguageModel, regularisation
from ulmfit.progress import progress
from ulmfit.shards import Documents
from ulmfit.training.loop import EVERY, Curves, Loss, Optimizer, Pace, freeze, precision
from ulmfit.training.schedules import unfrozen

VALIDATION_TOKENS = 50_000
VALIDATION_BATCH = 16


def train_language_model(
    model: LanguageModel, train: Documents, valid: Documents, config: LMConfig, direction: str, device: str, curves: Curves, name: str
) -> dict[str, Any]:
    """Train in place; returns tokens, speed and the validation loss (nats a token) and perplexity.

    Truncated back-propagation with the state carried from window to window; the rate of a step is scaled by its
    window's length over ``bptt``. UserError where there is too little text for one window.
    """
    model.to(device)
    model.encoder.seed(config.seed)
    windows = Windows.plan(train.tokens, config.batch_size, config.bptt, config.epochs, config.max_tokens, config.seed)
    if config.epochs and not windows.steps:
        few = f"{train.tokens} tokens are too few for {config.batch_size} parallel streams"
        raise UserError(f"{name}: {few}; give more text, or a smaller batch_size")
    groups = model.groups()
    optimizer = Optimizer(groups, config, windows.steps)
    loss, epoch = Loss(), -1
    with progress(name, windows.tokens, "tokens") as bar:
        pace = Pace(bar)
        for ids, targets, first in lm_batches(train, windows, direction, config.seed):
            if first:
                epoch, state = epoch + 1, model.encoder.initial_state(config.batch_size)
                freeze(groups, unfrozen(len(groups), epoch, config.unfreeze))
                model.train()
            state = detach(state)
            value, state = _step(model, optimizer, config, ids.to(device), targets.to(device), state, device)
            loss.add(value)
            pace.add(ids.numel())
            if optimizer.step_number % EVERY == 0 or optimizer.step_number == windows.steps:
                curves.add(optimizer.step_number, train_loss=loss.look(), lr=optimizer.lr)
    freeze(groups, len(groups))
    return {"steps": windows.steps, **pace.record(), **_validated(model, valid, direction, device, curves, windows.steps)}


def _step(
    model: LanguageModel, optimizer: Optimizer, config: LMConfig, ids: Tensor, targets: Tensor, state: State, device: str
) -> tuple[Tensor, State]:
    with precision(device):
        raw, dropped, state = model.hidden(ids, state)
        loss = model.loss(dropped, targets)
        (loss + regularisation(raw, dropped, config.alpha, config.beta)).backward()
    optimizer.step(scale=len(ids) / config.bptt)
    return loss, state


def _validated(model: LanguageModel, valid: Documents, direction: str, device: str, curves: Curves, step: int) -> dict[str, float]:
    loss = validate(model, valid, direction, device)
    if loss is None:
        return {}
    figures = {"valid_loss": loss, "valid_perplexity": math.exp(min(loss, 50))}
    curves.add(step, **figures)
    return figures


def validate(model: LanguageModel, valid: Documents, direction: str, device: str) -> float | None:
    """Mean cross-entropy in nats over the first tokens of ``valid``; None where there are not enough."""
    flat = valid.run()[:VALIDATION_TOKENS]
    batch = min(VALIDATION_BATCH, (len(flat) - 1) // 2)
    if batch < 1:
        return None
    stream = (len(flat) - 1) // batch
    lengths = [min(70, stream - start) for start in range(0, stream, 70)]
    model.eval()
    total, state = 0.0, model.encoder.initial_state(batch)
    with torch.inference_mode():
        for ids, targets, _ in stream_windows(flat, direction, batch, lengths):
            with precision(device):
                _, dropped, state = model.hidden(ids.to(device), state)
                total += float(model.loss(dropped, targets.to(device))) * len(ids)
    return total / sum(lengths)
