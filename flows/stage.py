"""One stage as a flow of its own: what a worker of a pool runs for a job whose stages are distributed."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from mlflow.exceptions import MlflowException
from prefect import flow
from prefect.states import Completed, Failed, State

from flows.dag import RUNNER, Dag, run
from flows.places import check_places
from flows.plan import placement_of
from flows.tracked import threads_of_a_training
from tasks.cluster import open_cluster
from tasks.pools import REFUSED
from tasks.run import Finished, Job
from tasks.sent import POOLS, SentStage, unpacked
from tasks.servers import away, check_tracking, without_password
from tasks.tracking import Tracker, open_outbox
from tasks.workspace import Workspace
from ulmfit.compute.precision import keep_gain
from ulmfit.errors import RunFailed, UserError
from ulmfit.stages.stage import Context
from ulmfit.training.interruption import INTERRUPTION
from ulmfit.training.placement import Placement


@flow(name="stage", task_runner=RUNNER, persist_result=False)
def stage(request: SentStage) -> State[Any]:
    """Make a stage, or find it; the message of the final state is its artifact, ``KIND/KEY``, or what went wrong in one line."""
    try:
        check_places(request)
        finished = make_sent(request)
    except UserError as error:
        return Failed(message=f"{REFUSED}{error}")
    except RunFailed as error:
        return Failed(message=str(error))
    made = f"{finished.output.kind}/{finished.output.key}"
    return Completed(message=made, name="Cached" if finished.cached else "Completed")


def make_sent(request: SentStage) -> Finished[Any]:
    """The stage, as one of the job that sent it. RunFailed where this worker cannot make the same artifact."""
    with job_of(request) as job:
        dag, make = Dag(), request.make
        arguments = unpacked(make, request.arguments, job.context)
        if request.key and (key := make(**arguments).recipe.key) != request.key:
            raise RunFailed(
                f"{request.name}: this worker would make {key[:12]} and not {request.key[:12]}; bring its checkout and libraries to the same version"
            )
        dag.add(request.name, make, **arguments)
        (finished,) = run(dag, job)
    return finished


@contextmanager
def job_of(request: SentStage) -> Iterator[Job]:
    """The job that sent the stage, on this machine: its store and its tracked run, and this worker's own workspace and device."""
    workspace = Workspace.open(os.environ.get("ULMFIT_HOME") or request.workspace, request.artifacts)
    check_tracking(workspace)
    tracker = Tracker(workspace.tracking_uri, request.experiment, open_outbox(workspace))
    check_parent(tracker, request)
    placement = Placement()
    if POOLS[request.make] == "gpu":
        placement = placement_of(request.device, request.devices, request.resume)
        if placement.device == "cpu":
            keep_gain(workspace.bf16_gain)
    try:
        with open_cluster(request.dask) as cluster:
            context = Context(workspace.store, workspace.downloads, cluster.map, request.parts, placement)
            yield Job(workspace, tracker, request.run, context, threads_of_a_training())
    except BaseException as error:
        if not isinstance(error, Exception):  # a worker's SIGTERM: see flows/tracked.py
            INTERRUPTION.ask()
        tracker.close(patient=False)
        raise
    tracker.close()


def check_parent(tracker: Tracker, request: SentStage) -> None:
    """RunFailed where this worker tracks in another place than the job does."""
    try:
        tracker.client.get_run(request.run)
    except MlflowException as error:
        if not away(error):
            raise RunFailed(
                f"{request.name}: this worker tracks at {without_password(tracker.uri)}, where the run of its job is not; give it the same MLFLOW_TRACKING_URI"
            ) from error
