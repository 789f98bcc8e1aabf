"""A workspace that is renamed, copied, reached through a link, or may only be read; and one of a name full of signs."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from cli.main import run
from tasks.relocation import LOCATIONS, settle
from tasks.tracking import Tracker
from tasks.workspace import Workspace
from tests.tasks.conftest import HOSTILE, only_readable, register_model
from ulmfit.errors import UserError
from ulmfit.store.artifacts import KnownPart

MODEL = "models:/tickets@champion"


@pytest.fixture(autouse=True)
def surroundings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty working directory, and nothing of the user's own surroundings."""
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    for name in ("MLFLOW_TRACKING_URI", "ULMFIT_HOME", "ULMFIT_ARTIFACTS", "ULMFIT_DATA", "PREFECT_API_URL"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def answers(capsys: pytest.CaptureFixture[str]):
    """What ``predict`` and ``lineage`` answer from a workspace."""

    def ask(root: Path) -> tuple[Any, Any]:
        found = []
        for arguments in (["predict", MODEL, "--text", "a good film"], ["lineage", MODEL]):
            assert run([*arguments, "--workspace", str(root), "--json"]) == 0, capsys.readouterr().err
            found.append(json.loads(capsys.readouterr().out.splitlines()[-1]))
        return found[0]["predictions"], found[1]["artifacts"]

    return ask


def locations(root: Path) -> set[str]:
    """All that MLflow's database says of where files are."""
    with closing(sqlite3.connect(root / "mlflow.db")) as connection:
        return {row for table, column in LOCATIONS for (row,) in connection.execute(f"select {column} from {table}") if row}


def content(root: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in sorted(root.rglob("*")) if path.is_file()}


def uri(root: Path) -> str:
    return (root / "mlflow-artifacts").as_uri() + "/"


def test_a_name_full_of_signs_keeps_all_in_the_workspace(registered: Path, answers) -> None:
    assert os.listdir(registered.parent) == [HOSTILE] and os.listdir() == []
    assert locations(registered) and all(location.startswith(uri(registered)) for location in locations(registered))
    assert list((registered / "mlflow-artifacts" / "ulmfit-tickets" / "models").glob("*/artifacts/MLmodel"))
    predictions, lineage = answers(registered)
    assert set(predictions[0]["probabilities"]) == {"bad", "good", "so-so"} and list(lineage) == ["a" * 64]


def test_renamed_it_is_read_where_it_is_and_not_written(registered: Path, answers, tmp_path: Path) -> None:
    before = tmp_path / "before" / "the same"
    shutil.copytree(registered, before)
    settle(Workspace.named(before))
    expected = answers(before)
    after = tmp_path / "mlflow-artifacts" / "after"  # the folder's name in it is not taken for the workspace's
    after.parent.mkdir()
    before.rename(after)
    held = content(after)
    assert answers(after) == expected and content(after) == held and not before.exists()


def test_a_copy_is_worked_in_and_the_original_stays(registered: Path, bundle: Path, tmp_path: Path) -> None:
    original, copied = tmp_path / "original", tmp_path / HOSTILE
    shutil.copytree(registered, original)
    settle(Workspace.named(original))
    held = content(original)
    shutil.copytree(original, copied)
    version = register_model(copied, bundle, "b" * 64)
    assert version.version == "2"
    assert run(["promote", "tickets", "2", "--because", "x", "--workspace", str(copied)]) == 0
    assert content(original) == held and list((copied / "mlflow-artifacts").rglob("decisions/*.json"))
    assert all(location.startswith(uri(copied)) for location in locations(copied))
    assert len(list((copied / "mlflow-artifacts").rglob("MLmodel"))) == 2


def test_doctor_corrects_a_workspace_that_was_moved(registered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(registered, tmp_path / "moved")
    for expected in (True, False):  # once
        assert run(["doctor", "--workspace", str(tmp_path / "moved"), "--json"]) == 0
        findings = {each["subject"]: each["fact"] for each in json.loads(capsys.readouterr().out.splitlines()[-1])["findings"]}
        assert ("moved" in findings) == expected and (not expected or str(registered) in findings["moved"])
    assert all(location.startswith(uri(tmp_path / "moved")) for location in locations(tmp_path / "moved"))


def test_behind_a_link_nothing_is_corrected(registered: Path, tmp_path: Path, answers) -> None:
    held = locations(registered)
    (tmp_path / "link").symlink_to(registered)
    assert settle(Workspace.named(tmp_path / "link")) == [] and locations(registered) == held
    assert answers(tmp_path / "link") == answers(registered)


def test_one_that_may_only_be_read(
    registered: Path, tmp_path: Path, answers, without_privileges, capsys: pytest.CaptureFixture[str]
) -> None:
    shared = tmp_path / "shared"
    shutil.copytree(registered, shared)  # so it was moved, too, and cannot be corrected
    only_readable(shared)
    expected = answers(registered)
    with without_privileges():
        with pytest.raises(PermissionError):
            (shared / "file").write_text("")
        assert answers(shared) == expected
        assert run(["doctor", "--workspace", str(shared), "--json"]) == 0
        findings = {each["subject"]: each for each in json.loads(capsys.readouterr().out.splitlines()[-1])["findings"]}
        assert run(["history", "tickets", "--workspace", str(shared), "--json"]) == 0
        assert json.loads(capsys.readouterr().out.splitlines()[-1])["champion"] == "1"
        assert run(["promote", "tickets", "1", "--because", "x", "--workspace", str(shared)]) == 2
        assert "cannot be written" in capsys.readouterr().err
        assert findings["workspace"]["level"] == "warning" and "only be read" in findings["workspace"]["fact"]
        assert findings["tracking"]["fact"].endswith("is intact")
        with pytest.raises(UserError, match=r"cannot be written.*Permission denied"):
            Workspace.open(shared)
    assert os.listdir() == []


def test_where_nothing_was_trained_reading_makes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["predict", MODEL, "--text", "x"], ["lineage", MODEL]):
        assert run([*command, "--workspace", str(tmp_path / "none")]) == 2
        assert "has no models" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_files_of_a_version_that_are_gone_are_named(registered: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.copytree(registered, tmp_path / "home")
    shutil.rmtree(tmp_path / "home" / "mlflow-artifacts")
    assert run(["lineage", MODEL, "--workspace", str(tmp_path / "home")]) == 2
    said = capsys.readouterr().err
    assert "tickets version 1 are missing" in said and str(tmp_path / "home") in said


def test_the_default_experiment_is_in_the_workspace(tracked: Path, tmp_path: Path) -> None:
    shutil.copytree(tracked, tmp_path / "home")
    with closing(sqlite3.connect(tmp_path / "home" / "mlflow.db")) as connection, connection:
        connection.execute("update experiments set artifact_location = '/started/here/mlruns/0' where experiment_id = 0")
    tracker = Tracker.open(Workspace.open(tmp_path / "home"), "ulmfit-first")
    assert tracker.client.get_experiment("0").artifact_location == f"{uri(tmp_path / 'home')}0"
    assert all(location.startswith("file:///") for location in locations(tracked)), "MLflow's own was corrected when it was made"


def test_known_parts_move_with_the_store(tmp_path: Path) -> None:
    Workspace.open(tmp_path / "old").store.note_part("abc", KnownPart("tokens/k/part-1.arrow", "0" * 64))
    (tmp_path / "old").rename(tmp_path / "new")
    found = Workspace.named(tmp_path / "new").store.find_part("abc")
    assert found == KnownPart(str(tmp_path / "new/artifacts/tokens/k/part-1.arrow"), "0" * 64)


@pytest.mark.parametrize("content", [b"no database, but long enough to have a header" * 40, b"SQLite format 3\0" + b"x" * 5000])
def test_a_file_that_is_no_database_is_told_in_one_line(tmp_path: Path, content: bytes) -> None:
    workspace = Workspace.open(str(tmp_path / "home"), None)
    workspace.database.write_bytes(content)
    with pytest.raises(UserError, match=r"mlflow\.db: the database cannot be opened"):
        settle(workspace)
