"""What lands, by content and once: new files, the same ones again, and what comes later of the same text or id."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.corpora.landing.folder import Folder
from ulmfit.errors import UserError

MANY = [(f"text number {n} is here", "ab"[n % 2]) for n in range(60)]


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path)


def test_only_new_files_land(folder: Folder) -> None:
    folder.rows("monday.csv", *MANY)
    first = folder.land().counts
    assert (first.files, first.rows, first.documents, first.labels) == (1, 60, 60, 60)
    assert folder.land().arrival is None, "nothing is new, so nothing is noted"
    folder.rows("tuesday.csv", ("another text", "a"), MANY[0])
    second = folder.land().counts
    assert (second.files, second.rows, second.documents, second.duplicates) == (1, 2, 1, 1)
    assert len(folder.state.arrivals) == 2


def test_the_ledger_keeps_the_documents_when_the_files_are_deleted(folder: Folder) -> None:
    folder.rows("monday.csv", *MANY)
    folder.land()
    (folder.path / "monday.csv").unlink()
    assert len(folder.documents()) == 60


def test_the_same_content_under_another_name_is_noted_and_not_counted(folder: Folder) -> None:
    folder.rows("monday.csv", *MANY)
    folder.rows("copy.csv", *MANY)
    now = folder.land()
    assert now.arrival is not None and now.counts.files == 1
    assert [(same.name, same.of) for same in now.arrival.same_content] == [("monday.csv", "copy.csv")]
    folder.rows("third.csv", *MANY)
    later = folder.land()
    assert later.arrival is not None and later.counts.files == 0
    assert [(same.name, same.of) for same in later.arrival.same_content] == [("third.csv", "copy.csv")]
    assert folder.land().arrival is None, "it is noted once"


def test_a_file_that_changed_is_a_new_one_by_content(folder: Folder) -> None:
    folder.rows("tickets.csv", ("first", "a"), ("second", "b"), ("third", "a"))
    folder.land()
    folder.rows("tickets.csv", ("first", "a"), ("second", "a"), ("fourth", "b"))
    counts = folder.land().counts
    assert (counts.documents, counts.duplicates, counts.corrections) == (1, 2, 1)


def test_labels_that_come_later_are_taken(folder: Folder) -> None:
    folder.rows("texts.csv", ("One text", ""), ("Another text", ""), *MANY)
    assert folder.land().counts.labels == 60
    folder.rows("labels.csv", ("one  TEXT", "a"), ("Another text", "b"))
    counts = folder.land().counts
    assert (counts.labels, counts.corrections, counts.documents, counts.duplicates) == (2, 0, 0, 2)


def test_an_id_with_another_text_replaces_the_earlier_one(tmp_path: Path) -> None:
    folder = Folder(tmp_path, id_column="id")
    header = ("id", "text", "label")
    folder.rows("a.csv", *((n, *row) for n, row in enumerate(MANY)), header=header)
    folder.land()
    folder.rows("b.csv", (7, "Number seven, written again", ""), (8, *MANY[8]), header=header)
    counts = folder.land().counts
    assert (counts.documents, counts.superseded, counts.duplicates, counts.corrections) == (1, 1, 1, 0)
    state = folder.state.documents
    texts = {row["id"]: row for row in folder.documents()}
    assert "7" not in texts or texts["7"]["text"] == "Number seven, written again"
    assert int(state.live.sum()) == 60


def test_a_file_that_cannot_be_read_stops_no_other_and_is_not_tried_again(folder: Folder) -> None:
    folder.rows("good.csv", *MANY)
    folder.rows("column.csv", ("x", "y"), header=("body", "topic"))
    folder.put("bytes.csv", b"text,label\n\xff\xfe\x00,a\n")
    now = folder.land()
    assert now.counts.files == 1 and now.counts.documents == 60
    assert [aside.name for aside in now.set_aside] == ["bytes.csv", "column.csv"]
    assert "there is no column 'text'" in now.set_aside[1].reason
    assert folder.land().arrival is None
    folder.rows("column.csv", ("mended", "a"))
    assert folder.land().counts.documents == 1


def test_bad_rows_are_set_aside_with_reason_and_row(folder: Folder) -> None:
    folder.put("a.csv", "text,label\ngood one,a\n,b\none,two,three\n")
    now = folder.land()
    assert now.counts.quarantined == {"empty": 1, "wrong number of fields": 1} and now.counts.documents == 1
    assert now.arrival is not None and len(now.arrival.quarantine) == 1


def test_a_folder_that_is_not_there(folder: Folder) -> None:
    folder.path.rmdir()
    with pytest.raises(UserError, match="no such folder"):
        folder.land()
