"""A real MLflow server that is killed and comes back on the same port: training goes on, and nothing is lost or told twice."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cli.prefect_server import free_port
from tasks.calls import KEY_TAG
from tasks.tracking import Tracker
from tasks.workspace import Workspace
from tests.conftest import CommandLine, write_tickets
from ulmfit.store.recipe import Recipe

pytestmark = [pytest.mark.slow, pytest.mark.server]


class MlflowServer:
    """On one port and database, whenever it runs."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        options = ["--backend-store-uri", f"sqlite:///{self.folder}/mlflow.db", "--artifacts-destination", str(self.folder / "artifacts")]
        command = [sys.executable, "-m", "mlflow", "server", *options, "--port", str(self.port), "--workers", "1"]
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(command, cwd=self.folder, stdout=log, stderr=log, start_new_session=True)
        deadline = time.monotonic() + 90
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=2).close()
                return
            except OSError:
                time.sleep(0.2)
        pytest.fail((self.folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        if self.process:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None


@pytest.fixture
def mlflow_server(tmp_path: Path) -> Iterator[MlflowServer]:
    folder = tmp_path / "server"
    folder.mkdir()
    server = MlflowServer(folder)
    server.start()
    yield server
    server.kill()


def test_stages_go_on_and_all_of_it_arrives_once(mlflow_server: MlflowServer, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", mlflow_server.url)
    tracker = Tracker.open(Workspace.open(tmp_path / "workspace"), "ulmfit-away")
    flow = tracker.start("flow", {})
    first = tracker.stage("finetune-forward", "a" * 64, flow)
    for step in range(3000):
        first.observe(step, {"train_loss": 1 / (step + 1)})
        if step == 1000:
            assert first.run_id
            mlflow_server.kill()
    first.finish()
    second = tracker.stage("classify-forward", "b" * 64, flow)
    (tmp_path / "config.json").write_text("{}")
    second.describe(Recipe("classifier", 1, {"epochs": 2}, {"lm": "a" * 64}))
    assert second.output_model(Recipe("classifier", 1, {}, {}), tmp_path) is None and second.run_id is None
    second.result({"steps": 7})
    second.finish()
    assert tracker.outbox.wait(0) > 10
    mlflow_server.start()
    assert tracker.outbox.wait(60) == 0
    assert second.run_id
    told = {one.data.tags.get(KEY_TAG): one for one in tracker.client.search_runs([tracker.experiment_id])}
    assert set(told) == {None, "a" * 64, "b" * 64}
    history = tracker.client.get_metric_history(told["a" * 64].info.run_id, "train_loss")
    assert [point.step for point in sorted(history, key=lambda point: point.step)] == list(range(3000))
    assert told["b" * 64].data.params == {"epochs": "2"} and told["b" * 64].data.metrics == {"result.steps": 7}
    assert {told[key * 64].info.status for key in "ab"} == {"FINISHED"}
    assert len(told["b" * 64].outputs.model_outputs) == 1  # type: ignore[union-attr]


@pytest.mark.timeout(400)
def test_a_training_whose_tracking_goes_and_comes_back(ulmfit: CommandLine, mlflow_server: MlflowServer, tmp_path: Path) -> None:
    """Lost after the first stage and back at its end: registered. Lost and not back: one line, and the next run goes on."""
    corpus = write_tickets(tmp_path / "tickets.csv", 300)
    command = ["train", "--corpus", str(corpus), "--text-column", "body", "--label-column", "topic", "--preset", "tiny"]
    extra = {"MLFLOW_TRACKING_URI": mlflow_server.url, "ULMFIT_TRACKING_WAIT": "3"}
    command += ["--workspace", str(tmp_path / "workspace"), "--json"]
    process = ulmfit.start(*command, **extra)
    assert process.stderr
    said = ""
    for line in process.stderr:
        said += line
        if "tokenise: done" in line:
            mlflow_server.kill()
    assert process.wait(60) == 1, said
    assert "does not answer" in said and "run the same command again" in said and "Traceback" not in said
    assert "evaluate: done" in said, "all stages were made without MLflow"

    mlflow_server.start()
    again = ulmfit(*command, **{**extra, "ULMFIT_TRACKING_WAIT": "60"})
    assert again.code == 0, again.err
    assert "0 made" in again.out
    client = MlflowClient(mlflow_server.url)
    experiment = client.get_experiment_by_name("ulmfit-tickets")
    assert experiment is not None
    runs = client.search_runs([experiment.experiment_id])
    stages = [one for one in runs if KEY_TAG in one.data.tags]
    assert len(stages) == len({one.data.tags[KEY_TAG] for one in stages}) == 12
    assert {one.info.status for one in stages} == {"FINISHED"}
    assert {one.info.status for one in runs} == {"FINISHED", "FAILED"}, "the flow whose registry was away failed"
    assert len(client.search_model_versions("name = 'ulmfit-tickets'")) == 1
