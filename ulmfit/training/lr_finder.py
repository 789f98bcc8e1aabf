"""The learning-rate range test (Smith 2017, sec. 3.3): the rate rises from step to step, and the loss shows which rates are good.

This is its best known form (Howard & Gugger, "fastai: A Layered API for Deep Learning", 2020, and their courses): rates rise in
geometric progression, losses are smoothed, the test ends where the loss blows up, and the rate at which the loss falls most
steeply is suggested. The test trains a copy of the model.
"""

import copy
import json
import logging
import math
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ulmfit.compute.pages import keep_pages
from ulmfit.compute.precision import products
from ulmfit.store import filesystem
from ulmfit.training.loop import Step, Trainable, ahead, freeze
from ulmfit.training.optimizers import Optimizer
from ulmfit.training.schedules import learning

log = logging.getLogger(__name__)

FILE = "lr_finder.json"
RANGES = {"adam": (1e-6, 1.0), "nt-asgd": (1e-3, 1e3)}  # clipped gradients allow high rates: Merity et al. train at 30
BLOWN_UP = 4.0  # times the best smoothed loss
SMOOTHING = 0.9  # of the loss by which the test ends


@dataclass(frozen=True)
class LRCurve:
    """What a range test saw: the last layer group's ``rates``, rising, and the smoothed ``losses`` at them, in nats.

    ``suggestion``: the rate of the steepest descent; None where the loss does not fall.
    """

    rates: list[float]
    losses: list[float]
    suggestion: float | None


def find_lr(task: Trainable, lowest: float | None = None, highest: float | None = None, steps: int = 100) -> LRCurve:
    """Raise the rate from ``lowest`` to ``highest`` (of ``RANGES``, where not given) over the task's first ``steps`` steps.

    A shorter plan starts again. The optimiser is the training's, with its discriminative rates in proportion, and the layer groups
    of the first epoch learn. The test ends early where the loss is not finite, or over four times its best. ``task`` and its model
    stay unchanged, as a copy is trained. Nothing is written. For one process.
    """
    if not task.steps:
        return LRCurve([], [], None)
    low, high = RANGES[task.config.optimizer]
    rates = np.geomspace(lowest or low, highest or high, steps)
    seen = np.array(list(_losses(task, rates)))
    rates, losses = rates[: len(seen)], smoothed(seen, reach := max(1, steps // 10))
    return LRCurve(rates.tolist(), losses.tolist(), _steepest(rates, seen, losses, reach))


def _losses(task: Trainable, rates: NDArray[np.float64]) -> Iterator[float]:
    """The loss before each step, capped where the test would end: single outliers would hide the curve."""
    keep_pages()
    config, place, trial = task.config, task.place, copy.copy(task)
    model = trial.model = copy.deepcopy(task.model).to(place.device)
    model.encoder.products = products(config.precision, place.device, model.encoder.config.hidden)
    model.encoder.seed(config.seed)
    model.zero_grad(set_to_none=True)
    groups = model.groups()
    freeze(groups, learning(len(groups), 0, config.unfreeze))
    optimizer = Optimizer(groups, config.model_copy(update={"schedule": "constant"}), len(rates))
    mean, weight, best = 0.0, 0.0, math.inf
    for rate, step in zip(rates, _round(trial), strict=False):
        model.train()
        loss = float(trial.forward_backward(step.batch, 1))
        mean, weight = mean * SMOOTHING + loss * (1 - SMOOTHING), weight * SMOOTHING + 1 - SMOOTHING
        best = min(best, mean / weight)
        if not math.isfinite(loss) or mean / weight > BLOWN_UP * best:
            return
        yield min(loss, BLOWN_UP * best)
        optimizer.step(step.scale * rate / config.lr)


def _round(task: Trainable) -> Iterator[Step]:
    """The steps of the plan, over and over."""
    while True:
        epoch = -1
        for step in ahead(task.plan(0), task.place.device):
            if step.epoch != epoch:
                epoch = step.epoch
                task.begin(epoch)
            yield step


def smoothed(values: NDArray[np.float64], reach: int) -> NDArray[np.float64]:
    """Weighted means over neighbours at most ``reach`` steps away, the nearer the heavier. Unlike a running mean it does not lag, which
    would shift the descent to higher rates."""
    kernel = reach + 1.0 - np.abs(np.arange(-reach, reach + 1))
    over = lambda row: np.convolve(row, kernel)[reach : reach + len(row)]
    return over(values) / over(np.ones_like(values)) if len(values) else values


def _steepest(rates: NDArray[np.float64], seen: NDArray[np.float64], losses: NDArray[np.float64], reach: int) -> float | None:
    """The rate at which the smoothed loss falls fastest, by the logarithm of the rate, on its way from the start to the bottom.

    The first ``reach`` losses are the start. None where the loss falls by less than single losses scatter, for that is chance. The
    slopes are smoothed too, as batches differ, and a real descent takes more than a few steps.
    """
    bottom = int(losses.argmin()) if len(losses) else 0
    if bottom <= reach or not seen[:reach].mean() - losses[bottom] > (seen - losses)[: bottom + 1].std():
        return None
    slopes = smoothed(np.gradient(losses, np.log(rates)), reach)
    return float(rates[reach + slopes[reach : bottom + 1].argmin()])


def range_test(task: Trainable, folder: Path) -> float | None:
    """Test the rates before a training, where the settings ask for it; the suggested rate, None where there is none.

    The curve is written to ``lr_finder.json`` in ``folder``, with the rate in use. A training that continues from a checkpoint keeps
    its curve. Trainings on several processes, or with batches that do not fit into memory, get none; that is logged.
    """
    config, place, name = task.config, task.place, task.name
    if not config.find_lr or not place.team.leads:
        return None
    if place.team.size > 1:
        log.warning("%s: learning rates are tried by one process only; train on one device to try them", name)
        return None
    if place.checkpoints and any(found.startswith("step-") for found in filesystem.folders(place.checkpoints)):
        known = folder / FILE  # an earlier attempt wrote it
        return json.loads(known.read_text())["suggestion"] if known.exists() else None
    log.info("%s: trying learning rates", name)
    curve = None
    with suppress(torch.OutOfMemoryError):
        curve = find_lr(task)
    if curve is None:
        torch.cuda.empty_cache()  # now, when no traceback holds the copy any more
        log.warning("%s: memory is short; learning rates are not tried (make batch_size smaller to try them)", name)
        return None
    if not curve.rates:
        return None
    filesystem.write_bytes(folder / FILE, json.dumps({**asdict(curve), "lr": config.lr}).encode())
    suggested = "none" if curve.suggestion is None else f"{curve.suggestion:.2g}"
    log.info("%s: the learning rate is %.2g; suggested is %s", name, config.lr, suggested)
    return curve.suggestion
