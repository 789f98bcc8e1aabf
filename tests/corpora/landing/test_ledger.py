"""What lands, by content and once: new files, the same ones again, and what comes later of the same text or id."""

from __future__ import annotations

import io
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from itertools import product
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.corpora.landing.folder import Folder
from tests.faults import Killed, killed_after
from ulmfit.config import PartsConfig
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.corpora.text_digests import exact, fold
from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Store

HEADER = ("id", "text", "label")
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
    header = HEADER
    folder.rows("a.csv", *((n, *row) for n, row in enumerate(MANY)), header=header)
    folder.land()
    folder.rows("b.csv", (7, "Number seven, written again", ""), (8, *MANY[8]), header=header)
    counts = folder.land().counts
    assert (counts.documents, counts.superseded, counts.duplicates, counts.corrections) == (1, 1, 1, 0)
    state = folder.state.documents
    texts = {row["id"]: row for row in folder.documents()}
    assert "7" not in texts or texts["7"]["text"] == "Number seven, written again"
    assert int(state.live.sum()) == 60


@pytest.fixture
def with_ids(tmp_path: Path) -> Folder:
    folder = Folder(tmp_path, id_column="id")
    folder.rows("a.csv", *((n, text, "" if n < 4 else label) for n, (text, label) in enumerate(MANY)), header=HEADER)
    folder.land()
    return folder


def labels(folder: Folder) -> dict[str, str | None]:
    """The label of each document's text."""
    documents = folder.state.documents
    names = [*documents.rows.facts.labels, None]
    ids = {bytes(pair): row for row, pair in enumerate(documents.rows.ids) if documents.live[row]}
    return {str(n): names[documents.label[ids[exact(str(n))]]] for n in range(len(MANY)) if exact(str(n)) in ids}


@pytest.mark.parametrize(("name", "content"), [
    ("labels.csv", "id,label\n0,a\n1,b\n7,c\nlater,a\n,a\n2,\n"),  # a table without texts
    ("labels.csv", "id,text,label\n0,,a\n1,,b\n7, ,c\nlater,,a\n,,a\n2,,\n"),  # rows without a text
    ("labels.jsonl", '{"id": 0, "label": "a"}\n{"id": 1, "label": "b"}\n{"id": 7.0, "label": "c"}\n{"id": "later", "label": "a"}\n'
                     '{"label": "a"}\n{"id": "2"}\n'),
])  # fmt: skip
def test_labels_that_come_for_ids_alone(with_ids: Folder, name: str, content: str) -> None:
    before = labels(with_ids)
    with_ids.put(name, content)
    counts = with_ids.land().counts
    assert (counts.rows, counts.documents, counts.labels, counts.corrections, counts.waiting) == (6, 0, 2, 1, 1)
    assert sum(counts.quarantined.values()) == 2
    assert labels(with_ids) == before | {"0": "a", "1": "b", "7": "c"}
    with_ids.rows("b.csv", ("later", "a text that comes after its label", ""), header=HEADER)
    assert with_ids.land().counts.labels == 1, "a label that waits finds its text"


def test_labels_for_ids_in_parquet(with_ids: Folder) -> None:
    pq.write_table(pa.table({"id": [0, 1, 7], "label": ["a", "b", "c"]}), with_ids.path / "labels.parquet")
    assert with_ids.land().counts.labels == 2


def test_labels_of_forgotten_ids_are_refused_and_removed(with_ids: Folder) -> None:
    with_ids.put("labels.csv", "id,label\n0,a\n1,b\n")
    with_ids.land()
    with_ids.ledger.forget(ids=["1"], because="asked to")
    with_ids.put("more.csv", "id,label\n1,b\n0,b\n")
    assert with_ids.land().counts.quarantined == {"forgotten": 1}
    late = with_ids.state.documents.rows.late
    assert not late.refused.any() and len(late.label) == 2
    assert exact("1") not in {bytes(pair) for pair in late.ids} and "1" not in labels(with_ids)


def test_both_versions_of_a_label_are_kept(with_ids: Folder) -> None:
    with_ids.put("b.csv", "id,text,label\n9,,c\n8,text number 8 is here,b\n")
    with_ids.put("c.csv", "id,text,label\n0,,a\n9,,b\n7,TEXT number 7 is here,b\n")
    with_ids.land()
    found = [(each.text, each.before, each.after, each.file) for each in with_ids.state.corrections]
    eight, nine = (fold(f"text number {n} is here").hex() for n in (8, 9))
    assert found == [(eight, "a", "b", "b.csv"), (nine, "b", "c", "b.csv"), (nine, "c", "b", "c.csv")]
    assert with_ids.land().arrival is None and labels(with_ids)["9"] == "b"


def test_a_text_written_again_keeps_the_label_of_its_id(with_ids: Folder) -> None:
    with_ids.rows("b.csv", (7, "Number seven, written again", ""), header=HEADER)
    with_ids.land()
    assert labels(with_ids)["7"] == "b"


def test_a_document_that_moves_to_another_class_folder_is_corrected(folder: Folder) -> None:
    for n, (text, label) in enumerate(MANY):
        folder.put(f"{label}/{n}.txt", text)
    assert folder.land().counts.documents == 60
    (folder.path / "a/0.txt").rename(folder.path / "b/0.txt")
    counts = folder.land().counts
    assert (counts.files, counts.documents, counts.corrections) == (1, 0, 1)


def test_files_of_unlabelled_text(folder: Folder) -> None:
    folder.rows("unlabelled-a.csv", ("one",), ("two",), header=("text",))
    folder.rows("unsup/b.csv", ("three", "a"))
    folder.rows("a.csv", ("three", "a"))
    counts = folder.land().counts
    assert (counts.files, counts.documents, counts.labels) == (3, 3, 1), "the same bytes are read in two ways"


def test_names_of_splits_have_no_meaning(folder: Folder) -> None:
    folder.rows("test.csv", *MANY)
    folder.land()
    assert {row["split"] for row in folder.documents()} == {"train", "valid", "test"}


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


def test_killed_at_any_write_nothing_is_lost_and_nothing_counts_twice(tmp_path: Path) -> None:
    killed = 0
    for writes in range(100):
        folder = Folder(tmp_path / str(writes), id_column=None)
        folder.rows("a.csv", *MANY[:6], ("", "a"))
        folder.rows("b/b.csv", *MANY[4:9])
        folder.rows("bad.csv", ("x", "y"), header=("body", "topic"))
        try:
            with killed_after(writes):
                folder.land()
        except Killed:
            killed += 1
        arrivals = folder.state.arrivals
        assert len(arrivals) <= 1 and (not arrivals or arrivals[0].counts.documents == 9)
        folder.land()
        state = folder.state
        assert len(state.arrivals) == 1 and int(state.documents.live.sum()) == 9 and len(state.documents.rows) == 11
        if killed <= writes:
            break
    assert killed > 6, "there are many places to be killed at"
    named = {name for part in state.parts for name in part.files} | {*state.quarantine}
    there = {name for name in filesystem.files(folder.ledger.location) if not name.startswith("journal/")}
    assert there == named, "nothing else is left in the ledger"


def test_what_an_interrupted_landing_left_goes_when_other_files_land(folder: Folder) -> None:
    folder.rows("a.csv", *MANY)
    with pytest.raises(Killed), killed_after(4):
        folder.land()
    before = filesystem.files(folder.ledger.location)
    (folder.path / "a.csv").unlink()
    folder.rows("b.csv", *MANY[:9])
    folder.land()
    assert before and not before.keys() & filesystem.files(folder.ledger.location).keys()


def test_two_landings_at_once(folder: Folder) -> None:
    for number in range(8):
        folder.rows(f"{number}.csv", *((f"text {number} {n}", "a") for n in range(5)))
    looked = folder.ledger.look(folder.landing, 0)
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: folder.ledger.land(folder.landing, looked), range(4)))
    assert sorted(now.counts.files for now in found) == [0, 0, 0, 8]
    assert len(folder.state.arrivals) == 1 and int(folder.state.documents.live.sum()) == 40


def test_a_file_that_changes_while_it_is_read_is_left(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rows("a.csv", *MANY[:6])
    folder.rows("b.csv", *MANY[6:9])
    looked = folder.ledger.look(folder.landing, 0)
    folder.rows("b.csv", *MANY[6:20])
    now = folder.ledger.land(folder.landing, looked)
    assert now.moved == ("b.csv",) and now.counts.documents == 6
    assert folder.land().counts.documents == 14
    folder.rows("c.csv", *MANY[20:30])
    looked = folder.ledger.look(folder.landing, 0)
    (folder.path / "c.csv").unlink()
    now = folder.ledger.land(folder.landing, looked)
    assert now.moved == ("c.csv",) and now.arrival is None


def test_documents_know_where_they_come_from(folder: Folder) -> None:
    folder.rows("a.csv", *MANY)
    folder.land()
    folder.rows("b.csv", MANY[0], ("a later text", "a"))
    folder.land()
    state = folder.state
    origins = state.origins(["a.csv:1", "b.csv:2", "b.csv:1", "nowhere"])
    assert origins.arrival.tolist() == [0, 1, -1, -1] and [state.files[file].name for file in origins.file[:2]] == ["a.csv", "b.csv"]
    folder.rows("b.csv", ("a text under an old name", "b"))
    folder.land()
    assert folder.state.origins(["b.csv~2:1"]).arrival.tolist() == [2], "ids differ although names are the same"


def test_what_is_new_since(folder: Folder) -> None:
    folder.rows("a.csv", *MANY, ("no label yet", ""))
    folder.land()
    early = folder.state
    assert early.new_since(early.part_names).parts == () and early.new_since(()).documents == 61
    folder.rows("b.csv", (MANY[0][0], "b"), ("no label yet", "a"), ("a later text", "a"), ("and one more", ""))
    folder.land()
    news = folder.state.new_since(early.part_names)
    assert (news.documents, news.labels, len(news.parts), news.oldest) == (2, 3, 1, folder.state.arrivals[1].time)


def test_a_damaged_entry_is_told(folder: Folder) -> None:
    folder.rows("a.csv", *MANY)
    folder.land()
    (entry,) = Path(folder.ledger.journal.location).iterdir()
    entry.write_text("{")
    with pytest.raises(UserError, match=f"{entry.name}: this entry of the ledger of tickets is damaged"):
        folder.ledger.state()


def test_a_damaged_entry_is_told_where_it_lies_also_by_a_dry_run_which_looks_at_links(folder: Folder, tmp_path: Path) -> None:
    folder.rows("a.csv", *MANY)
    folder.land()
    (entry,) = Path(folder.ledger.journal.location).iterdir()
    entry.write_text("{")
    linked = Ledger(Store(tmp_path / "copy"), "tickets")
    Path(linked.journal.location).mkdir(parents=True)
    Path(linked.journal.location, entry.name).symlink_to(entry)
    with pytest.raises(UserError) as told:
        linked.state()
    assert str(told.value).startswith(f"{entry.resolve()}: ")


def test_a_folder_that_is_not_there(folder: Folder) -> None:
    folder.path.rmdir()
    with pytest.raises(UserError, match="no such folder"):
        folder.land()


def parquet(rows: int) -> bytes:
    out = io.BytesIO()
    texts = [f"row {n} " + "word " * 200 for n in range(rows)]
    pq.write_table(pa.table({"text": texts, "label": ["ab"[n % 2] for n in range(rows)]}), out, row_group_size=50, compression="none")
    return out.getvalue()


SMALL = PartsConfig(bytes=100_000, documents=100, together_bytes=100_000, slice_bytes=100_000)


def test_a_large_file_in_several_slices(folder: Folder) -> None:
    folder.ledger = replace(folder.ledger, limits=SMALL)
    folder.put("a.parquet", parquet(400))
    assert folder.land().counts.documents == 400
    assert len(folder.state.parts) > 3


@pytest.mark.parametrize("damage", ["end", "middle", "all"])
def test_a_large_file_that_is_damaged_leaves_nothing(folder: Folder, damage: str) -> None:
    folder.ledger = replace(folder.ledger, limits=SMALL)
    whole = parquet(400)
    half = len(whole) // 2
    broken = {"end": whole[:half], "middle": whole[: half - 40_000] + b"\xff" * 80_000 + whole[half + 40_000 :], "all": b"PAR1" * 40_000}
    folder.put("a.parquet", broken[damage])
    folder.rows("b.csv", *MANY)
    now = folder.land()
    assert [aside.name for aside in now.set_aside] == ["a.parquet"] and "\n" not in now.set_aside[0].reason
    assert now.counts.documents == len(folder.state.documents.rows) == 60
    folder.put("a.parquet", whole)
    assert folder.land().counts.documents == 400


def test_an_error_of_the_disk_sets_no_file_aside(folder: Folder, monkeypatch: pytest.MonkeyPatch) -> None:
    folder.rows("a.csv", *MANY)
    looked = folder.ledger.look(folder.landing, 0)

    def gone(location: str) -> object:
        raise UserError(f"{location}: the S3 service cannot be reached")

    with monkeypatch.context() as patch:
        patch.setattr(filesystem, "stream", gone)
        with pytest.raises(UserError, match="cannot be reached"):
            folder.ledger.land(folder.landing, looked)
    assert not folder.state.arrivals and folder.land().counts.documents == 60


def test_other_options_try_a_file_again(folder: Folder) -> None:
    folder.rows("a.csv", ("x", "y"), header=("body", "label"))
    assert len(folder.land().set_aside) == 1
    folder.landing = replace(folder.landing, text_column="body")
    assert folder.land().counts.documents == 1


@pytest.mark.parametrize("ids", [lambda n: n % 2, lambda n: "seven", lambda n: n // 40])
def test_an_id_column_that_names_no_document(tmp_path: Path, ids: Callable[[int], object]) -> None:
    folder = Folder(tmp_path, id_column="id")
    folder.rows("a.csv", *((ids(n), *row) for n, row in enumerate(MANY)), header=HEADER)
    now = folder.land()
    assert "column 'id' names no document" in now.set_aside[0].reason and not folder.state.parts


@pytest.mark.parametrize(
    ("kind", "how"), [*product(["facts.arrow", "origins.arrow"], ["gone", "cut", "garbage"]), ("parquet", "gone"), ("parquet", "cut")]
)
def test_a_damaged_file_of_what_landed_is_told_before_anything_is_made_of_it(folder: Folder, kind: str, how: str) -> None:
    folder.rows("a.csv", *MANY)
    folder.land()
    (path,) = (each for each in Path(folder.ledger.location).rglob(f"00*.{kind}") if "quarantine" not in each.name)
    held = path.read_bytes()
    path.unlink()
    if how != "gone":
        path.write_bytes(held[: len(held) // 2] if how == "cut" else b"x" * len(held))
    for act in (lambda: folder.state.documents, lambda: folder.ledger.forget(["a.csv:1"], because="asked")):
        with pytest.raises(UserError, match=rf"{path.name}: a file of what landed for tickets is damaged; bring it back"):
            act()
