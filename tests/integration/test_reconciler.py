"""Workers and flows that are killed, on a real server: what is lost is started again, so many times and not more. Events start a retraining."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.settings import PREFECT_API_URL, temporary_settings

from flows.deployments import NEW_DATA, Declared, automations, declared, put_automation, put_deployment, put_pool
from tests.conftest import ROOT, CommandLine, write_tickets

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(600)]

CRASHING = Declared(
    name="crashing", description="of a test", entrypoint="tests/integration/crashing.py:crashing", tags=("ulmfit", "retrain")
)


@pytest.fixture(scope="module")
def client(prefect_api: str) -> Iterator[SyncPrefectClient]:
    with temporary_settings({PREFECT_API_URL: prefect_api}), get_client(sync_client=True) as client:
        yield client


@pytest.fixture(scope="module")
def deployment(client: SyncPrefectClient) -> Any:
    """The deployment of a flow that takes the place of retraining, with the reconciler and the automations."""
    put_pool(client)
    (reconcile,) = (one for one in declared() if one.name == "reconcile")
    deployed = {"retrain": put_deployment(client, CRASHING)[0], "reconcile": put_deployment(client, reconcile)[0]}
    for automation in automations(deployed, lost=timedelta(seconds=70)):
        put_automation(client, automation)
    return deployed["retrain"]


class Worker:
    """A worker, and what it has started."""

    def __init__(self, ulmfit: CommandLine, log: Path):
        command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "ulmfit", "--type", "process"]
        with open(log, "a") as output:
            self.process = subprocess.Popen(command, cwd=ROOT, env=ulmfit.environment, stdout=output, stderr=output)

    def kill(self) -> None:
        """As when the machine is lost."""
        if self.process.poll() is None:
            family = [*psutil.Process(self.process.pid).children(recursive=True), psutil.Process(self.process.pid)]
            for one in family:
                one.kill()
            self.process.wait()


@pytest.fixture
def worker(ulmfit: CommandLine, tmp_path: Path) -> Iterator[Callable[[], Worker]]:
    started: list[Worker] = []

    def start() -> Worker:
        started.append(Worker(ulmfit, tmp_path / "worker.log"))
        return started[-1]

    yield start
    for one in started:
        one.kill()


def until(true: Callable[[], bool], seconds: float = 240) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.5)


def runs_of(folder: Path) -> list[int]:
    """The processes that ran the flow."""
    return [int(line.split()[0]) for line in (folder / "runs").read_text().splitlines()] if (folder / "runs").exists() else []


def test_a_retraining_whose_machine_was_lost_is_started_again_and_ends_well(
    client: SyncPrefectClient, deployment: Any, worker: Callable[[], Worker], tmp_path: Path
) -> None:
    made = client.create_flow_run_from_deployment(deployment.id, parameters={"request": {"folder": str(tmp_path)}})
    first = worker()
    until(lambda: len(runs_of(tmp_path)) == 1)
    time.sleep(3)  # the first sign of life
    first.kill()
    assert client.read_flow_run(made.id).state_type == "RUNNING", "the server does not know yet"
    worker()
    until(lambda: len(runs_of(tmp_path)) == 2)
    (tmp_path / "end").touch()
    until(lambda: client.read_flow_run(made.id).state_type == "COMPLETED")
    states = [state.name for state in client.read_flow_run_states(made.id)]
    assert states.count("Restarted") == 1 and states.count("Crashed") == 1 and len(runs_of(tmp_path)) == 2


def test_one_that_crashes_each_time_is_left_alone_after_two_restarts(
    client: SyncPrefectClient, deployment: Any, worker: Callable[[], Worker], tmp_path: Path
) -> None:
    made = client.create_flow_run_from_deployment(deployment.id, parameters={"request": {"folder": str(tmp_path)}})
    worker()
    for number in (1, 2, 3):
        until(lambda number=number: len(runs_of(tmp_path)) == number)
        until(lambda: client.read_flow_run(made.id).state_type == "RUNNING")
        os.kill(runs_of(tmp_path)[-1], signal.SIGKILL)
    until(lambda: client.read_flow_run(made.id).state_type == "CRASHED")
    reconciled = lambda: [one for one in client.read_flow_runs() if one.deployment_id != deployment.id and one.state_type == "COMPLETED"]
    seen = len(reconciled())
    until(lambda: len(reconciled()) > seen)
    assert client.read_flow_run(made.id).state_type == "CRASHED" and len(runs_of(tmp_path)) == 3
    assert [state.name for state in client.read_flow_run_states(made.id)].count("Restarted") == 2


def emit(prefect_api: str, payload: dict[str, str], times: int = 1) -> None:
    """Tell of new data, as one who did not see the answer."""
    event = {
        "id": str(uuid4()),
        "occurred": datetime.now(UTC).isoformat(),
        "event": NEW_DATA,
        "resource": {"prefect.resource.id": "ulmfit.data.tickets"},
        "payload": payload,
    }
    for _ in range(times):
        request = urllib.request.Request(f"{prefect_api}/events", json.dumps([event]).encode(), {"Content-Type": "application/json"})
        urllib.request.urlopen(request, timeout=30).close()


def test_new_data_starts_a_retraining_with_its_parameters(
    client: SyncPrefectClient, prefect_api: str, deployment: Any, worker: Callable[[], Worker], tmp_path: Path
) -> None:
    worker()
    (tmp_path / "end").touch()
    payload = {"folder": str(tmp_path), "note": 'it\'s "new" {{ 1 + 1 }} é'}
    emit(prefect_api, payload, times=2)
    of_event = lambda: [
        one for one in client.read_flow_runs() if one.deployment_id == deployment.id and one.parameters["request"].get("note")
    ]
    until(lambda: any(one.state_type == "COMPLETED" for one in of_event()))
    time.sleep(5)
    assert [one.parameters["request"] for one in of_event()] == [payload]
    assert (tmp_path / "runs").read_text().split(" ", 1)[1] == f"{payload['note']}\n"


@pytest.mark.timeout(900)
def test_a_real_retraining_that_is_lost_goes_on_and_the_champion_stays_meanwhile(
    client: SyncPrefectClient, prefect_api: str, ulmfit: CommandLine, worker: Callable[[], Worker], tmp_path: Path
) -> None:
    put_pool(client)
    deployed = {one.name: put_deployment(client, one)[0] for one in declared()}
    for automation in automations(deployed, lost=timedelta(seconds=70)):
        put_automation(client, automation)
    landing, home = tmp_path / "landing", tmp_path / "workspace"
    landing.mkdir()
    write_tickets(landing / "monday.csv", 300)
    request = {"landing": str(landing), "model": "tickets", "text_column": "body", "label_column": "topic", "preset": "tiny"}
    (tmp_path / "policy.yaml").write_text("gate: {min_rows: 20}\n")
    request |= {"workspace": str(home), "policy": str(tmp_path / "policy.yaml")}
    runs = lambda: [one for one in client.read_flow_runs() if one.deployment_id == deployed["retrain"].id]
    told = lambda: ulmfit("history", "tickets", "--workspace", str(home), "--json").json
    first = worker()
    emit(prefect_api, request)
    until(lambda: [one.state_type for one in runs()] == ["COMPLETED"], 400)
    assert told()["champion"] == "1"

    write_tickets(landing / "tuesday.csv", 300, seed=2)
    lost = client.create_flow_run_from_deployment(deployed["retrain"].id, parameters={"request": request})
    until(lambda: told()["decisions"][-1]["what"] == "retrain", 200)
    first.kill()
    assert told()["champion"] == "1"
    worker()
    until(lambda: client.read_flow_run(lost.id).state_type == "COMPLETED", 400)
    states = [state.name for state in client.read_flow_run_states(lost.id)]
    assert states.count("Restarted") == 1 and len(runs()) == 2
    decisions = told()["decisions"]
    assert [one["what"] for one in decisions].count("retrain") == 2, "the lost one was gone on with, not begun anew"
    assert told()["champion"] in ("1", "2") and decisions[-1]["what"] in ("compared", "promoted")
