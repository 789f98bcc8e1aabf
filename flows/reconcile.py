"""The reconciler: starts retrainings that crashed again, for Prefect does not. It runs on schedule, and when a retraining crashes."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from prefect import flow
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun, StateType
from prefect.client.schemas.sorting import FlowRunSort
from prefect.states import Scheduled
from pydantic import BaseModel, ConfigDict, Field

log = logging.getLogger(__name__)

RESTARTED = "Restarted"  # the name of the state by which restarts are counted
PAGE = 200


class ReconcileRequest(BaseModel):
    """How often, and which."""

    model_config = ConfigDict(extra="forbid")

    restarts: int = Field(2, ge=0, le=20, description="how many times a crashed retraining is started again")
    hours: float = Field(24, gt=0, le=24 * 30, description="retrainings that crashed longer ago are left alone")
    pending_minutes: float = Field(15, gt=0, description="a run that a worker took, but did not start for so long, counts as crashed")
    tag: str = Field("retrain", description="the tag of the runs")


@flow(name="reconcile", persist_result=False)
def reconcile(request: ReconcileRequest) -> dict[str, str]:
    """Start each crashed run again, as the same run with the same parameters; returns what was done, by the run's name."""
    with get_client(sync_client=True) as client:
        done = {run.name: _restarted(client, run, request) for run in _crashed(client, request)}
    for name, what in done.items():
        log.info("%s: %s", name, what)
    return done


def _crashed(client: SyncPrefectClient, request: ReconcileRequest) -> Iterator[FlowRun]:
    """The crashed runs of deployments, the latest first."""
    now = datetime.now(UTC)
    since, stuck = now - timedelta(hours=request.hours), now - timedelta(minutes=request.pending_minutes)
    asked = {"tags": {"all_": [request.tag]}, "deployment_id": {"is_null_": False}, "state": {"type": {"any_": ["CRASHED", "PENDING"]}}}
    found = client.read_flow_runs(
        flow_run_filter=FlowRunFilter.model_validate(asked), sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=PAGE
    )
    for run in found:
        assert run.state
        if since < run.state.timestamp and (run.state.type == StateType.CRASHED or run.state.timestamp < stuck):
            yield run


def _restarted(client: SyncPrefectClient, run: FlowRun, request: ReconcileRequest) -> str:
    before = sum(state.name == RESTARTED for state in client.read_flow_run_states(run.id))
    if before >= request.restarts:
        return f"crashed again after {before} restarts; left alone: see its log"
    if _followed(client, run):
        return "left alone, for a later run with the same parameters is there"
    message = f"started again after a crash, {before + 1} of {request.restarts}"
    client.set_flow_run_state(run.id, Scheduled(name=RESTARTED, message=message), force=True)
    return message


def _followed(client: SyncPrefectClient, run: FlowRun) -> bool:
    """Whether a later run of the same deployment does, or did, the same work."""
    asked = {"deployment_id": {"any_": [run.deployment_id]}, "state": {"type": {"any_": ["RUNNING", "COMPLETED"]}}}
    later = client.read_flow_runs(flow_run_filter=FlowRunFilter.model_validate(asked), sort=FlowRunSort.START_TIME_DESC, limit=PAGE)
    begun = run.start_time
    return begun is not None and any(
        other.start_time and other.start_time > begun and other.parameters == run.parameters for other in later
    )
