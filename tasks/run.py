"""The one Prefect task: it runs any stage through the store, as a tracked run."""

import logging
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from inspect import signature
from pathlib import Path
from typing import Any, Generic, Protocol, TypeVar

import torch
from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.concurrency.sync import concurrency
from prefect.states import Completed, State

from tasks.tracking import TrackedStage, Tracker
from tasks.workspace import Workspace
from ulmfit.stages.outputs import Classifier, LanguageModel, Output
from ulmfit.stages.stage import Context, Stage, StageName
from ulmfit.store.artifacts import Built
from ulmfit.training.placement import Placement

log = logging.getLogger(__name__)

Made = TypeVar("Made", bound=Output[Any])

GPU_SLOT = "ulmfit-gpu"
ALL_CORES = threading.Lock()  # a training on several processes has them all: the directions then go one after the other


@dataclass(frozen=True)
class Job:
    """What a flow run hands to each of its stages. ``threads``: of one training on the CPU, of which ``slots`` run at a time.

    ``pools``: where stages are made that are not made here; None: all are made here.
    """

    workspace: Workspace
    tracker: Tracker
    run_id: str
    context: Context
    threads: int = 1
    slots: int = 2  # the two directions, each on its half of the cores
    pools: "Elsewhere | None" = None


@dataclass(frozen=True)
class Finished(Generic[Made]):
    """A finished stage: its name in the DAG, its output, and whether that was found rather than made."""

    name: StageName
    output: Made
    cached: bool


class Elsewhere(Protocol):
    """Makes stages on other machines."""

    def make(self, job: Job, name: StageName, make: Callable[..., Stage[Made]], arguments: Mapping[str, Any]) -> Finished[Made] | None:
        """The stage ``make(**arguments)``; None where it is to be made here."""


# The store is the one truth about what is done, so Prefect keeps no results of its own.
@task(cache_policy=NO_CACHE, persist_result=False, log_prints=False)
def run_stage(
    job: Job, name: StageName, make: Callable[..., Stage[Made]], arguments: Sequence[object], keywords: Mapping[str, object]
) -> State[Finished[Made]]:
    """The output of ``make(*arguments)`` as the result of a finished Prefect task; built and tracked where it is not in the store."""
    finished = find_or_build(job, name, make, arguments, keywords)
    artifact = finished.output
    job.tracker.note_stage(job.run_id, str(name), artifact, finished.cached)
    return Completed(data=finished, name="Cached" if finished.cached else "Completed")


def find_or_build(
    job: Job, name: StageName, make: Callable[..., Stage[Made]], arguments: Sequence[object], keywords: Mapping[str, object]
) -> Finished[Made]:
    """The output of ``make(*arguments)``; a ``Finished`` among these stands for its output."""
    output = lambda argument: argument.output if isinstance(argument, Finished) else argument
    given = signature(make).bind(*map(output, arguments), **{name: output(argument) for name, argument in keywords.items()})
    if job.pools and (elsewhere := job.pools.make(job, name, make, given.arguments)):
        return elsewhere
    stage = make(*given.args, **given.kwargs)
    with stage.held:
        artifact, cached = job.context.store.make(stage.recipe, lambda work: _tracked(job, name, stage, work))
    finished = Finished(name, stage.output(artifact.location, artifact.manifest, artifact.copy), cached)
    for warning in stage.warnings(finished.output):
        log.warning("%s: %s", name, warning)
    log.info("%s: %s (%s)", name, "found" if cached else "done", artifact.key[:12])
    return finished


def _tracked(job: Job, name: StageName, stage: Stage[Any], work: Path) -> Built:
    """Build as a tracked run: the one that failed on this artifact before, or a new one."""
    run = job.tracker.stage(str(name), stage.recipe.key, job.run_id)
    try:
        run.describe(stage.recipe)
        run.inputs(stage.inputs)
        built = _build(job, stage, work, run)
        if stage.output in (LanguageModel, Classifier):
            built = replace(built, record={**built.record, **_known("model_id", run.output_model(stage.recipe, work))})
        run.result(built.record)
    except BaseException:
        run.finish("FAILED")
        raise
    run.finish()
    return replace(built, run_id=run.run_id)


def _known(name: str, value: str | None) -> dict[str, str]:
    return {} if value is None else {name: value}


def _build(job: Job, stage: Stage[Any], work: Path, run: TrackedStage) -> Built:
    placement = replace(job.context.placement, observe=run.observe)
    try:
        with run.system_metrics():
            if not stage.trains:
                return stage.build(work, job.context)
            with _slot(placement, job):
                return stage.build(work, replace(job.context, placement=placement))
    finally:
        run.flush()


@contextmanager
def _slot(placement: Placement, job: Job) -> Iterator[None]:
    """The GPUs are taken by one training at a time; CPU cores are shared between the directions."""
    if placement.device.startswith("cuda"):
        with concurrency(GPU_SLOT, occupy=1):
            yield
    else:
        with ALL_CORES if placement.processes > 1 else _cpu_slots(job.slots):
            torch.set_num_threads(job.threads)
            yield


@cache
def _cpu_slots(number: int) -> threading.BoundedSemaphore:
    """Those of all trainings of this process."""
    return threading.BoundedSemaphore(number)
