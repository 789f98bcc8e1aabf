"""MLflow tracking on a real PostgreSQL server, and what is peculiar to runs."""

from __future__ import annotations

import glob
import json
import os
import secrets
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from mlflow.entities import Run
from pydantic import JsonValue

from cli.prefect_server import free_port
from tasks.tracking import TrackedStage, Tracker
from tasks.workspace import Workspace
from ulmfit.store.recipe import Recipe

BINARIES = sorted(glob.glob("/usr/lib/postgresql/*/bin"))[-1:]


@pytest.fixture(scope="module")
def postgres() -> Iterator[str]:
    """A PostgreSQL server of its own, on a free port; it does not run as root."""
    if not BINARIES:
        pytest.skip("no PostgreSQL server is installed (Debian: postgresql)")
    folder = Path(tempfile.mkdtemp(prefix="ulmfit-postgres-"))  # not below pytest's own folder, which other users cannot enter
    user = "postgres" if os.getuid() == 0 else None
    if user:
        shutil.chown(folder, user)
    port, bin_ = free_port(), BINARIES[0]

    def run(*command: str) -> None:
        subprocess.run(["runuser", "-u", user, "--", *command] if user else command, check=True, cwd=folder, stdout=subprocess.DEVNULL)

    run(f"{bin_}/initdb", "-D", f"{folder}/data", "-U", "ulmfit", "-A", "trust", "--no-sync")
    run(f"{bin_}/pg_ctl", "-D", f"{folder}/data", "-w", "-l", f"{folder}/log", "-o", f"-p {port} -k {folder} -h 127.0.0.1", "start")
    try:
        yield f"postgresql+psycopg2://ulmfit@127.0.0.1:{port}/postgres"
    finally:
        run(f"{bin_}/pg_ctl", "-D", f"{folder}/data", "-m", "immediate", "stop")
        shutil.rmtree(folder)


@pytest.fixture(params=["sqlite", "postgres"])
def tracker(request: pytest.FixtureRequest, tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Tracker:
    if request.param == "postgres":
        monkeypatch.setenv("MLFLOW_TRACKING_URI", request.getfixturevalue("postgres"))
    else:
        shutil.copytree(tracked, tmp_path / "workspace")
    return Tracker.open(Workspace.open(tmp_path / "workspace"), f"ulmfit-{request.param}")


def begun(tracker: Tracker, key: str | None = None) -> TrackedStage:
    """A stage's run, with the flow's behind it."""
    return tracker.stage("stage", key or secrets.token_hex(32), tracker.start("flow", {}))


def told(run: TrackedStage, tracker: Tracker) -> Run:
    """The run, once MLflow was told everything."""
    assert tracker.outbox.wait(60) == 0 and run.run_id
    return tracker.client.get_run(run.run_id)


def test_curves_are_sent_in_batches_and_none_is_lost(tracker: Tracker) -> None:
    run = begun(tracker)
    for step in range(1234):
        run.observe(step, {"train_loss": 1 / (step + 1), "lr": 0.1})
    run.flush()
    history = tracker.client.get_metric_history(told(run, tracker).info.run_id, "train_loss")
    assert sorted(point.step for point in history) == list(range(1234))


def test_a_retried_stage_reopens_its_run(tracker: Tracker) -> None:
    first = begun(tracker, "k" * 64)
    first.finish("FAILED")
    assert told(first, tracker).info.status == "FAILED"
    again = begun(tracker, "k" * 64)
    assert again.run_id == first.run_id and told(again, tracker).info.status == "RUNNING"
    assert begun(tracker, "l" * 64).run_id != first.run_id


def test_labels_are_no_names_of_metrics(tracker: Tracker, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)  # where MLflow keeps files of a database that names no place for them
    run = begun(tracker)
    names = {"and/or/": 1, "../x": 2, "https://host": 3, "n" * 300: 4, "": 5}
    run.result({"reasons": names})
    assert sorted(told(run, tracker).data.metrics.values()) == [1, 2, 3, 4, 5]
    run = begun(tracker)
    counts: dict[str, JsonValue] = {"and/or/": 1, "http://x": 2, "[/x]": 3, "l" * 300: 4, "": 5, "a.b": 6}
    run.result({"documents": 21, "splits": {"train": {"documents": 21, "labels": counts}}})
    assert told(run, tracker).data.metrics == {"result.documents": 21, "result.splits.train.documents": 21}
    written = tracker.client.download_artifacts(told(run, tracker).info.run_id, "labels.json", str(tmp_path))
    assert json.loads(Path(written).read_text()) == {"splits.train.labels": counts}


def test_a_recipe_shows_as_parameters(tracker: Tracker) -> None:
    run = begun(tracker)
    many = {f"n{number}": number for number in range(150)}
    run.describe(Recipe("vocab", 1, {"max_size": 100, "inner": {"min_count": 2}, "separator": "|" * 9_000, **many}, {"tokens": "a" * 64}))
    run.result({"tokens": 99, "note": "text", "scores": {"forward+backward": {"accuracy": 0.5}}})
    found = told(run, tracker).data
    assert found.params["max_size"] == "100" and found.params["inner.min_count"] == "2" and len(found.params) == 153
    assert set(found.params["separator"]) == {"|"}
    assert found.metrics["result.tokens"] == 99 and found.metrics["result.scores.forward-backward.accuracy"] == 0.5
