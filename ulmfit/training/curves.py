"""What is measured while a training runs: the smoothed loss, the curves, the speed; and whether the training diverges."""

import json
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path

import torch
from torch import Tensor

from ulmfit.progress import Bar
from ulmfit.store.filesystem import write_bytes

Observer = Callable[[int, Mapping[str, float]], None]
Follower = Callable[[int, int, Mapping[str, float]], object]  # the step, how many there are, and what was measured

SMOOTHING = 0.9
EXPLODED = 3.0  # the smoothed loss, in times the first step's
GUESSED = math.log(2)  # the least loss of a guess: the first batch may have two documents, and be right on them by chance


@dataclass(frozen=True)
class Point:
    """A point of one curve."""

    step: int
    name: str
    value: float


class Curves:
    """Points of a training's curves: kept for ``history.json``, and passed on to the observer and, with the number of ``steps``, the follower."""

    def __init__(self, observe: Observer | None = None, follow: Follower | None = None):
        self.points: list[Point] = []
        self.steps = 0
        self._observe, self._follow = observe, follow

    def add(self, step: int, **values: float) -> None:
        """Add a point at ``step`` to each of the named curves."""
        self.points += [Point(step, name, value) for name, value in values.items()]
        if self._observe:
            self._observe(step, values)
        if self._follow:
            self._follow(step, self.steps, values)

    def save(self, folder: Path) -> None:
        """Write ``history.json``: a list of points."""
        write_bytes(folder / "history.json", json.dumps([asdict(point) for point in self.points]).encode())


class Watch:
    """The smoothed training loss and the largest gradient since it was last looked at.

    It is looked at only now and then, so that a GPU is not waited for at every step.
    """

    def __init__(self) -> None:
        self._mean: Tensor | None = None
        self._norm: Tensor | None = None
        self.weight = 0.0  # of the steps in the smoothed mean, below 1
        self._first: Tensor | None = None

    def add(self, loss: Tensor, norm: Tensor) -> None:
        """Take in a step's loss and the norm of its gradients, both 0-dim."""
        value = loss.detach().float()
        self._first = value if self._first is None else self._first
        self._mean = value * (1 - SMOOTHING) if self._mean is None else self._mean * SMOOTHING + value * (1 - SMOOTHING)
        self.weight = self.weight * SMOOTHING + 1 - SMOOTHING
        self._norm = norm if self._norm is None else torch.maximum(self._norm, norm)  # not a number, once it has been one

    @property
    def unseen(self) -> bool:
        """Whether a step was taken since the last look."""
        return self._norm is not None

    def look(self) -> tuple[float, str | None]:
        """The smoothed loss, and what is wrong: it or a gradient is not finite, or the loss has grown past ``EXPLODED``."""
        assert self._mean is not None and self._first is not None and self._norm is not None, "a loss was added before it is looked at"
        mean, first, norm = torch.stack([self._mean, self._first, self._norm.float()]).tolist()  # one wait for a GPU, not three
        value, self._norm = mean / self.weight, None
        if not math.isfinite(value):
            return value, f"the loss is {value:.4g}"
        if not math.isfinite(norm):
            return value, f"a gradient is {norm}"
        grown = value > EXPLODED * max(first, GUESSED)
        return value, f"the loss has grown from {first:.4g} to {value:.4g}" if grown else None

    def state(self) -> dict[str, Tensor]:
        """The tensors of a checkpoint; ``weight`` goes with them."""
        return {} if self._mean is None or self._first is None else {"mean": self._mean, "first": self._first}

    def restore(self, state: Mapping[str, Tensor], weight: float, device: str) -> None:
        """Continue from :meth:`state`."""
        self._mean = state["mean"].to(device) if "mean" in state else None
        self._first = state["first"].to(device) if "first" in state else None
        self.weight = weight


class Pace:
    """Tokens seen and their speed, over all the attempts that a training took."""

    def __init__(self, bar: Bar, tokens: int = 0, seconds: float = 0.0):
        self.tokens, self._bar, self._started = tokens, bar, time.perf_counter() - seconds
        if tokens:
            bar.skip(tokens)

    def add(self, tokens: int, work: float) -> None:
        """Count ``tokens``, and the ``work`` that they took."""
        self.tokens += tokens
        self._bar.advance(tokens, work)

    @property
    def seconds(self) -> float:
        """Training time so far, over all attempts."""
        return time.perf_counter() - self._started

    def record(self) -> dict[str, float]:
        """The figures of speed for the training's record."""
        seconds = self.seconds
        speed = self.tokens / max(seconds, 1e-9)
        return {"trained_tokens": self.tokens, "training_seconds": round(seconds, 2), "tokens_per_second": round(speed, 1)}
