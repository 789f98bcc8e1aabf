"""Shards: whole or not at all, read without copies, and documents as views of them."""

import errno
import os
import resource
from dataclasses import replace

import numpy as np
import psutil
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit.errors import UserError
from ulmfit.shards.arrow import IDS_SUFFIX, SPLIT, read_ipc, write_ipc
from ulmfit.shards.documents import Documents
from ulmfit.shards.part_record import PartRecord, done_part, save_record
from ulmfit.store.digests import StoredFile, stored_file


def ids_table(documents, labels=None, dtype=np.uint16, prefix="d", splits=None):
    flat = np.concatenate([np.empty(0, dtype), *(np.asarray(document, dtype) for document in documents)])
    offsets = np.cumsum([0, *map(len, documents)], dtype=np.int32)
    codes = [-1] * len(documents) if labels is None else labels
    columns = {
        "id": pa.array([f"{prefix}{i}" for i in range(len(documents))], pa.string()),
        "ids": pa.ListArray.from_arrays(pa.array(offsets), pa.array(flat)),
        "label": pa.array(codes, pa.int32()),
        "split": pa.array(splits or ["train"] * len(documents), pa.string()).cast(SPLIT),
    }
    return pa.table(columns)


def write_part(folder, part, documents, **options):
    write_ipc(folder / f"{part}{IDS_SUFFIX}", ids_table(documents, prefix=f"{part}/", **options))


# ------------------------------------------------------------------------------------------------------- files


def test_what_is_written_is_read(tmp_path):
    table = ids_table([[1, 2], [], [3]], [0, 1, -1])
    write_ipc(tmp_path / "a.arrow", table)
    assert read_ipc(tmp_path / "a.arrow").equals(table)
    assert [path.name for path in tmp_path.iterdir()] == ["a.arrow"]


def test_one_record_batch_always(tmp_path):
    chunked = pa.concat_tables([ids_table([[1]]), ids_table([[2], [3]])])
    for name, table in (("many", chunked), ("none", ids_table([])), ("no chunk", ids_table([]).schema.empty_table())):
        write_ipc(tmp_path / name, table)
        with pa.memory_map(str(tmp_path / name)) as file:
            assert pa.ipc.open_file(file).num_record_batches == 1, name
        assert read_ipc(tmp_path / name).equals(table.combine_chunks()), name


def test_dictionary_columns_come_back_with_their_dictionary(tmp_path):
    words = pa.array(["b", "a", "b"]).dictionary_encode()
    table = pa.table({"tokens": pa.ListArray.from_arrays(pa.array([0, 2, 3], pa.int32()), words)})
    write_ipc(tmp_path / "t", table)
    column = read_ipc(tmp_path / "t")["tokens"].chunk(0)
    assert column.values.dictionary.to_pylist() == ["b", "a"]
    assert column.to_pylist() == [["b", "a"], ["b"]]


def test_reading_copies_nothing(tmp_path):
    documents = [np.arange(500_000)]
    write_ipc(tmp_path / "t", ids_table(documents, dtype=np.uint32))
    before = pa.total_allocated_bytes()
    values = read_ipc(tmp_path / "t")["ids"].chunk(0).values.to_numpy(zero_copy_only=True)
    assert pa.total_allocated_bytes() - before < 100_000
    assert not values.flags.writeable
    assert values[-1] == 499_999


def test_a_failing_write_leaves_nothing_and_keeps_its_errno(tmp_path):
    path = tmp_path / "t.arrow"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, hard))
    try:
        with pytest.raises(OSError) as caught:
            write_ipc(path, ids_table([np.arange(100_000)], dtype=np.uint32))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert list(tmp_path.iterdir()) == []


def test_a_failing_write_leaves_the_earlier_file(tmp_path, monkeypatch):
    path = tmp_path / "t.arrow"
    write_ipc(path, ids_table([[1]]))

    def full(_handle):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as caught:
        write_ipc(path, ids_table([[2]]))
    assert caught.value.errno == errno.ENOSPC
    assert read_ipc(path)["ids"].to_pylist() == [[1]]
    assert [item.name for item in tmp_path.iterdir()] == ["t.arrow"]


@pytest.mark.parametrize("content", [b"", b"ARROW1", b"something else entirely, and long enough to be looked at"])
def test_what_is_no_arrow_file_is_named(tmp_path, content):
    path = tmp_path / "t.arrow"
    path.write_bytes(content)
    with pytest.raises(UserError, match=r"t\.arrow: not a whole Arrow file"):
        read_ipc(path)


def test_a_file_cut_short_is_named(tmp_path):
    path = tmp_path / "t.arrow"
    write_ipc(path, ids_table([np.arange(1000)]))
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(UserError, match="not a whole Arrow file"):
        read_ipc(path)


def test_a_missing_file_is_missing(tmp_path):
    with pytest.raises(FileNotFoundError):
        read_ipc(tmp_path / "none.arrow")


# ------------------------------------------------------------------------------------------------------- records


@pytest.fixture
def finished(tmp_path):
    write_part(tmp_path, "part-00000", [[1, 2], [3]])
    path = tmp_path / f"part-00000{IDS_SUFFIX}"
    record = PartRecord("part-00000", 2, 3, 3, {path.name: stored_file(path)}, 0.5)
    save_record(tmp_path, record)
    return tmp_path, path, record


def test_a_finished_part_is_done(finished):
    folder, _, record = finished
    assert done_part(folder, "part-00000") == record
    assert done_part(folder, "part-00001") is None


def test_a_part_cut_short_is_not_done(finished):
    folder, path, _ = finished
    path.write_bytes(path.read_bytes()[:-1])
    assert done_part(folder, "part-00000") is None


def test_one_changed_byte_is_noticed(finished):
    folder, path, _ = finished
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 1
    path.write_bytes(bytes(data))
    assert done_part(folder, "part-00000") is None


def test_a_missing_file_or_a_broken_record_is_not_done(finished):
    folder, path, record = finished
    save_record(folder, replace(record, files={**record.files, "another.arrow": StoredFile("0", 0)}))
    assert done_part(folder, "part-00000") is None
    for content in ("", "{", "[]", "null", '{"part": "part-00000"}', "\x00"):
        (folder / "part-00000.json").write_text(content)
        assert done_part(folder, "part-00000") is None, content
    save_record(folder, record)
    path.unlink()
    assert done_part(folder, "part-00000") is None


# ------------------------------------------------------------------------------------------------------- documents


def contents(documents):
    return [documents.doc(i).tolist() for i in range(len(documents))]


def test_documents_of_several_parts_in_order(tmp_path):
    write_part(tmp_path, "part-00001", [[6], [8]], labels=[0, 1], splits=["train", "test"])
    write_part(tmp_path, "part-00000", [[1, 2], [9], [], [3, 4, 5]], labels=[1, -1, -1, 0], splits=["train", "test", "train", "train"])
    documents = Documents.open(tmp_path, ["train"])
    assert contents(documents) == [[1, 2], [], [3, 4, 5], [6]]
    assert documents.lengths.tolist() == [2, 0, 3, 1]
    assert documents.lengths.dtype == np.int64
    assert documents.labels.tolist() == [1, -1, 0, 0]
    assert documents.labels.dtype == np.int32
    assert documents.ids == ["part-00000/0", "part-00000/2", "part-00000/3", "part-00001/0"]
    assert documents.tokens == 6
    assert contents(Documents.open(tmp_path, ["test", "train"])) == [[9], [8], [1, 2], [], [3, 4, 5], [6]]
    assert contents(Documents.open(tmp_path, ["valid"])) == []


@pytest.mark.parametrize("dtype", [np.uint16, np.uint32])
def test_documents_keep_the_width_of_the_shard_and_are_read_only(tmp_path, dtype):
    write_part(tmp_path, "part-00000", [[1, np.iinfo(dtype).max]], dtype=dtype)
    documents = Documents.open(tmp_path, ["train"])
    assert documents.doc(0).dtype == documents.joined()[:].dtype == dtype
    assert documents.doc(0)[1] == np.iinfo(dtype).max
    with pytest.raises(ValueError, match="read-only"):
        documents.doc(0)[0] = 5


def test_no_documents(tmp_path):
    write_part(tmp_path, "part-00000", [])
    for documents in (
        Documents.open(tmp_path, ["train"]),
        Documents.open(tmp_path, ["valid"]),
        Documents.open(tmp_path, []),
        Documents.of([]),
    ):
        assert len(documents) == documents.tokens == 0
        assert documents.ids == []
        assert documents.joined()[:].shape == documents.joined(np.array([], int))[:].shape == (0,)
        assert documents.labels.dtype == np.int32


def test_a_part_without_documents_between_others(tmp_path):
    write_part(tmp_path, "part-00000", [[1]])
    write_part(tmp_path, "part-00001", [])
    write_part(tmp_path, "part-00002", [[2], [3]])
    assert contents(Documents.open(tmp_path, ["train"])) == [[1], [2], [3]]


def test_opening_costs_nothing_per_token(tmp_path):
    write_part(tmp_path, "part-00000", [np.arange(2_000_000)] * 4, dtype=np.uint32)  # 32 MB
    before, arrow = psutil.Process().memory_info().rss, pa.total_allocated_bytes()
    documents = Documents.open(tmp_path, ["train"])
    assert documents.tokens == 8_000_000
    assert psutil.Process().memory_info().rss - before < 8e6
    assert pa.total_allocated_bytes() - arrow < 1e5
    assert documents.doc(3)[-1] == 1_999_999


def test_a_missing_folder_is_not_an_empty_one(tmp_path):
    with pytest.raises(FileNotFoundError, match="none"):
        Documents.open(tmp_path / "none", ["train"])


def test_documents_in_memory():
    documents = Documents.of([np.array([1, 2]), np.array([70_000])], labels=[1, 0], ids=["x", "y"])
    assert documents.doc(1).dtype == np.uint32
    assert documents.ids == ["x", "y"]
    assert documents.labels.tolist() == [1, 0]
    bare = Documents.of([np.array([1], np.uint16)])
    assert (bare.ids, bare.labels.tolist(), bare.doc(0).dtype) == (["0"], [-1], np.uint16)
    with pytest.raises(ValueError, match="read-only"):
        bare.doc(0)[0] = 5


def test_changing_the_arrays_given_does_not_change_the_documents():
    given_array = np.array([1, 2], np.uint16)
    documents = Documents.of([given_array])
    given_array[0] = 9
    assert contents(documents) == [[1, 2]]


def test_a_sliced_column_is_read_from_where_it_starts(tmp_path):
    write_ipc(tmp_path / f"part-00000{IDS_SUFFIX}", ids_table([[1], [2, 3], [4]]).slice(1))
    documents = Documents.open(tmp_path, ["train"])
    assert contents(documents) == [[2, 3], [4]]
    assert documents.joined()[:].tolist() == [2, 3, 4]


@settings(max_examples=30, deadline=None)
@given(st.lists(st.lists(st.lists(st.integers(0, 99), max_size=4), max_size=4), max_size=4), st.randoms(use_true_random=False))
def test_run_and_take_follow_the_order(tmp_path_factory, parts, random):
    folder = tmp_path_factory.mktemp("ids")
    for number, documents in enumerate(parts):
        write_part(folder, f"train-{number:05d}", documents)
    plain = [document for documents in parts for document in documents]
    opened = Documents.open(folder, ["train"])
    order = list(range(len(plain)))
    random.shuffle(order)
    assert contents(opened) == plain
    assert opened.joined()[:].tolist() == [number for document in plain for number in document]
    assert opened.joined(np.array(order, int))[:].tolist() == [number for i in order for number in plain[i]]
    joined, flat = opened.joined(np.array(order, int)), [number for i in order for number in plain[i]]
    assert len(joined) == len(flat)
    for start in range(len(flat) + 1):
        assert joined[start : start + 3].tolist() == flat[start : start + 3]
    taken = opened.take(np.array(order[:2], int))
    assert contents(taken) == [plain[i] for i in order[:2]]
    assert taken.ids == [opened.ids[i] for i in order[:2]]
