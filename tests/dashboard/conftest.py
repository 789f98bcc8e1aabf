"""Workspaces for the dashboard: an empty one, and one with a life behind it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from tasks.workspace import Workspace
from tests.dashboard.home import Home

VARIABLES = ("MLFLOW_TRACKING_URI", "ULMFIT_ARTIFACTS", "PREFECT_API_URL", "ULMFIT_NOTICE_URL")


@pytest.fixture
def home(tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A workspace in which nothing has happened."""
    return copied(tracked, tmp_path, monkeypatch)


@pytest.fixture
def lived(told: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Home:
    """A copy of ``told``, to go on with."""
    return copied(told.workspace.root, tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def told(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    """Three versions: the first was champion, the second is, the third is blocked; text has landed since. To look at."""
    with pytest.MonkeyPatch.context() as patch:
        home = copied(tracked, tmp_path_factory.mktemp("told"), patch)
        evaluations = [home.evaluation(str(number)) for number in range(3)]
        versions = [home.version(evaluation=evaluation, run=home.run()) for evaluation in evaluations]
        home.decide("first version", versions[0], evaluations=(evaluations[0].key,))
        home.decide("promoted", versions[1], champion=versions[0])
        home.blocked(versions[2], versions[1])
        home.landed()
        home.read()
    yield home


@pytest.fixture(scope="session")
def looking(told: Home) -> Iterator[TestClient]:
    """A browser before the site of ``told``."""
    with told.looking(read=False) as client:
        yield client


def copied(root: Path, folder: Path, patch: pytest.MonkeyPatch) -> Home:
    for name in VARIABLES:
        patch.delenv(name, raising=False)
    shutil.copytree(root, folder / "home")
    return Home(Workspace.open(folder / "home"))
