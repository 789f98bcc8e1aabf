"""Stages on work pools: each as a run of its own, on a worker of the pool that it needs; its artifact is then in the store for all to see.

The run that needs the stage waits for it. A run that crashes is started again; one that somebody cancels ends the job; a pool without a
worker is told within minutes. A stage that is under way already, for another job or for this one before it was interrupted, is waited for.
"""

import hashlib
import logging
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any, get_args, get_type_hints

from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, State, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.deployments import run_deployment
from prefect.exceptions import ObjectNotFound
from prefect.states import Cancelling, Crashed

from tasks.run import Finished, Job
from tasks.sent import POOLS, Make, Pool, SentStage, artifact, packed
from ulmfit.errors import RunFailed, UserError
from ulmfit.stages.corpus import found_corpus, ingest
from ulmfit.stages.outputs import Output
from ulmfit.stages.stage import StageName
from ulmfit.store.recipe import canonical_json
from ulmfit.training.interruption import INTERRUPTION, Interrupted

log = logging.getLogger(__name__)

FLOW = "stage"  # its deployments are named as the pools
REFUSED = "UserError: "  # what the message of a failed run begins with, where the user's input is at fault
NOBODY_WAITS = "the run that needs this stage has ended"
RESTARTS = 2  # of a run that crashes
POLL = 2.0  # seconds
LOOK_EVERY = 10.0  # seconds, at the workers of a pool in which a run waits
SILENT = timedelta(seconds=90)  # three signs of life that a worker did not give
WORKERLESS = 120.0  # seconds that a run waits in a pool without a worker
PENDING = timedelta(minutes=15)  # from taken by a worker to begun; images are fetched in between

Clock = Callable[[], float]


def check_pools() -> None:
    """UserError where a pool has no deployment, or no worker that gives signs of life."""
    with get_client(sync_client=True) as client:
        for pool in get_args(Pool):
            try:
                client.read_deployment_by_name(f"{FLOW}/{pool}")
            except ObjectNotFound as error:
                raise UserError(
                    f"--stages distributed: the Prefect server has no deployment {FLOW}/{pool}; run ulmfit deploy first"
                ) from error
            if not _has_worker(client, pool):
                raise UserError(f"--stages distributed: {no_worker(pool)}; or leave --stages away")


def no_worker(pool: Pool) -> str:
    """What is wrong with a pool that has no worker, and the remedy."""
    return f"work pool {pool} has no worker; start one: prefect worker start --pool {pool} --limit 1"


def _has_worker(client: SyncPrefectClient, pool: Pool) -> bool:
    since = datetime.now(UTC) - SILENT
    return any(worker.last_heartbeat_time and worker.last_heartbeat_time > since for worker in client.read_workers_for_work_pool(pool))


@dataclass(frozen=True)
class Pools:
    """How the stages of a job are made on pools: where its workers find text workers, and what they train on.

    ``left``: set when the job has ended; what it still waits for is then cancelled.
    """

    dask: str | None = None
    device: str = "auto"
    devices: int = 1
    resume: bool = True
    left: threading.Event = field(default_factory=threading.Event)

    def make(self, job: Job, name: StageName, make: Make, arguments: Mapping[str, Any]) -> Finished[Any] | None:
        """The stage ``make(**arguments)``, found here or made on its pool; None where the run itself is to make it.

        UserError where the worker found the input at fault, RunFailed where its run failed, was cancelled, or found no worker.
        """
        if make not in POOLS:
            return None
        output, key = _found(job, make, arguments)
        if output:
            return Finished(name, output, cached=True)
        sent = self._sent(job, name, make, arguments, key)
        state = run_on(POOLS[make], sent, self.left)
        return Finished(name, _made(job, make, state.message or ""), cached=state.name == "Cached")

    def _sent(self, job: Job, name: StageName, make: Make, arguments: Mapping[str, Any], key: str | None) -> SentStage:
        return SentStage.model_validate(
            {
                "stage": make.__name__,
                "kind": name.kind,
                "direction": name.direction,
                "corpus": name.corpus,
                "arguments": packed(make, arguments),
                "key": key,
                "artifacts": job.context.store.root,
                "workspace": str(job.workspace.root),
                "experiment": job.tracker.experiment_id,
                "run": job.run_id,
                "dask": self.dask,
                "device": self.device,
                "devices": self.devices,
                "resume": self.resume,
                "parts": job.context.parts,
            }
        )


def _found(job: Job, make: Make, arguments: Mapping[str, Any]) -> tuple[Output[Any] | None, str | None]:
    """The stage's artifact, where it is in the store; and its key. That of a corpus is found by whoever reads the text, unless it is known."""
    store = job.context.store
    if make is ingest:
        corpus = found_corpus(**arguments)
        return (corpus if corpus and store.used(corpus) else None), None
    stage = make(**arguments)
    with stage.held:
        found = store.used(stage.recipe)
    return (stage.output(found.location, found.manifest, found.copy) if found else None), stage.recipe.key


def _made(job: Job, make: Make, location: str) -> Output[Any]:
    """The artifact that a worker made."""
    return artifact(get_type_hints(make)["return"].__args__[0], location, job.context.store)


def run_on(pool: Pool, sent: SentStage, left: threading.Event, poll: float = POLL) -> State[Any]:
    """The final state of a completed run of the stage, looked at every ``poll`` seconds until the job is ``left``.

    UserError or RunFailed where there is none.
    """
    for attempt in range(RESTARTS + 1):
        run = _begun(pool, sent)
        log.info("%s: run %s on work pool %s", sent.name, run.name, pool)
        state = wait_for(run, pool, sent.name, left, poll)
        if state.type == StateType.COMPLETED:
            return state
        if not (state.type == StateType.CRASHED or _left_alone(run)):
            raise _failure(sent.name, pool, run, state)
        log.warning("%s: run %s was lost (%s), %d of %d", sent.name, run.name, state.message, attempt + 1, RESTARTS + 1)
    raise RunFailed(
        f"{sent.name}: its runs on work pool {pool} crashed {RESTARTS + 1} times, the last is {run.name}; see its log in Prefect"
    )


def _failure(name: StageName, pool: Pool, run: FlowRun, state: State[Any]) -> Exception:
    message = " ".join((state.message or "no reason is known").split())
    if message.startswith(REFUSED):
        return UserError(message.removeprefix(REFUSED))
    if state.type == StateType.CANCELLED:
        return RunFailed(f"{name}: its run {run.name} on work pool {pool} was cancelled; the same command again goes on from there")
    return RunFailed(f"{name}: its run {run.name} on work pool {pool} failed: {message}")


def tag_of(sent: SentStage) -> str:
    """What tells a run of this stage, whoever waits for it."""
    identity = sent.model_dump(mode="json", include={"stage", "arguments", "key", "artifacts"})
    return f"ulmfit-stage-{hashlib.sha256(canonical_json(identity)).hexdigest()[:32]}"


def _begun(pool: Pool, sent: SentStage) -> FlowRun:
    """A run of the stage: the one that has not ended, or a new one. Of two jobs that begin one at once, both get the same."""
    asked = FlowRunFilter.model_validate({"tags": {"all_": [tag_of(sent)]}})
    with get_client(sync_client=True) as client:
        last = next(iter(client.read_flow_runs(flow_run_filter=asked, sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=1)), None)
    if last and last.state and not last.state.is_final():
        return last
    begun: Any = run_deployment(
        f"{FLOW}/{pool}",
        parameters={"request": sent.model_dump(mode="json")},
        flow_run_name=str(sent.name),
        tags=[tag_of(sent)],
        idempotency_key=f"{tag_of(sent)}-after-{last.id if last else None}",
        timeout=0,
    )
    return begun


def _left_alone(run: FlowRun) -> bool:
    """Whether the run was cancelled because the job that waited for it had ended."""
    with get_client(sync_client=True) as client:
        return any(state.message == NOBODY_WAITS for state in client.read_flow_run_states(run.id))


def wait_for(run: FlowRun, pool: Pool, name: StageName, left: threading.Event, poll: float) -> State[Any]:
    """The state in which the run ends. It is cancelled where the job ends before, or no worker is there to take it."""
    watch = Watch(pool)
    with get_client(sync_client=True) as client, INTERRUPTION.awaited():
        while True:
            state = client.read_flow_run(run.id).state
            assert state
            if state.is_final():
                return state
            if INTERRUPTION.asked or left.is_set():
                client.set_flow_run_state(run.id, Cancelling(message=NOBODY_WAITS))
                raise Interrupted(f"{name}: the job has ended; its run {run.name} on work pool {pool} is cancelled")
            if fault := watch.fault(client, state):
                if state.type == StateType.PENDING:
                    client.set_flow_run_state(run.id, Crashed(message=fault), force=True)
                else:
                    client.set_flow_run_state(run.id, Cancelling(message=NOBODY_WAITS))
                    raise RunFailed(f"{name}: {fault}")
            left.wait(poll)


class Watch:
    """Looks whether a run that has not begun ever will."""

    def __init__(self, pool: Pool, clock: Clock = time.monotonic):
        self.pool, self.clock = pool, clock
        self.seen = self.looked = clock()  # a worker; at the workers

    def fault(self, client: SyncPrefectClient, state: State[Any]) -> str | None:
        """Why a run in this state will not begin, if so."""
        now = self.clock()
        if state.type == StateType.PENDING:
            return "a worker took it and did not begin" if state.timestamp < datetime.now(UTC) - PENDING else None
        if state.type != StateType.SCHEDULED:
            self.seen = now
            return None
        if now - self.looked >= LOOK_EVERY:
            self.looked = now
            if _has_worker(client, self.pool):
                self.seen = now
        return no_worker(self.pool) if now - self.seen >= WORKERLESS else None
