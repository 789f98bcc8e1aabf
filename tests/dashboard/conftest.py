"""Workspaces for the dashboard: an empty one, and one with a life behind it."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tasks.workspace import Workspace
from tests.dashboard.home import Home


@pytest.fixture
def home(tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    for name in ("MLFLOW_TRACKING_URI", "ULMFIT_ARTIFACTS", "PREFECT_API_URL", "ULMFIT_NOTICE_URL"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(tracked, tmp_path / "home")
    return Home(Workspace.open(tmp_path / "home"))


@pytest.fixture
def lived(home: Home) -> Home:
    """Three versions: the first was champion, the second is, the third is blocked."""
    evaluations = [home.evaluation(str(number)) for number in range(3)]
    versions = [home.version(evaluation=evaluation, run=home.run()) for evaluation in evaluations]
    home.decide("first version", versions[0], evaluations=(evaluations[0].key,))
    home.decide("promoted", versions[1], champion=versions[0])
    home.blocked(versions[2], versions[1])
    home.landed()
    return home
