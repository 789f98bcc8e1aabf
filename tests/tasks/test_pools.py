"""Stages on work pools, with a real Prefect server and no workers: a test sets the states that a worker would."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, cast

import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.objects import FlowRun
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Cancelled, Completed, Crashed, Failed, Pending, Running, Scheduled, State

from flows.deployments import declared, put_deployment, put_pool
from tasks import pools
from tasks.pools import NOBODY_WAITS, REFUSED, Watch, check_pools, run_on, tag_of
from tasks.sent import SentStage
from ulmfit.errors import RunFailed, UserError
from ulmfit.training.interruption import INTERRUPTION, Interrupted

POLL = 0.05


@pytest.fixture
def client(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        for wanted in declared():
            if wanted.name in ("cpu", "gpu"):
                put_pool(client, wanted.name)
                put_deployment(client, wanted)
        yield client


@pytest.fixture
def sent(request: pytest.FixtureRequest) -> SentStage:
    fields = {"arguments": {"corpus": f"corpus/{request.node.name}"}, "artifacts": "/x", "workspace": "/x", "experiment": "1", "run": "1"}
    return SentStage.model_validate({"stage": "tokenise", "kind": "tokenise", **fields})


@pytest.fixture
def left() -> Iterator[threading.Event]:
    """Set when the job has ended; so a test that fails ends too."""
    event = threading.Event()
    yield event
    event.set()


@pytest.fixture
def waiting(client: SyncPrefectClient, sent: SentStage, left: threading.Event) -> Iterator[Callable[[], Future[State[Any]]]]:
    """Begins to wait for the stage, as a job does."""
    with ThreadPoolExecutor(2) as threads:
        settings = {PREFECT_API_URL: PREFECT_API_URL.value()}

        def wait() -> State[Any]:
            with temporary_settings(settings):
                return run_on("cpu", sent, left, POLL)

        yield lambda: threads.submit(wait)
        left.set()


def runs(client: SyncPrefectClient, sent: SentStage, number: int = 1) -> list[FlowRun]:
    """The runs of the stage, once there are so many."""
    asked, deadline = FlowRunFilter.model_validate({"tags": {"all_": [tag_of(sent)]}}), time.monotonic() + 60
    while len(found := client.read_flow_runs(flow_run_filter=asked)) < number:
        assert time.monotonic() < deadline, f"{len(found)} runs"
        time.sleep(POLL)
    return sorted(found, key=lambda run: cast(Any, run.created))


def put(client: SyncPrefectClient, run: FlowRun, *states: State[Any]) -> None:
    for state in states:
        client.set_flow_run_state(run.id, state, force=True)


def test_a_run_that_completes_names_its_artifact(client: SyncPrefectClient, sent: SentStage, waiting: Callable[[], Future[Any]]) -> None:
    state = waiting()
    (run,) = runs(client, sent)
    assert run.name == "tokenise" and {"ulmfit", "stage"} <= set(run.tags), "so a lost run is noticed as one of ours"
    assert SentStage.model_validate(run.parameters["request"]) == sent
    put(client, run, Pending(), Running(), Completed(message="tokens/abc", name="Cached"))
    assert (state.result(60).message, state.result().name) == ("tokens/abc", "Cached")


@pytest.mark.parametrize(
    ("end", "error", "told"),
    [
        (Failed(message=f"{REFUSED}a.csv: no such column; name one"), UserError, "^a.csv: no such column; name one$"),
        (Failed(message="no room\nleft"), RunFailed, "^tokenise: its run tokenise on work pool cpu failed: no room left$"),
        (Cancelled(message="by somebody"), RunFailed, "^tokenise: its run tokenise on work pool cpu was cancelled; the same command"),
    ],
)
def test_a_run_that_fails_or_is_cancelled_is_one_line(
    client: SyncPrefectClient, sent: SentStage, waiting: Callable[[], Future[Any]], end: State[Any], error: type[Exception], told: str
) -> None:
    state = waiting()
    put(client, runs(client, sent)[0], Running(), end)
    with pytest.raises(error, match=told):
        state.result(60)


def test_a_run_that_crashes_is_begun_again_so_many_times(
    client: SyncPrefectClient, sent: SentStage, waiting: Callable[[], Future[Any]]
) -> None:
    state = waiting()
    for number in (1, 2, 3):
        put(client, runs(client, sent, number)[-1], Running(), Crashed(message="killed"))
    with pytest.raises(RunFailed, match="crashed 3 times"):
        state.result(60)
    assert len(runs(client, sent)) == 3


def test_two_jobs_wait_for_one_run_and_one_leaves(client: SyncPrefectClient, sent: SentStage, waiting: Callable[[], Future[Any]]) -> None:
    first = waiting()
    runs(client, sent)
    second = waiting()
    time.sleep(1)
    assert len(runs(client, sent)) == 1
    put(client, runs(client, sent)[0], Running(), Cancelled(message=NOBODY_WAITS))  # as by a third that began it and has gone
    again = runs(client, sent, 2)[-1]
    put(client, again, Running(), Completed(message="tokens/abc"))
    assert first.result(60).message == second.result(60).message == "tokens/abc"


@pytest.mark.parametrize("how", ["interrupted", "failed"])
def test_a_job_that_ends_cancels_its_runs(
    client: SyncPrefectClient,
    sent: SentStage,
    waiting: Callable[[], Future[Any]],
    left: threading.Event,
    how: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    state = waiting()
    (run,) = runs(client, sent)
    if how == "failed":
        left.set()
    else:
        monkeypatch.setattr(INTERRUPTION, "asked", True)
    with pytest.raises(Interrupted):
        state.result(60)
    assert client.read_flow_run(run.id).state_type == "CANCELLED", "it waited for a worker"


def heartbeat(client: SyncPrefectClient, pool: str, worker: str) -> None:
    client.request("POST", "/work_pools/{name}/workers/heartbeat", path_params={"name": pool}, json={"name": worker})


def test_a_pool_without_a_worker_is_told_before_anything_begins(client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: set[str] = set()
    monkeypatch.setattr(pools, "_has_worker", lambda client, pool: pool in seen)
    with pytest.raises(UserError, match="work pool cpu has no worker; start one: prefect worker start --pool cpu --limit 1"):
        check_pools()
    seen.add("cpu")
    with pytest.raises(UserError, match="work pool gpu has no worker"):
        check_pools()
    seen.add("gpu")
    check_pools()


def test_a_worker_that_leaves_is_told_after_a_while(client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch) -> None:
    put_pool(client, "of-this-test")
    now = [0.0]  # seconds
    watch = Watch(cast(Any, "of-this-test"), clock=lambda: now[0])

    def fault_at(seconds: float, state: State[Any]) -> str | None:
        now[0] = seconds
        return watch.fault(client, state)

    heartbeat(client, "of-this-test", "one")
    assert not any(fault_at(seconds, Scheduled()) for seconds in (60.0, 119.0, 200.0)), "it is there, though busy"
    monkeypatch.setattr(pools, "SILENT", pools.SILENT * 0)
    assert not any(fault_at(seconds, Scheduled()) for seconds in (210.0, 319.0)), "it may come back"
    assert "work pool of-this-test has no worker" in str(fault_at(321.0, Scheduled()))
    assert fault_at(1000.0, Running()) is None, "a run under way is no longer waiting"


def test_a_run_that_a_worker_took_and_lost_counts_as_crashed(client: SyncPrefectClient) -> None:
    watch, state = Watch("cpu"), Pending()
    assert watch.fault(client, state) is None
    old = state.model_copy(update={"timestamp": state.timestamp - pools.PENDING * 2})
    assert watch.fault(client, old) == "a worker took it and did not begin"


def test_what_is_made_tells_runs_apart_and_not_for_whom(sent: SentStage) -> None:
    other = sent.model_copy(update={"arguments": {"corpus": "corpus/other"}})
    assert tag_of(other) != tag_of(sent)
    assert tag_of(sent.model_copy(update={"run": "2", "experiment": "9", "dask": "4"})) == tag_of(sent)
