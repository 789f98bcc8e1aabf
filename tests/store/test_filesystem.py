"""Files by their place. What every kind of place does alike is in ``Contract``; the S3 tests run it too."""

import errno
import hashlib
import os
import resource
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ulmfit.errors import UserError
from ulmfit.store import filesystem

NAMES = ["a.txt", "with space/é ✓.txt", "deep/er/x+y&%20=?#*'()~.txt", ".hidden/file", "packed.gz", "a.csv.zst"]


class Contract:
    """``base`` is a place of the test's own, with nothing in it."""

    @pytest.mark.parametrize("name", NAMES)
    def test_what_is_written_is_read(self, base, name, tmp_path):
        place = filesystem.join(base, name)
        data = name.encode() * 3
        assert not filesystem.exists(place)
        filesystem.write_bytes(place, data)
        assert filesystem.exists(place) and not filesystem.is_folder(place)
        assert filesystem.read_bytes(place) == data
        assert filesystem.size(place) == len(data)
        assert filesystem.sha256(place) == hashlib.sha256(data).hexdigest()
        assert filesystem.files(base) == {name: len(data)}
        with filesystem.input_file(place) as file:
            file.seek(2)
            assert file.read(3) == data[2:5]
        with filesystem.stream(place) as file:
            assert file.read() == data
        filesystem.copy(place, tmp_path / "copies" / "copy")
        assert (tmp_path / "copies" / "copy").read_bytes() == data
        filesystem.remove(place)
        assert not filesystem.exists(place) and filesystem.files(base) == {}

    def test_a_file_is_replaced_whole(self, base):
        place = filesystem.join(base, "a")
        for data in (b"first, long", b"second", b""):
            filesystem.write_bytes(place, data)
            assert filesystem.read_bytes(place) == data and filesystem.size(place) == len(data)
        with filesystem.input_file(place) as file:
            assert file.read() == b""

    def test_a_new_file_replaces_none(self, base):
        place = filesystem.join(base, "deep", "a")
        filesystem.write_new(place, b"first")
        with pytest.raises(FileExistsError):
            filesystem.write_new(place, b"second")
        assert filesystem.read_bytes(place) == b"first" and filesystem.files(base) == {"deep/a": 5}

    def test_what_is_not_there(self, base):
        gone = filesystem.join(base, "gone")
        for ask in (filesystem.size, filesystem.read_bytes, filesystem.input_file, filesystem.sha256, filesystem.stream):
            with pytest.raises(FileNotFoundError) as caught:
                ask(gone)
            assert caught.value.errno == errno.ENOENT and gone in str(caught.value)
        for act in (filesystem.copy, filesystem.link_or_copy):
            with pytest.raises(FileNotFoundError):
                act(gone, filesystem.join(base, "target"))
        assert not filesystem.exists(gone) and not filesystem.is_folder(gone)
        assert filesystem.files(gone) == {} and filesystem.folders(gone) == []
        filesystem.remove(gone)

    def test_folders(self, base):
        for name in ("b/1", "a/x/2", "a-/3", "top", "b/4"):
            filesystem.write_bytes(filesystem.join(base, name), name.encode())
        assert filesystem.files(base) == {"a-/3": 4, "a/x/2": 5, "b/1": 3, "b/4": 3, "top": 3}
        assert list(filesystem.files(filesystem.join(base, "b"))) == ["1", "4"]
        assert filesystem.folders(base) == ["a", "a-", "b"]
        assert filesystem.is_folder(filesystem.join(base, "a")) and filesystem.exists(filesystem.join(base, "a"))
        filesystem.remove(filesystem.join(base, "b"))
        assert filesystem.files(filesystem.join(base, "b")) == {} and set(filesystem.files(base)) == {"a-/3", "a/x/2", "top"}

    def test_one_file_of_several_is_removed_and_written_again(self, base):
        for name in ("f/1", "f/2"):
            filesystem.write_bytes(filesystem.join(base, name), b"old")
        filesystem.remove(filesystem.join(base, "f/1"))
        assert filesystem.files(base) == {"f/2": 3}
        filesystem.remove(filesystem.join(base, "f", "2"))
        filesystem.write_bytes(filesystem.join(base, "f/1"), b"newer")
        assert filesystem.files(base) == {"f/1": 5}

    def test_a_file_of_many_megabytes(self, base):
        data = os.urandom(1 << 20) * 12  # past the size of one upload
        with filesystem.output_file(filesystem.join(base, "big")) as file:
            for start in range(0, len(data), 5 << 20):
                file.write(data[start : start + (5 << 20)])
        assert filesystem.sha256(filesystem.join(base, "big")) == hashlib.sha256(data).hexdigest()
        filesystem.link_or_copy(filesystem.join(base, "big"), filesystem.join(base, "new/other"))
        assert filesystem.read_bytes(filesystem.join(base, "new/other")) == data

    @pytest.mark.parametrize("before", [False, True])
    @pytest.mark.parametrize("error", [RuntimeError("no luck"), OSError(errno.ENOSPC, "No space left on device"), KeyboardInterrupt()])
    def test_an_error_in_the_middle_leaves_what_was_there(self, base, before, error):
        place = filesystem.join(base, "deep", "a")
        if before:
            filesystem.write_bytes(place, b"old")
        with pytest.raises(type(error)) as caught, filesystem.output_file(place) as file:
            file.write(b"x" * 100_000)
            raise error
        assert caught.value is error
        assert filesystem.files(base) == ({"deep/a": 3} if before else {})

    def test_arrow_and_parquet_through_it(self, base):
        table = pa.table({"text": ["a", "b"] * 1000, "n": range(2000)})
        with filesystem.output_file(filesystem.join(base, "t.arrow")) as file, pa.ipc.new_file(file, table.schema) as writer:
            writer.write_table(table)
        with filesystem.output_file(filesystem.join(base, "t.parquet")) as file:
            pq.write_table(table, file, compression="zstd")
        with filesystem.input_file(filesystem.join(base, "t.arrow")) as file:
            assert pa.ipc.open_file(file).read_all() == table
        with filesystem.input_file(filesystem.join(base, "t.parquet")) as file:
            assert pq.read_table(file) == table

    @pytest.mark.parametrize("local", ["source", "target"])
    def test_copies_to_and_from_local_folders(self, base, local, tmp_path):
        places = {"source": filesystem.join(base, "s"), "target": filesystem.join(base, "t"), local: str(tmp_path / "here" / "x")}
        filesystem.write_bytes(places["source"], b"some bytes")
        filesystem.write_bytes(places["target"], b"older, to be replaced")
        filesystem.link_or_copy(places["source"], places["target"])
        assert filesystem.read_bytes(places["source"]) == filesystem.read_bytes(places["target"]) == b"some bytes"
        with open(tmp_path / "out", "wb") as file:
            assert filesystem.copy_into(places["target"], file) == hashlib.sha256(b"some bytes").hexdigest()
        assert (tmp_path / "out").read_bytes() == b"some bytes"


class TestLocal(Contract):
    @pytest.fixture
    def base(self, tmp_path):
        return str(tmp_path / "base")


def test_what_is_remote():
    assert filesystem.is_remote("s3://bucket/a")
    assert not any(map(filesystem.is_remote, ["bucket/a", "/a/s3://b", Path("s3://bucket"), "https://a/b", ""]))


def test_join():
    assert filesystem.join("s3://bucket", "a", "b/c") == filesystem.join("s3://bucket/", "a/", "b/c") == "s3://bucket/a/b/c"
    assert filesystem.join("a", "b", "c/d") == filesystem.join(Path("a"), "b/c/d") == "a/b/c/d"


@pytest.mark.parametrize("place", ["s3://", "s3:///key"])
def test_a_place_without_a_bucket(place):
    for ask in (filesystem.read_bytes, filesystem.exists, filesystem.files, lambda place: filesystem.write_bytes(place, b"")):
        with pytest.raises(UserError, match="no bucket is named; write s3://BUCKET"):
            ask(place)


def test_a_link_is_one_file_and_its_target_is_replaced_whole(tmp_path):
    source, target = tmp_path / "a", tmp_path / "deep" / "b"
    source.write_bytes(b"some bytes")
    for _ in range(2):  # the second time the target is that link already
        filesystem.link_or_copy(str(source), str(target))
        assert source.samefile(target)
        assert [path.name for path in target.parent.iterdir()] == ["b"]


def test_a_copy_where_links_are_not_to_be_had(tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError(errno.EXDEV, "Invalid cross-device link")

    (tmp_path / "a").write_bytes(b"some bytes")
    monkeypatch.setattr(os, "link", refuse)
    filesystem.link_or_copy(tmp_path / "a", tmp_path / "b")
    assert (tmp_path / "b").read_bytes() == b"some bytes" and not (tmp_path / "a").samefile(tmp_path / "b")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]


def test_only_files_are_listed(tmp_path):
    (tmp_path / "empty").mkdir()
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "broken").symlink_to(tmp_path / "gone")
    (tmp_path / "file").write_bytes(b"12")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert filesystem.files(tmp_path) == {"file": 2, "link": 2}
    assert filesystem.folders(tmp_path) == ["empty"]
    assert filesystem.files(tmp_path / "file") == {} and filesystem.folders(tmp_path / "file") == []


def test_a_link_to_a_folder_is_removed_and_not_what_it_leads_to(tmp_path):
    (tmp_path / "folder").mkdir()
    (tmp_path / "folder" / "a").touch()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    filesystem.remove(tmp_path / "link")
    assert [path.name for path in tmp_path.rglob("*")] == ["folder", "a"]


@pytest.mark.parametrize("write", ["bytes", "copy", "stream"])
def test_a_full_disk_leaves_nothing_and_keeps_its_errno(tmp_path, write):
    (tmp_path / "source").write_bytes(b"x" * 100_000)
    target = tmp_path / "out" / "target"
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError) as caught:
            if write == "bytes":
                filesystem.write_bytes(target, b"x" * 100_000)
            elif write == "copy":
                filesystem.copy(tmp_path / "source", target)
            else:
                table = pa.table({"x": pa.array(range(50_000))})
                with filesystem.output_file(target) as file, pa.ipc.new_file(file, table.schema) as writer:
                    writer.write_table(table)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert list(target.parent.iterdir()) == []


def test_a_disk_that_fails_at_the_last_leaves_the_older_file(tmp_path, monkeypatch):
    def full(_):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    filesystem.write_bytes(tmp_path / "a", b"old")
    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError) as caught:
        filesystem.write_bytes(tmp_path / "a", b"new")
    assert caught.value.errno == errno.ENOSPC and caught.value.filename == str(tmp_path / "a"), "which disk it is"
    assert [(path.name, path.read_bytes()) for path in tmp_path.iterdir()] == [("a", b"old")]


def test_nobody_sees_a_file_before_it_is_finished(tmp_path):
    with filesystem.output_file(tmp_path / "a") as file:
        file.write(b"half")
        file.flush()
        assert not (tmp_path / "a").exists()
        assert [path.suffix for path in tmp_path.iterdir()] == [".tmp"]
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
