"""The surroundings of a flow run: its start, its tracked run, parent of its stages' runs, and the cluster for work on parts."""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, Protocol, Self, TypeVar

from prefect import flow
from pydantic import BaseModel

from flows.dag import RUNNER
from flows.plan import Plan
from flows.request import Request, StagesFields, TrainingRequest
from tasks.cluster import check_script, open_cluster
from tasks.pools import Pools, check_pools
from tasks.run import Job
from tasks.tracking import EXPERIMENTS, Tracker
from ulmfit.compute.cores import cores
from ulmfit.directions import DIRECTIONS
from ulmfit.stages.stage import Context
from ulmfit.training.interruption import INTERRUPTION

Result = TypeVar("Result")


class Planned(Protocol):
    """A request, resolved."""

    @property
    def request(self) -> BaseModel: ...


AnyPlan = TypeVar("AnyPlan", bound=Planned)


def start(name: str, work: Callable[[AnyPlan], Result], plan: AnyPlan) -> Result:
    """``work(plan)`` as a flow run of that name. The request stands as its parameter; it is not resolved a second time."""

    ours = signal.getsignal(signal.SIGTERM)

    @flow(name=name, task_runner=RUNNER, persist_result=False)
    def resolved(request: BaseModel) -> Result:
        with _on_sigterm(ours):
            return work(plan)

    return resolved(plan.request)


@contextmanager
def _on_sigterm(handler: Any) -> Iterator[None]:
    """Handle the signal as before the flow run: Prefect's own way would wait for all stages under way to end."""
    prefects = signal.signal(signal.SIGTERM, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, prefects)


@contextmanager
def tracked_job(flow_name: str, plan: Plan) -> Iterator[Job]:
    """A job for the stages of a flow run. Its tracked run ends as the block does: finished, failed or killed."""
    check_script()
    request, workspace, pools = plan.request, plan.workspace, pools_of(plan.request)
    tracker = Tracker.open(workspace, f"{EXPERIMENTS}{request.name}")
    tags = {"ulmfit.flow": flow_name, "ulmfit.corpus": request.reads, "ulmfit.preset": request.preset}
    run_id = tracker.start(f"{flow_name} {request.name}", tags)
    tracker.log_settings(run_id, plan.settings)
    with ending(tracker, run_id, pools), open_cluster(request.dask) as cluster:
        context = Context(workspace.store, workspace.downloads, cluster.map, plan.settings.parts, plan.placement)
        yield Job(workspace, tracker, run_id, context, threads_of_a_training(), pools=pools)


@contextmanager
def ending(tracker: Tracker, run_id: str, pools: Pools | None = None) -> Iterator[None]:
    """End the tracked run as the block ends: finished, failed or killed. ``pools``: where its stages are made, which are told of a failure."""
    try:
        yield
    except BaseException as error:
        if not isinstance(error, Exception):  # a worker's SIGTERM, as Prefect passes it on: then it waits for all stages under way
            INTERRUPTION.ask()
        if pools:
            pools.left.set()
        tracker.finish(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    tracker.finish(run_id)


def pools_of(request: Request) -> Pools | None:
    """Where stages are made, if not here. UserError where a pool has no worker."""
    if not isinstance(request, StagesFields) or request.stages == "embedded":
        return None
    check_pools()
    if isinstance(request, TrainingRequest):
        return Pools(request.dask, request.device, request.devices, request.resume)
    return Pools(request.dask)


def threads_of_a_training() -> int:
    """On the CPU, where both directions train side by side."""
    return max(1, cores() // len(DIRECTIONS))


class BriefRun(BaseModel):
    """The tracked run of a flow, in its summary."""

    id: str
    tracking_uri: str
    seconds: float

    @classmethod
    def of(cls, job: Job, started: float) -> Self:
        """``started``: seconds since the epoch."""
        return cls(id=job.run_id, tracking_uri=job.tracker.uri, seconds=round(time.time() - started, 1))
