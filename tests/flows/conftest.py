"""A new model's life."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.flows.life import Life, begin


@pytest.fixture
def life(tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """A model that nothing has landed for yet."""
    shutil.copytree(tracked, tmp_path / "home")
    return begin(tmp_path, monkeypatch)
