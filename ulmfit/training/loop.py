"""What the training loops have in common: the optimiser's steps, the smoothed curve, the watch for a ruined loss."""

from __future__ import annotations

import json
import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ulmfit.artifacts import write_atomic
from ulmfit.progress import Bar
from ulmfit.training.schedules import discriminative, stlr

Observer = Callable[[int, Mapping[str, float]], None]

EVERY = 10  # steps between two points of a curve, and so between two looks at the loss
SMOOTHING = 0.9


class Curves:
    """Points of a training's curves: kept for ``history.json``, and passed on to the observer.

    A training whose curve leaves the numbers is over: ``add`` raises RuntimeError, naming the step.
    """

    def __init__(self, observe: Observer | None):
        self.points: list[dict[str, Any]] = []
        self._observe = observe

    def add(self, step: int, **values: float) -> None:
        for name, value in values.items():
            if not math.isfinite(value):
                raise RuntimeError(f"{name} is {value} at step {step}: the learning rate is too high for this model or data; lower it")
        self.points += [{"step": step, "name": name, "value": value} for name, value in values.items()]
        if self._observe:
            self._observe(step, values)

    def save(self, folder: Path) -> None:
        write_atomic(folder / "history.json", json.dumps(self.points).encode())


class Optimizer:
    """Adam over layer groups, at discriminative rates along the slanted triangle, with clipped gradients."""

    def __init__(self, groups: list[list[nn.Parameter]], config: Any, steps: int):
        self.config, self.steps, self.step_number = config, steps, 0
        self.rates = discriminative(config.lr, len(groups), config.decay)
        sets = [{"params": group, "lr": rate} for group, rate in zip(groups, self.rates, strict=True)]
        self.adam = torch.optim.Adam(sets, betas=config.betas, weight_decay=config.weight_decay, fused=True)
        self.parameters = [parameter for group in groups for parameter in group]

    @property
    def lr(self) -> float:
        """The last group's rate now."""
        return self.rates[-1] * stlr(self.step_number, self.steps, self.config.cut_frac, self.config.ratio)

    def step(self, scale: float = 1.0) -> None:
        """One update at ``scale`` times the scheduled rates; gradients are cleared."""
        factor = scale * stlr(self.step_number, self.steps, self.config.cut_frac, self.config.ratio)
        for group, rate in zip(self.adam.param_groups, self.rates, strict=True):
            group["lr"] = rate * factor
        nn.utils.clip_grad_norm_([parameter for parameter in self.parameters if parameter.grad is not None], self.config.clip)
        self.adam.step()
        self.adam.zero_grad()
        self.step_number += 1


class Loss:
    """The smoothed training loss. It is looked at only now and then, so that a GPU is not waited for at every step."""

    def __init__(self) -> None:
        self._mean: Tensor | None = None
        self._weight = 0.0

    def add(self, loss: Tensor) -> None:
        value = loss.detach().float()
        self._mean = value * (1 - SMOOTHING) if self._mean is None else self._mean * SMOOTHING + value * (1 - SMOOTHING)
        self._weight = self._weight * SMOOTHING + 1 - SMOOTHING

    def look(self) -> float:
        assert self._mean is not None, "a loss was added before it is looked at"
        return float(self._mean) / self._weight


@contextmanager
def precision(device: str) -> Iterator[None]:
    """bfloat16 products on a GPU; plain fp32 on a CPU."""
    if device.startswith("cuda"):
        with torch.autocast("cuda", torch.bfloat16):
            yield
    else:
        yield


def freeze(groups: list[list[nn.Parameter]], learning: int) -> None:
    """Let the last ``learning`` groups learn and no other; frozen layers then run without gradients."""
    for number, group in enumerate(groups):
        for parameter in group:
            parameter.requires_grad_(number >= len(groups) - learning)


class Pace:
    """Tokens seen and their speed."""

    def __init__(self, bar: Bar):
        self.tokens, self._bar, self._started = 0, bar, time.perf_counter()

    def add(self, tokens: int, **figures: float) -> None:
        self.tokens += tokens
        self._bar.advance(tokens, **figures)

    def record(self) -> dict[str, float]:
        seconds = time.perf_counter() - self._started
        speed = self.tokens / max(seconds, 1e-9)
        return {"trained_tokens": self.tokens, "training_seconds": round(seconds, 2), "tokens_per_second": round(speed, 1)}
