"""``ulmfit send``: what is on disk for MLflow gets there, and the doctor knows of it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from cli.doctor import unsent
from cli.main import run
from tasks.calls import Begin, End, Points, StageRun
from tasks.outbox import REFUSED, Entries
from tasks.tracking import Tracker
from tasks.workspace import Workspace


@pytest.fixture
def workspace(tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(tracked, tmp_path / "workspace")
    return Workspace.open(tmp_path / "workspace")


def test_what_a_killed_run_left_is_sent(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = Tracker.open(workspace, "ulmfit-first")
    tracker.outbox.close(0)
    stage = StageRun(experiment=tracker.experiment_id, name="classify", key="k" * 64, parent=tracker.start("flow", {}))
    points = Points(run=stage, points=[("loss", 1 / step, 1000 + step, step) for step in range(1, 9)])
    left = Entries.create(tracker.outbox.folder)
    for call in (Begin(run=stage), points, points, End(run=stage, status="FAILED")):  # as when a crash came before it was noted
        left.append(call.model_dump_json().encode())
    left.close()
    assert [finding.fact for finding in unsent(workspace)] == ["4 entries about runs are not sent yet"]

    assert run(["send", "--workspace", str(workspace.root)]) == 0
    assert "4 entries sent to MLflow at sqlite" in capsys.readouterr().out
    found = tracker.client.search_runs([tracker.experiment_id], f"tags.`ulmfit.artifact` = '{'k' * 64}'")
    assert [one.info.status for one in found] == ["FAILED"]
    history = tracker.client.get_metric_history(found[0].info.run_id, "loss")
    assert [(point.step, point.timestamp) for point in history] == [(step, 1000 + step) for step in range(1, 9)]
    assert run(["send", "--workspace", str(workspace.root)]) == 0 and "nothing is left" in capsys.readouterr().out
    assert list(unsent(workspace)) == []


def test_what_mlflow_refused_is_told_by_the_doctor(workspace: Workspace, capsys: pytest.CaptureFixture[str]) -> None:
    tracker = Tracker.open(workspace, "ulmfit-first")
    tracker.tell(End(run="no such run", status="FINISHED"))
    assert tracker.outbox.close(20) == 0
    assert [finding.fact.endswith(REFUSED) for finding in unsent(workspace)] == [True]


def test_a_server_that_is_away_is_one_line(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert run(["send", "--workspace", str(workspace.root)]) == 2
    assert "no MLflow server answers there" in capsys.readouterr().err


@pytest.mark.parametrize("wrong", ["", "soon", "-1", "inf", "nan"])
def test_a_wait_that_is_no_number_is_refused_first(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], wrong: str
) -> None:
    monkeypatch.setenv("ULMFIT_TRACKING_WAIT", wrong)
    assert run(["send", "--workspace", str(workspace.root)]) == 2
    assert "give a number of seconds" in capsys.readouterr().err
