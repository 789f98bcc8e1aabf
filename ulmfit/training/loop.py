"""The training loop, shared by language models and classifiers.

A training is a plan of steps, made beforehand from its settings. A checkpoint holds all that a later step depends on: weights,
optimiser, random numbers, hidden state and the position in the plan. So a training that was killed at any step continues from
its last checkpoint and ends, on a CPU, with the same bits.
"""

import logging
import math
from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, fields, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ulmfit.compute.pages import keep_pages
from ulmfit.compute.precision import can_bf16, products
from ulmfit.config import TrainingConfig
from ulmfit.errors import UserError
from ulmfit.models.classifier import Classifier
from ulmfit.models.language_model import LanguageModel
from ulmfit.progress import progress
from ulmfit.store.json import Facts
from ulmfit.training.checkpoint import Checkpoint, Checkpoints, below, read
from ulmfit.training.curves import Curves, Pace, Point, Watch
from ulmfit.training.interruption import INTERRUPTION, Interrupted
from ulmfit.training.optimizers import Optimizer
from ulmfit.training.placement import Placement
from ulmfit.training.schedules import learning
from ulmfit.training.specs import TrainingRecord
from ulmfit.training.stopping import Best, BestFacts

log = logging.getLogger(__name__)

EVERY = 10  # steps between two points of a curve, and so between two looks at the loss


@dataclass(frozen=True)
class Step:
    """One step of the plan: its batch and its position. ``tokens``: without padding; ``scale``: factor on the rate; ``work``: see ``work.py``."""

    batch: Any
    epoch: int
    tokens: int
    scale: float = 1.0
    ends_epoch: bool = False
    validate: bool = False
    work: float = 0.0


class Trainable(ABC):
    """What is trained, on what and where: a model, and a plan of ``steps`` steps over ``tokens`` tokens in ``passes`` passes.

    ``work``: of all steps, and of the validations between them, each of ``validation_work`` (see ``work.py``). ``name``: for people. ``figures``: names of what ``validate`` finds. ``best``: stop early, and keep the best weights.
    """

    model: LanguageModel | Classifier
    config: TrainingConfig
    place: Placement
    name: str
    steps: int
    tokens: int
    passes: int
    work: float
    validation_work: float
    figures: tuple[str, ...]
    best: Best | None = None

    @abstractmethod
    def plan(self, start: int) -> Iterator[Step]:
        """The steps from number ``start`` on, their batches on the CPU."""

    @abstractmethod
    def forward_backward(self, batch: Any, parts: int) -> Tensor:
        """Add this process's share of a step's gradients, working on its columns in ``parts`` one after the other; its share of the loss."""

    @abstractmethod
    def validate(self) -> dict[str, float]:
        """Figures on the validation documents, empty where there are none. The first is the one that the optimiser uses."""

    def begin(self, epoch: int) -> None:  # noqa: B027 - nothing to do by default
        """An epoch begins: what is carried from step to step starts again."""

    def state(self) -> dict[str, Tensor]:
        """What is carried from step to step besides weights; by default nothing."""
        return {}

    def restore(self, state: dict[str, Tensor]) -> None:  # noqa: B027
        """Take up a :meth:`state`."""


def fit(task: Trainable, curves: Curves) -> TrainingRecord:
    """Train ``task.model`` in place; the record: steps, tokens, speed and the last validation's figures (or the best's).

    UserError where the loss is no longer finite or explodes; the weights in the last checkpoint are earlier ones. Interrupted where
    the end was asked for.
    """
    keep_pages()
    with INTERRUPTION.awaited():
        return _Training(task, curves).train()


class CheckpointFacts(Facts):
    """What a checkpoint holds besides tensors. ``watch``: the weight of the smoothed loss; ``points``: of the curves so far."""

    epoch: int
    parts: int
    products: Literal["float32", "bfloat16"]
    stopped: bool
    figures: dict[str, float]
    watch: dict[Literal["weight"], float]
    best: BestFacts | None
    tokens: int
    seconds: float
    points: list[Point]


class _Training:
    def __init__(self, task: Trainable, curves: Curves):
        self.task, self.curves = task, curves
        curves.steps = task.steps
        self.config, self.place, self.name, self.best = task.config, task.place, task.name, task.best
        self.model = task.model.to(self.place.device)
        self.encoder = self.model.encoder
        self.encoder.products = products(self.config.precision, self.place.device, self.encoder.config.hidden)
        self.encoder.seed(self.config.seed)
        self.groups = self.model.groups()
        self.optimizer = Optimizer(self.groups, self.config, task.steps)
        self.watch, self.figures, self.epoch, self.parts = Watch(), dict[str, float](), -1, 1
        self.checkpoints: Checkpoints | None = None
        if self.place.checkpoints and self.place.team.leads:
            self.checkpoints = Checkpoints(self.place.checkpoints, every=self.place.checkpoint_seconds)
        self.last_good: int | None = None

    def train(self) -> TrainingRecord:
        found = _latest(self.place, self.checkpoints)
        tokens, seconds, stopped = self._resume(found) if found else (0, 0.0, False)
        with progress(self.name, self.task.tokens, "tokens", self.task.work) as bar:
            self.pace = Pace(bar, tokens, seconds)
            if not self.task.steps or (self.best and self.best.from_start and not found):
                self._validated(ends_epoch=True)  # a model that is only carried over is judged all the same
            plan = self.task.plan(self.optimizer.step_number) if not stopped else iter(())
            for step in ahead(plan, self.place.device):
                self._take(step)
                if step.ends_epoch or step.validate:
                    stopped = self._validated(step.ends_epoch)
                self._save(step.ends_epoch, stopped)
                if stopped:
                    break
        return self._finish()

    def _take(self, step: Step) -> None:
        """One step: gradients, their sum over the processes, the update."""
        if step.epoch != self.epoch:
            self.epoch = step.epoch
            self._freeze()
            self.task.begin(step.epoch)
        self.model.train()
        loss = self.place.team.total(self._gradients(step.batch))
        self.place.team.add_gradients(self.model.parameters())
        self.watch.add(loss, self.optimizer.step(step.scale))
        number = self.optimizer.step_number
        self.pace.add(step.tokens, step.work)
        if number % EVERY == 0 or step.ends_epoch or number == self.task.steps:
            self.curves.add(number, train_loss=self._look(), lr=self.optimizer.lr)

    def _gradients(self, batch: Any) -> Tensor:
        """The step's gradients. Where memory is too short, the batch is worked on in twice as many parts, with the same random numbers."""
        before, buffers = self.encoder.generator.get_state(), [buffer.clone() for buffer in self.model.buffers()]
        while True:
            try:
                return self.task.forward_backward(batch, self.parts)
            except torch.OutOfMemoryError:
                if self.place.team.size > 1 or self.parts >= batch.ids.shape[1]:
                    raise
                self.parts *= 2
            self.optimizer.rule.zero_grad(set_to_none=True)
            self.encoder.generator.set_state(before)
            for buffer, value in zip(self.model.buffers(), buffers, strict=True):  # running statistics, which the step may have moved
                buffer.copy_(value)
            torch.cuda.empty_cache()
            log.warning("%s: memory is short; each batch is now worked on in %d parts, to the same result", self.name, self.parts)

    def _look(self) -> float:
        """The smoothed loss; UserError where the training diverges."""
        loss, trouble = self.watch.look()
        if trouble:
            raise self._ruined(trouble)
        return loss

    def _ruined(self, trouble: str) -> UserError:
        kept = "no weights are kept" if self.last_good is None else f"the weights of step {self.last_good} are in {self.place.checkpoints}"
        where = f"at step {self.optimizer.step_number}, at a learning rate of {self.optimizer.lr:.4g}"
        return UserError(f"{self.name}: {trouble} {where}; lower the rate (…lr), or clip harder; {kept}")

    def _freeze(self) -> None:
        """Let the epoch's layer groups learn and no other; frozen layers at the bottom then run without gradients."""
        freeze(self.groups, learning(len(self.groups), self.epoch, self.config.unfreeze))

    def _validated(self, ends_epoch: bool) -> bool:
        """Validate; whether to stop now."""
        with self.optimizer.averaged():
            figures = self.task.validate() if self.place.team.leads else {}
            self.figures = self.place.team.agreed(figures, self.task.figures)
            for figure, value in self.figures.items():
                if not math.isfinite(value):  # the last step did it, whose own loss was still sound
                    raise self._ruined(f"{figure} is {value:.4g}")
            if self.best and ends_epoch:
                self.best.see(self.figures, self.model, self.optimizer.step_number, self.checkpoints)
        self.pace.add(0, self.task.validation_work)
        self.curves.add(self.optimizer.step_number, **self.figures)
        if self.figures and self.optimizer.step_number:
            self.optimizer.validated(next(iter(self.figures.values())))
        return bool(self.best and self.best.enough)

    def _save(self, ends_epoch: bool, stopped: bool) -> None:
        """A checkpoint, where one is due or the end is asked for."""
        team, end = self.place.team, INTERRUPTION.asked
        due = self.checkpoints is not None and (ends_epoch or end or self.checkpoints.due())
        if team.size > 1:  # the hidden state is gathered from all, so all must know
            agreed = team.agreed({"due": due, "end": end}, ["due", "end"])
            due, end = bool(agreed["due"]), bool(agreed["end"])
        if due and self.place.checkpoints is not None:
            self._write(stopped)
        if end:
            raise Interrupted(f"{self.name}: interrupted after step {self.optimizer.step_number}")

    def _write(self, stopped: bool) -> None:
        """A checkpoint; never of a diverging training."""
        if self.watch.unseen:
            self._look()
        tensors = {
            **{f"model.{name}": tensor for name, tensor in self.model.state_dict().items()},
            **{f"optimizer.{name}": tensor for name, tensor in self.optimizer.state().items()},
            **{f"watch.{name}": tensor for name, tensor in self.watch.state().items()},
            **{f"task.{name}": tensor for name, tensor in self.task.state().items()},
            "generator": self.encoder.generator.get_state(),
        }
        facts = CheckpointFacts(
            epoch=self.epoch,
            parts=self.parts,
            products=dtype_name(self.encoder.products),
            stopped=stopped,
            figures=self.figures,
            watch={"weight": self.watch.weight},
            best=self.best.facts() if self.best else None,
            tokens=self.pace.tokens,
            seconds=self.pace.seconds,
            points=self.curves.points,
        )
        if self.checkpoints is None or self.checkpoints.save(self.optimizer.step_number, tensors, facts.model_dump()):
            self.last_good = self.optimizer.step_number

    def _resume(self, found: Checkpoint) -> tuple[int, float, bool]:
        """Continue from a checkpoint; tokens seen and seconds taken so far, and whether the training had stopped."""
        facts, tensors = CheckpointFacts.model_validate(found.facts), found.tensors
        if facts.products == "bfloat16" and not can_bf16(self.place.device):
            raise UserError(
                f"{self.name}: it began in bf16, for which this CPU has no instructions; go on where it began, or begin anew with --no-resume"
            )
        self.model.load_state_dict(below("model.", tensors))
        self.optimizer.restore(below("optimizer.", tensors))
        self.task.restore({name: tensor.to(self.place.device) for name, tensor in below("task.", tensors).items()})
        self.encoder.generator.set_state(tensors["generator"])
        self.watch.restore(below("watch.", tensors), facts.watch["weight"], self.place.device)
        self.encoder.products = getattr(torch, facts.products)  # as it began, whatever this machine would choose
        self.epoch, self.parts, self.figures, self.last_good = facts.epoch, facts.parts, facts.figures, found.step
        self.curves.points = facts.points
        if self.best and facts.best:
            self.best.restore(facts.best, self.checkpoints)
        self._freeze()
        log.info("%s: going on from step %d of %d", self.name, found.step, self.task.steps)
        return facts.tokens, facts.seconds, facts.stopped

    def _finish(self) -> TrainingRecord:
        self.optimizer.finish()
        if self.best:
            self.figures = self.best.take(self.model) or self.figures
        freeze(self.groups, list(range(len(self.groups))))
        processes = self.place.team.size
        return TrainingRecord(
            steps=self.optimizer.step_number,
            products=dtype_name(self.encoder.products),
            best_step=self.best.step if self.best else None,
            parts=self.parts if self.parts > 1 else None,
            processes=processes if processes > 1 else None,
            **self.pace.record(),
            **self.figures,
        )


def dtype_name(products: torch.dtype) -> Literal["float32", "bfloat16"]:
    """The dtype of matrix products in a record."""
    return "bfloat16" if products == torch.bfloat16 else "float32"


def _latest(place: Placement, checkpoints: Checkpoints | None) -> Checkpoint | None:
    """The checkpoint to continue from; in a team the followers read the one that their leader has found whole."""
    if place.checkpoints is None:
        return None
    found = checkpoints.latest() if checkpoints else None
    if place.team.size == 1:
        return found
    step = place.team.agreed({"step": found.step} if found else {}, ["step"]).get("step")
    return None if step is None else found or read(place.checkpoints / f"step-{int(step):09d}")


def freeze(groups: list[list[nn.Parameter]], learning: list[int]) -> None:
    """Let the layer groups of these numbers learn and no other."""
    for number, group in enumerate(groups):
        for parameter in group:
            parameter.requires_grad_(number in learning)


def ahead(steps: Iterator[Step], device: str) -> Iterator[Step]:
    """The steps with their batches' tensors on the device. A GPU is sent the next batch on a stream of its own, from memory that
    is locked in place, while it works on this one."""
    if not device.startswith("cuda"):
        yield from steps
        return
    stream, waiting = torch.cuda.Stream(), None
    for step in steps:
        with torch.cuda.stream(stream):
            tensors = {name: tensor.pin_memory().to(device, non_blocking=True) for name, tensor in _tensors(step.batch).items()}
        if waiting is not None:
            yield waiting
        torch.cuda.current_stream().wait_stream(stream)
        for tensor in tensors.values():
            tensor.record_stream(torch.cuda.current_stream())
        waiting = replace(step, batch=replace(step.batch, **tensors))
    if waiting is not None:
        yield waiting


def _tensors(batch: Any) -> dict[str, Tensor]:
    found = {part.name: getattr(batch, part.name) for part in fields(batch)}
    return {name: value for name, value in found.items() if isinstance(value, Tensor)}
