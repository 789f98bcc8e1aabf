"""Encoded documents as views of id shards."""

import numpy as np
import psutil
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.shards.parts import ids_table, write_part
from ulmfit.shards.arrow import IDS_SUFFIX, write_ipc
from ulmfit.shards.documents import Documents


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
def test_joined_and_take_follow_the_order(tmp_path_factory, parts, random):
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
