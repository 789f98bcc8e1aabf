"""Each service is killed in the middle of a retraining and started again by the supervisor: the retraining ends well, and nothing is lost."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import psutil
import pytest
from mlflow import MlflowClient

from infra.local import supervision
from infra.local.services import client_environment
from infra.local.stack import Stack
from infra.local.story import Team
from tasks.calls import KEY_TAG

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

KILLS, APART = 3, 15.0  # of a service in one run, and the seconds between them
WORKER = "worker-ulmfit"  # it runs retrainings
PARTS = ["parts.documents=25", "classifier.epochs=2", "classifier.lr=0.03"]


def kill(stack: Stack, name: str) -> int:
    """End a service with all it has started, as a machine without memory does; its process."""
    pid = supervision.running(stack)[name].pid
    service = psutil.Process(pid)
    family = [service] if name.startswith("worker-") else [service, *service.children(recursive=True)]  # a flow lives on
    for process in family:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return pid


def kill_dask_worker(stack: Stack, _: str) -> int:
    """End one of Dask's workers, which its nanny starts again."""
    pid = supervision.running(stack)["dask-workers"].pid
    worker = psutil.Process(pid).children(recursive=True)[-1]
    worker.kill()
    return worker.pid


def until(true: Callable[[], object], seconds: float = 300) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "it did not come to that"
        time.sleep(0.5)


VICTIMS = {
    "prefect": kill,
    "mlflow": kill,
    "postgres": kill,
    "s3": kill,
    "dask-scheduler": kill,
    "dask-workers": kill,
    "one of dask-workers": kill_dask_worker,
    WORKER: kill,
}


@pytest.mark.parametrize("victim", VICTIMS)
def test_a_retraining_survives(stack: Stack, victim: str, tmp_path: Path, record_property: Callable) -> None:
    model = f"fault-{victim.replace(' ', '-')}-{int(time.time())}"
    team = Team(stack, tmp_path / "team", model, PARTS)
    team.land("a.csv", 300, sorted(VICTIMS).index(victim) + int(time.time()) % 1000)  # text of its own: no stage is found
    run = team.start("lenient")
    until(lambda: team.ask(f"flow_runs/{run}")["state"]["type"] == "RUNNING")
    begun, killed = time.monotonic(), []
    for _ in range(KILLS):
        until(lambda: supervision.running(stack).get(victim, None) is None or supervision.running(stack)[victim].state == "RUNNING")
        killed.append(VICTIMS[victim](stack, victim))
        time.sleep(APART)
    team.wait(run)
    record_property("seconds", round(time.monotonic() - begun))
    assert len(set(killed)) == KILLS, "it was started again, and killed again"

    states = [state["name"] for state in team.ask(f"flow_run_states/?flow_run_id={run}")]
    print(f"\n{victim}: {time.monotonic() - begun:.0f} s; the run: {', '.join(states)}")
    check_nothing_lost(team, 300)


def check_nothing_lost(team: Team, documents: int) -> None:
    """Of a model's first training: each decision once and carried out, all documents, one version, one tracked run for each stage."""
    decisions = team.decisions()
    assert [(one["what"], one.get("version")) for one in decisions] == [("retrain", None), ("first version", "1")]
    assert all((one["followed"] or {"done": True})["done"] for one in decisions)
    assert decisions[0]["cycle"]["new"]["documents"] == documents

    with pytest.MonkeyPatch.context() as patch:
        for name, value in client_environment(team.stack, team.credentials).items():
            patch.setenv(name, value)
        client = MlflowClient()
        assert [one.version for one in client.search_model_versions(f"name = '{team.model}'")] == ["1"]
        experiment = client.get_experiment_by_name(f"ulmfit-{team.model}")
        assert experiment
        told = [run for run in client.search_runs([experiment.experiment_id], max_results=200) if KEY_TAG in run.data.tags]
    assert told and set(Counter(run.data.tags[KEY_TAG] for run in told).values()) == {1}, "each stage is tracked once"
    assert {run.info.status for run in told} == {"FINISHED"}
