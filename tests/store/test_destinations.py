"""Destinations are refused before the work begins, in one line, and nothing is made by looking."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from ulmfit.errors import UserError
from ulmfit.store.destinations import new_file, new_folder


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "file").write_text("mine")
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").write_text("mine")
    (tmp_path / "empty").mkdir()
    return tmp_path


def all_of(folder: Path) -> list[str]:
    return sorted(str(path) for path in folder.rglob("*"))


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("full", "is not empty"),
        ("file", "is a file"),
        ("file/below/it", "cannot be written"),
        ("/proc/none/lm", "cannot be written"),
        ("x" * 300, "cannot be written"),
        ("gs://bucket/lm", "write a path, or s3://BUCKET/FOLDER"),
        ("s3:/bucket/lm", "write a path, or s3://BUCKET/FOLDER"),
        ("https://host/lm", "write a path, or s3://BUCKET/FOLDER"),
        ("", "write a path"),
        ("s3://", "no bucket"),
    ],
)
def test_folders_that_cannot_be_made(folder: Path, location: str, said: str) -> None:
    before = all_of(folder)
    with pytest.raises(UserError, match=said) as error:
        new_folder(location, "--export")
    assert all_of(folder) == before and "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("location", "said"), [("file", "exists"), ("full", "exists"), ("file/x.pth", "cannot be"), ("s3://b/x.pth", "path")]
)
def test_files_that_cannot_be_made(folder: Path, location: str, said: str) -> None:
    with pytest.raises(UserError, match=said):
        new_file(location, "--out")


def test_what_can_be_made_is_named_in_full_and_not_made(folder: Path) -> None:
    before = all_of(folder)
    assert new_folder("new/lm", "--export") == str(folder / "new" / "lm")
    assert new_folder("empty", "--export") == str(folder / "empty")
    assert new_folder("~/lm", "--export") == str(folder / "home" / "lm")
    assert new_folder("a:b ?#", "--export") == os.path.join(folder, "a:b ?#")
    assert new_file("new/lm.pth", "--out") == folder / "new" / "lm.pth"
    assert all_of(folder) == before
