"""prefect.yaml on a real server: deployed, shown as forms, picked up by a worker, completed."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import ROOT, CommandLine, write_general, write_tickets


def prefect(ulmfit: CommandLine, *arguments: str) -> str:
    command = [sys.executable, "-m", "prefect", "--no-prompt", *arguments]
    ended = subprocess.run(command, cwd=ROOT, env=ulmfit.environment, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 0, ended.stdout + ended.stderr
    return ended.stdout


def ask(url: str, body: dict[str, Any] | None = None) -> Any:
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)


@pytest.mark.server
@pytest.mark.timeout(300)
def test_the_train_deployment_completes_on_a_worker(ulmfit: CommandLine, prefect_api: str, tmp_path: Path) -> None:
    prefect(ulmfit, "work-pool", "create", "ulmfit", "--type", "process", "--overwrite")
    prefect(ulmfit, "deploy", "--all")
    named = {entry["name"]: entry for entry in ask(f"{prefect_api}/deployments/filter", {})}
    declared = yaml.safe_load((ROOT / "prefect.yaml").read_text())["deployments"]
    assert set(named) == {entry["name"] for entry in declared} == {"train", "preprocess", "pretrain"}
    for deployment in named.values():
        assert "ulmfit" in deployment["tags"]
        assert not any(schedule["active"] for schedule in deployment["schedules"]), "a schedule is off until somebody turns it on"
    form = named["train"]["parameter_openapi_schema"]["definitions"]["TrainRequest"]["properties"]
    assert form["preset"]["enum"] == ["tiny", "small", "base"] and form["corpus"]["description"]

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
