"""``ulmfit forget`` where the artifacts are on S3: nothing of the document is left, there or in the copies."""

from __future__ import annotations

import shutil
import time
from gc import collect
from pathlib import Path

import pytest

from tasks.champion import promote
from tests.cli.test_forget import ASKED, BY, HEADER, NAME, ROWS, SECRET, WORD, Team, content, forget
from tests.integration.s3 import s3, s3_folder  # noqa: F401
from ulmfit.store import garbage


@pytest.mark.slow
def test_forgotten_and_purged(
    tracked: Path,
    tmp_path: Path,
    s3: str,  # noqa: F811
    s3_folder: tuple[Path, int],  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    for name in ("MLFLOW_TRACKING_URI", "ULMFIT_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("ULMFIT_ARTIFACTS", f"{s3}/team")
    monkeypatch.setattr(garbage, "MARGIN", 0.0)
    shutil.copytree(tracked, tmp_path / "team" / "home")
    team = Team(tmp_path / "team")
    bucket = s3_folder[0] / s3.removeprefix("s3://")
    holding = lambda: {
        str(path) for root in (bucket, team.home.root) for path in root.rglob("*") if path.is_file() and WORD in content(path)
    }
    team.tracker.client.create_registered_model(NAME)
    team.folder.rows("a.csv", *ROWS[:30], ("secret", SECRET, "a"), *ROWS[30:], header=HEADER)
    team.folder.land()
    team.version(team.corpus())
    promote(team.home, NAME, "1", BY)
    assert forget(team, capsys, *ASKED)["decisions"][0]["forgetting"]["had_read"] == ["1"]
    assert holding() and not [path for path in holding() if ".landed" in path or "reports" in path]
    team.version(team.corpus())
    promote(team.home, NAME, "2", BY)
    collect()  # an error of S3 keeps the frames that met it, and so the sign of a process at work
    time.sleep(1.1)  # times there are whole seconds
    assert all(item["removed"] for item in forget(team, capsys, "--purge", "--yes")["garbage"])
    assert holding() == set()
