"""What every stage has in common: ask the store, else do the work as a tracked run, and say "Cached" if it was found."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.states import Completed, State

from tasks.tracking import StageRun, Tracker
from tasks.workspace import Workspace
from ulmfit.store.artifacts import Artifact, Built
from ulmfit.store.recipe import Recipe

log = logging.getLogger(__name__)

# The store is the one truth about what is done, so Prefect keeps no results of its own.
stage_task = task(cache_policy=NO_CACHE, persist_result=False, log_prints=False)


@dataclass(frozen=True)
class Job:
    """What a flow run hands to each of its stages.

    ``devices``: processes a training stage runs on; ``resume``: whether it goes on from the checkpoints it finds. Neither is
    part of an artifact's identity.
    """

    workspace: Workspace
    tracker: Tracker
    run_id: str
    device: str = "cpu"
    threads: int = 1
    devices: int = 1
    resume: bool = True


@dataclass(frozen=True)
class Stage:
    """A finished stage: its name in the DAG, its artifact, and whether it was found rather than made."""

    name: str
    artifact: Artifact
    cached: bool

    @property
    def model_id(self) -> str | None:
        """The id under which the tracker knows the model, if the artifact is one."""
        return self.artifact.record.get("model_id")


Build = Callable[[Path, StageRun], Built]


def run_stage(job: Job, name: str, recipe: Recipe, inputs: Mapping[str, Stage], build: Build) -> State:
    """The artifact of ``recipe`` as the result of a finished Prefect task, built and tracked where it is not there."""
    store = job.workspace.store

    def tracked(work: Path) -> Built:
        run_id = job.tracker.reopen(name, recipe.key, job.run_id)
        try:
            return _track(job, run_id, recipe, inputs, build, work)
        except BaseException:
            job.tracker.finish(run_id, "FAILED")
            raise

    artifact, cached = store.make(recipe, tracked)
    stage = Stage(name, artifact, cached)
    log.info("%s: %s (%s)", name, "found" if cached else "done", artifact.key[:12])
    job.tracker.client.set_tag(job.run_id, f"ulmfit.stage.{name}", f"{artifact.key} run={artifact.run_id} {'cached' if cached else 'made'}")
    return Completed(data=stage, name="Cached" if cached else "Completed")


def _track(job: Job, run_id: str, recipe: Recipe, inputs: Mapping[str, Stage], build: Build, work: Path) -> Built:
    run = StageRun(job.tracker, run_id)
    run.describe(recipe)
    run.inputs({role: stage.artifact for role, stage in inputs.items()}, [stage.model_id for stage in inputs.values() if stage.model_id])
    try:
        with run.system_metrics():
            built = build(work, run)
    finally:
        run.flush()
    run.result(built.record)
    job.tracker.finish(run_id)
    return replace(built, run_id=run_id)
