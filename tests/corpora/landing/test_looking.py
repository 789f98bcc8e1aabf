"""Which files of a landing folder are ready, and which are left alone for now, by the conventions of those who write them."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from tests.corpora.landing.folder import Folder
from ulmfit.corpora.landing.landing import Looked
from ulmfit.errors import UserError
from ulmfit.store import filesystem

ROW = ("a text", "a")


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def look(folder: Folder, settle_seconds: float = 0) -> Looked:
    return folder.ledger.look(folder.landing, settle_seconds)


def ready(folder: Folder) -> list[str]:
    return [file.name for file in look(folder).ready]


def test_an_empty_folder(folder: Folder) -> None:
    assert look(folder) == Looked((), {}, (), {}, 0)


@pytest.mark.parametrize("name", [
    "a.csv.tmp", "a.csv.part", "a.csv.crdownload", "a.csv.filepart", "a.csv.partial", "deep/a.csv.TMP", "a.csv~",
])  # fmt: skip
def test_names_of_unfinished_files(folder: Folder, name: str) -> None:
    folder.rows("b.csv", ROW)
    folder.rows(name, ROW)
    looked = look(folder)
    assert list(looked.still_written) == [name] and [file.name for file in looked.ready] == ["b.csv"]


@pytest.mark.parametrize("name", [".a.csv", "_a.csv", ".a.csv.x7Gh2", ".staging/a.csv", "_temporary/0/a.csv", ".~lock.a.csv"])
def test_hidden_files_are_never_read(folder: Folder, name: str) -> None:
    folder.rows(f"day/{name}", ROW)
    folder.rows("b.csv", ROW)
    assert ready(folder) == ["b.csv"]
    assert f"day/{name}" in look(folder).left["hidden"]


def test_a_file_that_grows_between_two_looks(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rows("a.csv", ROW)
    folder.rows("b.csv", ROW)
    growing = folder.rows("c.csv", ROW)
    slept: list[float] = []

    def grow(seconds: float) -> None:
        slept.append(seconds)
        growing.write_text("text,label\na text,a\nanother,b\n")
        (folder.path / "b.csv").unlink()

    monkeypatch.setattr(time, "sleep", grow)
    looked = look(folder, 7)
    assert [file.name for file in looked.ready] == ["a.csv"] and slept == [7]
    assert looked.still_written == {"b.csv": "it has changed within 7 s", "c.csv": "it has changed within 7 s"}


def test_a_file_written_over_in_its_own_size_and_time(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    path = folder.rows("a.csv", ("text 1", "a"))
    times = os.stat(path)

    def write(_: float) -> None:
        path.write_text("text,label\r\ntext 2,a\r\n")
        os.utime(path, ns=(times.st_atime_ns, times.st_mtime_ns))

    monkeypatch.setattr(time, "sleep", write)
    assert not look(folder, 1).ready


def test_nothing_new_takes_no_second_look(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rows("a.csv", ROW)
    folder.rows("b.csv.tmp", ROW)
    folder.land()
    monkeypatch.setattr(time, "sleep", lambda _: pytest.fail("waited"))
    monkeypatch.setattr(filesystem, "sha256", lambda _: pytest.fail("read"))
    looked = look(folder, 60)
    assert (looked.ready, looked.known) == ((), 1)


def test_folders_that_get_a_mark_when_they_are_complete(folder: Folder) -> None:
    folder.rows("loose.csv", ("0", "a"))
    folder.rows("2026-11-24/part-0.csv", ("1", "a"))
    folder.rows("2026-11-25/hour=3/part-0.csv", ("2", "a"))
    assert len(ready(folder)) == 3, "no folder has a mark, so nobody uses them"
    folder.put("2026-11-24/_SUCCESS", "")
    assert ready(folder) == ["2026-11-24/part-0.csv", "loose.csv"]
    assert "_SUCCESS" in look(folder).still_written["2026-11-25/hour=3/part-0.csv"]
    folder.put("2026-11-25/_SUCCESS", "")
    assert len(ready(folder)) == 3


def test_a_folder_that_spark_is_writing(folder: Folder) -> None:
    folder.rows("out/part-0.csv", ("1", "a"))
    folder.rows("out/_temporary/0/part-1.csv", ("2", "a"))
    folder.rows("other/part-0.csv", ("3", "a"))
    looked = look(folder)
    assert [file.name for file in looked.ready] == ["other/part-0.csv"]
    assert "_temporary" in looked.still_written["out/part-0.csv"]
    folder.rows("_temporary/1/part-1.csv", ("2", "a"))
    assert not ready(folder), "it writes into the whole folder"


def test_a_file_without_a_byte_waits(folder: Folder) -> None:
    folder.put("a.csv", "")
    assert look(folder).still_written == {"a.csv": "it is empty so far"}


def test_a_file_that_may_not_be_read_waits(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rows("a.csv", ROW)
    folder.rows("b.csv", ROW)
    real = filesystem.sha256

    def refuse(location: str) -> str:
        if location.endswith("a.csv"):
            raise PermissionError(13, "Permission denied", location)
        return real(location)

    monkeypatch.setattr(filesystem, "sha256", refuse)
    looked = look(folder)
    assert looked.still_written == {"a.csv": "it may not be read (Permission denied)"} and len(looked.ready) == 1


def test_a_name_that_is_no_utf_8(folder: Folder) -> None:
    folder.rows("b.csv", ROW)
    with open(os.fsencode(folder.path) + b"/\xff.csv", "w") as file:
        file.write("text,label\nx,a\n")
    looked = look(folder)
    assert [file.name for file in looked.ready] == ["b.csv"] and len(looked.left["names that are no UTF-8"]) == 1


def test_what_is_no_folder(folder: Folder) -> None:
    path = folder.rows("a.csv", ROW)
    folder.landing = type(folder.landing)(str(path))
    with pytest.raises(UserError, match="this is a file; --landing takes the folder"):
        look(folder)


def test_other_formats_are_told(folder: Folder) -> None:
    folder.put("a.xlsx", "x")
    folder.put("README.md", "x")
    assert look(folder).left == {"formats that are not read": ["a.xlsx"], "notes about the corpus": ["README.md"]}


def test_what_is_never_read_is_told_but_for_hidden_files_and_notes(folder: Folder) -> None:
    for name in ("a.csv", "book.xlsx", "mail.msg", ".DS_Store", "_SUCCESS", "README.csv", "sub/scan.pdf"):
        folder.rows(name, ROW)
    os.symlink(folder.path, folder.path / "loop")
    told = look(folder).passed_over
    assert sorted(name for names in told.values() for name in names) == ["book.xlsx", "loop", "mail.msg", "sub/scan.pdf"]


def test_a_link_that_leads_out_of_the_folder_is_never_read(folder: Folder) -> None:
    outside = folder.path.parent / "private.csv"
    outside.write_text("text,label\nsecret,a\n")
    (folder.path / "sub").mkdir()
    for name, target in (("a.csv", str(outside)), ("sub/b.csv", "../../private.csv"), ("c.csv", "/etc/passwd")):
        os.symlink(target, folder.path / name)
    folder.rows("good.csv", ROW)
    os.symlink("good.csv", folder.path / "same.csv")
    looked = look(folder)
    assert [file.name for file in looked.ready] == ["good.csv"] and [same.found.name for same in looked.same_content] == ["same.csv"]
    assert looked.passed_over["links that lead out of the folder"] == ["a.csv", "c.csv", "sub/b.csv"]


def test_a_file_that_was_set_aside_is_named_by_each_look_until_it_can_be_read(folder: Folder) -> None:
    folder.rows("good.csv", ROW)
    folder.rows("other.csv", ROW, header=("body", "topic"))
    folder.put("bytes.csv", b"text,label\nh\xe9,a\n")
    folder.land()
    for _ in range(2):
        told = look(folder).set_aside
        assert list(told) == ["bytes.csv", "other.csv"]
        assert "not utf-8" in told["bytes.csv"] and "no column 'text'" in told["other.csv"]
    folder.rows("other.csv", ("another text", "a"))
    folder.land()
    (folder.path / "bytes.csv").unlink()
    assert look(folder).set_aside == {}
