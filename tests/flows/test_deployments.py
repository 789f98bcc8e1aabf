"""``ulmfit deploy`` on a real server: what it makes, and what it leaves as people set it; the reconciler's choice of runs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.filters import FlowRunFilter
from prefect.client.schemas.schedules import CronSchedule
from prefect.settings import PREFECT_API_URL, temporary_settings
from prefect.states import Crashed, Pending, Running, State

from cli.main import run
from flows.deployments import Declared, declared, put_deployment, put_pool
from flows.reconcile import RESTARTED, ReconcileRequest, reconcile

CRASHING = Declared(
    name="crashing",
    description="of a test",
    entrypoint="tests/integration/crashing.py:crashing",
    tags=("ulmfit", "of-this-test"),
    parameters={"request": {"folder": "/tmp"}},
)


@pytest.fixture
def client(prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[SyncPrefectClient]:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    monkeypatch.setenv("PREFECT_HOME", "unset at the end")
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture
def deploy(client: SyncPrefectClient, tmp_path: Any, capsys: pytest.CaptureFixture[str]) -> Callable[[], str]:
    def deployed() -> str:
        assert run(["deploy", "--workspace", str(tmp_path)]) == 0
        return capsys.readouterr().out

    return deployed


def test_what_is_deployed_and_what_people_set_stays(deploy: Callable[[], str], client: SyncPrefectClient) -> None:
    named = lambda: {one.name: one for one in client.read_deployments() if "ulmfit" in one.tags}
    said = deploy()
    assert {one.name for one in declared()} <= named().keys() and "worker start --pool ulmfit" in said
    active = {name for name, one in named().items() for schedule in one.schedules if schedule.active}
    assert active == {"reconcile"}, "a schedule is off until somebody switches it on"
    form = named()["train"].parameter_openapi_schema["definitions"]["TrainRequest"]["properties"]
    assert form["preset"]["enum"] == ["tiny", "small", "base"] and form["corpus"]["description"]

    to_come = FlowRunFilter.model_validate(
        {"deployment_id": {"any_": [named()["reconcile"].id]}, "state": {"type": {"any_": ["SCHEDULED"]}}}
    )
    deadline = time.monotonic() + 60
    while not client.read_flow_runs(flow_run_filter=to_come):
        assert time.monotonic() < deadline, "the server's scheduler makes no runs; SQLAlchemy 2.1 breaks it"
        time.sleep(0.5)

    train, preprocess, pretrain, reconciler = (named()[name] for name in ("train", "preprocess", "pretrain", "reconcile"))
    client.update_deployment_schedule(train.id, train.schedules[0].id, active=True)
    client.update_deployment_schedule(preprocess.id, preprocess.schedules[0].id, schedule=CronSchedule(cron="5 5 * * *"))
    client.update_deployment_schedule(reconciler.id, reconciler.schedules[0].id, active=False)
    client.create_deployment_schedules(pretrain.id, [(CronSchedule(cron="6 6 * * *"), True)])
    patch = {
        "parameters": {"request": {"corpus": "ours"}},
        "concurrency_limit": 3,
        "job_variables": {"env": {"OURS": "1"}, "stream_output": False},
    }
    client.request("PATCH", "/deployments/{id}", path_params={"id": pretrain.id}, json=patch)
    client.pause_deployment(pretrain.id)
    (lost,) = client.read_automations_by_name("ulmfit: lost runs")
    client.pause_automation(lost.id)
    before = named()

    said = deploy()
    assert "brought up to date" in said and ": made" not in said
    after = named()
    told = lambda one: [(each.id, each.active, each.schedule.cron, each.slug) for each in one.schedules]
    for name in before:
        assert told(after[name]) == told(before[name]), name
        assert after[name].parameters == before[name].parameters and after[name].id == before[name].id
    assert after["train"].schedules[0].active and not after["reconcile"].schedules[0].active
    assert after["preprocess"].schedules[0].schedule.cron == "5 5 * * *" and after["pretrain"].schedules[0].active
    assert after["pretrain"].parameters == {"request": {"corpus": "ours"}} and after["pretrain"].paused
    assert after["pretrain"].global_concurrency_limit and after["pretrain"].global_concurrency_limit.limit == 3
    variables = after["pretrain"].job_variables
    assert variables["env"]["OURS"] == "1" and variables["env"]["PREFECT_CLIENT_MAX_RETRIES"] == "8" and variables["stream_output"] is False
    assert [one.enabled for one in client.read_automations_by_name("ulmfit: lost runs")] == [False]
    assert [one.enabled for one in client.read_automations_by_name("ulmfit: crashed retrainings")] == [True]
    assert "pretrain: a run under a limit crashes when this server restarts" in said


def test_without_a_server_it_is_one_line(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any) -> None:
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    assert run(["deploy", "--workspace", str(tmp_path)]) == 2
    assert "PREFECT_API_URL is not set" in capsys.readouterr().err
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setenv("PREFECT_HOME", "unset at the end")
    assert run(["deploy", "--workspace", str(tmp_path)]) == 2
    assert "no Prefect server answers there" in capsys.readouterr().err


def test_a_server_that_fails_in_the_middle_is_one_line(
    client: SyncPrefectClient, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Any
) -> None:
    def lost(*_: object) -> None:
        raise httpx.ConnectError("connection refused")

    monkeypatch.setattr(SyncPrefectClient, "read_deployment_by_name", lost)
    assert run(["deploy", "--workspace", str(tmp_path)]) == 1
    assert "the Prefect server failed (connection refused)" in capsys.readouterr().err


def test_crashed_runs_are_started_again_so_many_times(client: SyncPrefectClient) -> None:
    put_pool(client)
    deployment, _ = put_deployment(client, CRASHING)
    asked = ReconcileRequest(restarts=2, tag="of-this-test")

    def a_run(*states: State, note: str = "") -> Any:
        made = client.create_flow_run_from_deployment(deployment.id, parameters={"request": {"folder": "/tmp", "note": note}})
        for state in states:
            client.set_flow_run_state(made.id, state, force=True)
        return made

    fine, fresh = a_run(Pending(), Running(), note="fine"), a_run(Pending(), note="pending for a moment")
    crashed, early = a_run(Pending(), Running(), Crashed(), note="crashed"), a_run(Pending(), Crashed(), note="crashed before it ran")
    old = a_run(Running(), Crashed(), note="twice")
    a_run(Running(), note="twice")
    done = reconcile.fn(asked)
    assert set(done) == {crashed.name, early.name, old.name} and "later run" in done[old.name]
    assert "1 of 2" in done[crashed.name] and "1 of 2" in done[early.name]
    state = client.read_flow_run(crashed.id).state
    assert state and (state.type.value, state.name) == ("SCHEDULED", RESTARTED)
    assert reconcile.fn(asked) == {old.name: done[old.name]}, "what waits for a worker is not started again"
    for said in ("2 of 2", "left alone: see its log", "left alone: see its log"):
        for state in (Running(), Crashed()):
            client.set_flow_run_state(crashed.id, state, force=True)
        assert said in reconcile.fn(asked)[crashed.name]
    assert client.read_flow_run(fine.id).state_type == "RUNNING" and client.read_flow_run(fresh.id).state_type == "PENDING"
    assert fresh.name in reconcile.fn(asked.model_copy(update={"pending_minutes": 1e-9}))
    assert reconcile.fn(asked.model_copy(update={"hours": 1e-9})) == {}
