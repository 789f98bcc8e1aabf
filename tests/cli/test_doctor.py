"""``ulmfit doctor``: what it finds in a workspace, and its exit code."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import prefect.main  # noqa: F401 - it reads its settings now, not from a variable of a test
import pytest
from mlflow import MlflowClient

from cli.main import run
from tasks.workspace import Workspace


@pytest.fixture
def examined(tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch):
    """Exit code and findings by subject, for a workspace of this test."""
    monkeypatch.delenv("ULMFIT_DATA", raising=False)

    def examine() -> tuple[int, dict[str, dict[str, Any]]]:
        code = run(["doctor", "--workspace", str(tmp_path / "workspace"), "--json"])
        findings = json.loads(capsys.readouterr().out.splitlines()[-1])["findings"]
        return code, {finding["subject"]: finding for finding in findings}

    return examine


def test_a_new_workspace_has_no_faults(examined) -> None:
    code, findings = examined()
    assert code == 0 and {"libraries", "disk", "artifacts"} <= set(findings)


def test_a_damaged_database_is_an_error_with_a_remedy(examined, tmp_path: Path) -> None:
    examined()
    (tmp_path / "workspace" / "mlflow.db").write_bytes(b"no database" * 100)
    code, findings = examined()
    assert code == 1 and findings["tracking"]["level"] == "error" and "move the file away" in findings["tracking"]["remedy"]


@pytest.mark.parametrize(
    ("variable", "address", "subject", "remedy"),
    [
        ("MLFLOW_TRACKING_URI", "http://127.0.0.1:9", "tracking", "start it, correct the address, or unset it"),
        ("MLFLOW_TRACKING_URI", "databricks", "tracking", "give the address of an MLflow server"),
        ("PREFECT_API_URL", "http://127.0.0.1:9/api", "Prefect", "start it, correct the address, or unset it"),
        ("ULMFIT_NOTICE_URL", "chat.example", "notices", "give one as https://HOST/PATH, or unset it"),
    ],
)
def test_a_server_that_does_not_answer_is_an_error_as_in_a_run(
    examined, monkeypatch: pytest.MonkeyPatch, variable: str, address: str, subject: str, remedy: str
) -> None:
    monkeypatch.setenv("PREFECT_HOME", "unset at the end")
    monkeypatch.setenv(variable, address)
    code, findings = examined()
    assert code == 1 and findings[subject]["level"] == "error" and remedy in findings[subject]["remedy"]
    assert variable in findings[subject]["fact"]


def test_a_deleted_experiment_is_told(examined, tracked: Path, tmp_path: Path) -> None:
    shutil.copytree(tracked, tmp_path / "workspace")
    client = MlflowClient(Workspace.open(tmp_path / "workspace").tracking_uri)
    found = client.get_experiment_by_name("ulmfit-first")
    assert found is not None
    client.delete_experiment(found.experiment_id)
    code, findings = examined()
    assert code == 0 and "ulmfit-first was deleted" in findings["tracking"]["fact"]


def test_a_damaged_artifact_is_named(examined, tmp_path: Path) -> None:
    from ulmfit.store.artifacts import Built
    from ulmfit.store.recipe import Recipe

    def build(folder: Path) -> Built:
        (folder / "rows.txt").write_text("rows")
        return Built({})

    artifact, _ = Workspace.open(str(tmp_path / "workspace")).store.make(Recipe("corpus", 1, {}, {}), build)
    assert examined()[1]["artifacts"]["fact"].startswith("1 finished")
    (artifact.path / "rows.txt").write_text("edited")
    code, findings = examined()
    assert code == 0 and "rows.txt" in findings[f"corpus {artifact.key[:12]}"]["fact"]
