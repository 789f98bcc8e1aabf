"""The train deployment on a real server: picked up by a worker, completed."""

from __future__ import annotations

import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.conftest import ROOT, CommandLine, write_general, write_tickets
from tests.prefect_rest import ask


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(300)
def test_the_train_deployment_completes_on_a_worker(ulmfit: CommandLine, prefect_api: str, tmp_path: Path) -> None:
    assert ulmfit("deploy").code == 0
    named = {entry["name"]: entry for entry in ask(f"{prefect_api}/deployments/filter", {})}
    request = {
        "corpus": str(write_tickets(tmp_path / "tickets.csv", 300)),
        "text_column": "body",
        "label_column": "topic",
        "pretrain": str(write_general(tmp_path / "general.txt", 100)),
        "preset": "tiny",
        "workspace": str(tmp_path / "workspace"),
        "dask": "1",
    }
    run = ask(f"{prefect_api}/deployments/{named['train']['id']}/create_flow_run", {"parameters": {"request": request}})
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "ulmfit", "--type", "process"]
    with open(tmp_path / "worker.log", "w") as output:
        worker = subprocess.Popen(command, cwd=ROOT, env=ulmfit.environment, stdout=output, stderr=output)
        try:
            state = wait(f"{prefect_api}/flow_runs/{run['id']}")
        finally:
            worker.kill()
            worker.wait()
    assert state == "COMPLETED", (tmp_path / "worker.log").read_text()[-4000:]
    tasks = ask(f"{prefect_api}/task_runs/filter", {"flow_runs": {"id": {"any_": [run["id"]]}}})
    assert {"tokenise", "pretrain-forward", "classify-backward", "evaluate"} <= {task["name"] for task in tasks}
    assert all(task["state_type"] == "COMPLETED" for task in tasks)


def wait(url: str) -> str:
    deadline = time.monotonic() + 240
    while time.monotonic() < deadline:
        state = ask(url)["state_type"]
        if state in ("COMPLETED", "FAILED", "CRASHED", "CANCELLED"):
            return state
        time.sleep(1)
    return "still running"
