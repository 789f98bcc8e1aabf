"""Back up, destroy, restore: the same history, runs, versions and predictions."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from infra.local import lifecycle
from infra.local.backup import Manifest, back_up, restore
from infra.local.credentials import Credentials
from infra.local.services import base_environment, client_environment
from infra.local.stack import Stack
from infra.local.story import Team
from tests.conftest import ROOT
from ulmfit.errors import UserError

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]


def told(team: Team) -> dict[str, Any]:
    """What people see of a model: its history, its runs in both servers, and a prediction."""
    environment = base_environment() | client_environment(team.stack, team.credentials)
    asked = "my password is locked and the login says reset"
    predicted = subprocess.run(
        [sys.executable, "-P", "-m", "ulmfit", "predict", f"models:/{team.model}@champion", "--text", asked, "--json"],
        env=environment, cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert predicted.returncode == 0, predicted.stderr
    listed = f"""
import json, mlflow
client = mlflow.MlflowClient()
runs = client.search_runs([one.experiment_id for one in client.search_experiments()], max_results=1000)
versions = client.search_model_versions("name = '{team.model}'")
print(json.dumps([sorted([run.info.run_id, run.info.status, run.data.metrics, run.data.params] for run in runs),
                  [[version.version, version.run_id] for version in versions]]))"""
    runs = subprocess.run(
        [sys.executable, "-P", "-c", listed], env=environment | {"GIT_PYTHON_REFRESH": "quiet"}, cwd=ROOT, capture_output=True, text=True
    )
    assert runs.returncode == 0, runs.stderr
    return {
        "history": team.command("history", team.model),
        "prefect": [[run["id"], run["state"]["name"], run["start_time"], run["end_time"]] for run in team.runs()],
        "mlflow": json.loads(runs.stdout),
        "prediction": json.loads(predicted.stdout.strip().splitlines()[-1]),
    }


def test_back_up_destroy_restore(tmp_path: Path, stack: Stack) -> None:
    team = Team(stack, tmp_path / "team", f"backup-{int(time.time())}", ["classifier.epochs=2", "classifier.lr=0.03"])
    team.land("a.csv", 250, 77)
    team.wait(team.start("lenient"))
    before = told(team)
    assert len(before["history"]["decisions"]) == 2 and len(before["prefect"]) == 1 and len(before["mlflow"][0]) > 10

    backup = tmp_path / "backup"
    back_up(stack, backup, print)
    with pytest.raises(UserError, match="is there already"):
        back_up(stack, backup, print)
    with pytest.raises(UserError, match="a stack is there"):
        restore(backup, stack.folder, None, print)

    settings, secrets = stack.settings, Credentials.read(stack)
    lifecycle.down(stack)
    shutil.rmtree(stack.folder)  # destroyed
    restore(backup, stack.folder, None, print)
    again = lifecycle.up(stack.folder, settings, None, print)
    assert Credentials.read(again) == secrets
    assert told(team) == before


def test_a_damaged_backup_is_refused(tmp_path: Path, stack: Stack) -> None:
    backup = tmp_path / "backup"
    back_up(stack, backup, print)
    file = next(iter(backup.glob("*.dump")))
    file.write_bytes(file.read_bytes()[:-1])
    with pytest.raises(UserError, match=f"{file.name}: missing, or not as it was written"):
        Manifest.read(backup)
    with pytest.raises(UserError, match="no backup of a stack"):
        Manifest.read(tmp_path)
