"""Arrow files: whole or not at all, memory-mapped, refused where damaged."""

import errno
import os
import resource

import numpy as np
import pyarrow as pa
import pytest

from tests.shards.parts import ids_table
from ulmfit.errors import UserError
from ulmfit.shards.arrow import read_ipc, write_ipc


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
