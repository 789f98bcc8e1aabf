"""``ulmfit doctor``: what it finds in a workspace, and its exit code."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.main import run


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


def test_a_damaged_artifact_is_named(examined, tmp_path: Path) -> None:
    from tasks.workspace import Workspace
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
