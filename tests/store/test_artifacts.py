"""The store: completion, damage, two processes at once, death and full disks."""

import errno
import json
import multiprocessing
import os
import resource
import signal
import time
from pathlib import Path

import pyarrow as pa
import pytest

from tasks.workspace import Workspace
from ulmfit.errors import UserError
from ulmfit.shards.arrow import write_ipc
from ulmfit.store import filesystem
from ulmfit.store.artifacts import MANIFEST, Built, KnownPart, Store, damaged
from ulmfit.store.digests import StoredFile
from ulmfit.store.recipe import Recipe

RECIPE = Recipe("thing", 1, {"size": 3, "name": "é"}, {"corpus": "abc"})
FORK = multiprocessing.get_context("fork")


@pytest.fixture
def store(tmp_path):
    made = Store(tmp_path / "artifacts")
    made.set_up()
    return made


def building(calls: list[set[str]], names=("a.txt", "deep/b.txt")):
    """A build that writes the files that are missing, and notes which."""

    def build(work: Path):
        missing = {name for name in names if not (work / name).exists()}
        calls.append(missing)
        for name in missing:
            (work / name).parent.mkdir(exist_ok=True)
            (work / name).write_text(f"content of {name}")
        return Built({"count": len(names)}, run_id="r1")

    return build


# ------------------------------------------------------------------------------------------------- making and finding


def test_made_once_then_found(store):
    calls: list[set[str]] = []
    made, found = store.make(RECIPE, building(calls))
    assert (found, len(calls)) == (False, 1)
    again, found = store.make(RECIPE, building(calls))
    assert (found, len(calls)) == (True, 1)
    assert again == made
    assert made.path == store.local / "thing" / RECIPE.key
    assert (made.manifest.record, made.run_id, made.kind, made.key) == ({"count": 2}, "r1", "thing", RECIPE.key)
    assert set(made.manifest.files) == {"a.txt", "deep/b.txt"}
    assert made.bytes == sum((made.path / name).stat().st_size for name in made.manifest.files)
    assert made.manifest.files["a.txt"].sha256 == filesystem.sha256(made.path / "a.txt")
    assert made.manifest.inputs == {"corpus": "abc"} and made.manifest.config == {"name": "é", "size": 3}
    assert not store.work(RECIPE.key).exists()
    assert store.get(RECIPE.key) == store.find("thing", RECIPE.key) == made
    assert list(store.all()) == [made]


def test_nothing_is_found_where_nothing_is(store):
    assert store.find("thing", RECIPE.key) is store.get(RECIPE.key) is store.sound(RECIPE) is None
    assert list(store.all()) == []


def _delete(path):
    path.unlink()


def _cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def _edit(path):
    data = bytearray(path.read_bytes())
    data[0] ^= 1
    path.write_bytes(bytes(data))


@pytest.mark.parametrize("harm", [_delete, _cut, _edit])
@pytest.mark.parametrize("name", ["a.txt", "deep/b.txt"])
def test_only_the_harmed_file_is_made_again(store, harm, name):
    calls: list[set[str]] = []
    made, _ = store.make(RECIPE, building(calls))
    harm(made.path / name)
    assert damaged(made) == [name]
    again, found = store.make(RECIPE, building(calls))
    assert not found
    assert calls == [{"a.txt", "deep/b.txt"}, {name}]
    assert damaged(again) == [] and again.manifest.files == made.manifest.files
    assert store.make(RECIPE, building(calls))[1]


def test_an_artifact_whose_manifest_is_cut_short_is_made_again(store):
    calls: list[set[str]] = []
    made, _ = store.make(RECIPE, building(calls))
    _cut(made.path / MANIFEST)
    assert store.find("thing", RECIPE.key) is None and list(store.all()) == []
    again, found = store.make(RECIPE, building(calls))
    assert not found and damaged(again) == [] and len(calls) == 2


def test_a_build_that_fails_leaves_nothing_to_be_found_and_its_work_to_go_on_with(store):
    def failing(work: Path):
        (work / "a.txt").write_text("content of a.txt")
        raise RuntimeError("no luck")

    with pytest.raises(RuntimeError, match="no luck"):
        store.make(RECIPE, failing)
    assert store.find("thing", RECIPE.key) is None and list(store.all()) == []
    calls: list[set[str]] = []
    store.make(RECIPE, building(calls))
    assert calls == [{"deep/b.txt"}]


def test_strays_of_a_killed_write_are_not_part_of_the_artifact(store):
    work = store.work(RECIPE.key)
    work.mkdir(parents=True)
    (work / ".a.txt.1234.tmp").write_text("half")
    made, _ = store.make(RECIPE, building([]))
    assert set(made.manifest.files) == {"a.txt", "deep/b.txt"} and not list(made.path.rglob("*.tmp"))


def test_a_run_killed_between_manifest_and_move_leaves_a_sound_second_run(store):
    work = store.work(RECIPE.key)
    work.mkdir(parents=True)
    (work / MANIFEST).write_text("{}")
    made, _ = store.make(RECIPE, building([]))
    assert MANIFEST not in made.manifest.files and damaged(made) == []


# ------------------------------------------------------------------------------------------------- several processes


def _make_slowly(root, queue):
    def build(work: Path):
        time.sleep(0.3)
        (work / "a.txt").write_text(str(os.getpid()))
        return Built({})

    _, found = Store(root).make(RECIPE, build)
    queue.put(found)


def test_two_processes_at_once_build_once(store):
    queue = FORK.Queue()
    processes = [FORK.Process(target=_make_slowly, args=(store.root, queue)) for _ in range(2)]
    for process in processes:
        process.start()
    assert sorted(queue.get(timeout=20) for _ in processes) == [False, True]
    for process in processes:
        process.join(20)
        assert process.exitcode == 0


def _build_and_hang(root):
    def build(work: Path):
        filesystem.write_bytes(work / "a.txt", b"content of a.txt")
        (work / "half").touch()
        time.sleep(60)
        return Built({})

    Store(root).make(RECIPE, build)


def test_a_killed_process_leaves_nothing_found_and_the_next_goes_on(store):
    process = FORK.Process(target=_build_and_hang, args=(store.root,))
    process.start()
    deadline = time.monotonic() + 20
    while not (store.work(RECIPE.key) / "half").exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join(20)
    assert process.exitcode == -signal.SIGKILL
    assert store.find("thing", RECIPE.key) is None
    calls: list[set[str]] = []
    _, found = store.make(RECIPE, building(calls))  # would wait for ever if the lock were still held
    assert not found and calls == [{"deep/b.txt"}]


def test_a_store_set_up_by_many_at_once(tmp_path):
    processes = [FORK.Process(target=Store(tmp_path / "s").set_up) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(20)
    assert [process.exitcode for process in processes] == [0] * 4


# ----------------------------------------------------------------------------------------------------- hostile disks


@pytest.mark.parametrize("write", ["atomic", "ipc"])
def test_a_full_disk_leaves_no_half_file_and_says_so(store, write):
    def build(work: Path):
        (work / "small").write_text("fits")
        if write == "atomic":
            filesystem.write_bytes(work / "large", b"x" * 100_000)
        else:
            write_ipc(work / "large", pa.table({"x": pa.array(range(50_000))}))
        return Built({})

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, hard))
    try:
        with pytest.raises(OSError) as caught:
            store.make(RECIPE, build)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert caught.value.errno == errno.EFBIG
    assert store.find("thing", RECIPE.key) is None
    assert [path.name for path in store.work(RECIPE.key).iterdir()] == ["small"]
    made, found = store.make(RECIPE, build)
    assert not found and set(made.manifest.files) == {"small", "large"}


def test_a_disk_that_fills_up_at_the_manifest_leaves_nothing_found(store, monkeypatch):
    calls: list[set[str]] = []

    def full(handle, _sync=os.fsync):
        if os.readlink(f"/proc/self/fd/{handle}").endswith(".tmp"):
            raise OSError(errno.ENOSPC, "No space left on device")
        _sync(handle)

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(OSError, match="No space"):
            store.make(RECIPE, building(calls))
    assert store.find("thing", RECIPE.key) is None
    assert not list(store.local.rglob("*.tmp"))
    store.make(RECIPE, building(calls))
    assert calls[1] == set()  # all files were there


def test_a_file_is_replaced_whole_or_not_at_all(tmp_path, monkeypatch):
    path = tmp_path / "x.json"
    filesystem.write_bytes(path, b"old")
    monkeypatch.setattr(os, "fsync", lambda _: (_ for _ in ()).throw(OSError(errno.ENOSPC, "full")))
    with pytest.raises(OSError, match="full"):
        filesystem.write_bytes(path, b"new")
    assert path.read_bytes() == b"old" and [item.name for item in tmp_path.iterdir()] == ["x.json"]


# ------------------------------------------------------------------------------------- what workers write and have hashed


def test_digests_that_were_taken_are_not_taken_again(store, monkeypatch):
    entry = StoredFile("0" * 64, 18)

    def build(work: Path):
        assert store.output_folder(RECIPE) == str(work)
        for name in ("a.txt", "deep/b.txt", "c.txt"):
            filesystem.write_bytes(
                filesystem.join(store.output_folder(RECIPE), name), b"as long as it says" if name != "c.txt" else b"longer than it says"
            )
        return Built({"count": 3}, {"a.txt": entry, "c.txt": entry})

    made, _ = store.make(RECIPE, build)
    files = made.manifest.files
    assert made.manifest.record == {"count": 3} and files["a.txt"] == entry
    assert files["deep/b.txt"] == StoredFile(filesystem.sha256(made.path / "deep" / "b.txt"), 18)
    assert files["c.txt"] == StoredFile(filesystem.sha256(made.path / "c.txt"), 19)  # it has changed since
    assert damaged(made) == ["a.txt"]


def test_a_taken_digest_without_its_file(store):
    with pytest.raises(FileNotFoundError, match=r"a finished file has vanished.*a\.txt"):
        store.make(RECIPE, lambda work: Built({}, {"a.txt": StoredFile("0" * 64, 3)}))
    assert store.find("thing", RECIPE.key) is None


def test_an_artifact_knows_its_place(store):
    made, _ = store.make(RECIPE, building([]))
    assert made.location == str(made.path) == os.path.join(store.root, "thing", RECIPE.key)


@pytest.mark.parametrize("left", ["", "{}", "[]", "null", '{"kind": "thing"}'])
def test_a_manifest_that_is_none(store, left):
    made, _ = store.make(RECIPE, building([]))
    (made.path / MANIFEST).write_text(left)
    assert store.find("thing", RECIPE.key) is store.get(RECIPE.key) is None and list(store.all()) == []
    assert store.make(RECIPE, building([]))[1] is False


def test_unfinished_work_is_not_found_by_its_key(store):
    work = store.work(RECIPE.key)
    work.mkdir(parents=True)
    (work / MANIFEST).write_text('{"files": {}, "key": "x"}')  # a run was killed just before it moved its work
    assert store.get(RECIPE.key) is None and list(store.all()) == []


def test_parts_are_remembered(store):
    assert store.find_part("abc") is None
    for number in (1, 2):
        store.note_part("abc", KnownPart(f"tokens/k/part-{number}", "0" * 64))
    assert store.find_part("abc") == Store(store.root).find_part("abc") == KnownPart(f"{store.root}/tokens/k/part-2", "0" * 64)
    assert store.find_part("abcd") is None and list(store.all()) == []
    (store.local / ".parts" / "abc.json").write_bytes(b'{"place": "/tok')
    assert store.find_part("abc") is None


# ------------------------------------------------------------------------------------------------------- the workspace


def test_where_a_workspace_keeps_its_artifacts(tmp_path, monkeypatch):
    monkeypatch.delenv("ULMFIT_ARTIFACTS", raising=False)
    home, elsewhere = tmp_path / "home", tmp_path / "else" / "where"
    plain = Workspace.open(home)
    assert (plain.store.root, plain.store.local) == (str(home / "artifacts"), home / "artifacts")
    assert plain == Workspace(home)
    named = Workspace.open(home, str(elsewhere))
    assert (named.root, named.store.root, named.store.local) == (home, str(elsewhere), elsewhere)
    monkeypatch.setenv("ULMFIT_ARTIFACTS", str(elsewhere))
    assert Workspace.open(home) == named and elsewhere.is_dir()
    monkeypatch.chdir(tmp_path)
    assert Workspace.open("home", "else/where") == named
    remote = Workspace(home, "s3://bucket/team/").store
    assert (remote.root, remote.local, remote.output_folder(RECIPE)) == (
        "s3://bucket/team",
        home / "artifacts",
        f"s3://bucket/team/thing/{RECIPE.key}",
    )


@pytest.mark.parametrize("place", ["gs://bucket/x", "https://bucket/x", "s3:/bucket/x", "S3://bucket"])
def test_artifacts_that_nothing_here_can_keep(tmp_path, place):
    with pytest.raises(UserError, match=r"in a folder or on S3; write a path or s3://BUCKET/FOLDER"):
        Workspace.open(tmp_path, place)


@pytest.mark.parametrize("place", ["s3://", "s3:///folder"])
def test_a_place_on_s3_without_a_bucket(tmp_path, place):
    with pytest.raises(UserError, match="no bucket is named; write s3://BUCKET/FOLDER"):
        Workspace.open(tmp_path / "home", place)


@pytest.mark.parametrize(
    ("home", "said"),
    [("s3://bucket/x", "no local folder"), ("~nobody-of-this-name/x", "no home folder for its ~"), ("x" * 300, "File name too long")],
)
def test_a_workspace_that_cannot_be(home, said):
    with pytest.raises(UserError, match=said):
        Workspace.open(home)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_workspace_is_named(tmp_path):
    tmp_path.chmod(0o500)
    with pytest.raises(UserError, match=r"cannot be written.*--workspace"):
        Store(tmp_path / "artifacts").set_up()
    tmp_path.chmod(0o700)


def test_a_workspace_that_is_a_file_is_named(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match=r"cannot be written.*file.*--workspace") as caught:
        Store(tmp_path / "file" / "artifacts").set_up()
    assert "\n" not in str(caught.value)


def test_the_manifest_is_plain_json(store):
    made, _ = store.make(RECIPE, building([]))
    manifest = json.loads((made.path / MANIFEST).read_text())
    assert manifest == made.manifest.model_dump()
    assert {"kind", "key", "version", "config", "inputs", "record", "files", "run_id", "seconds", "finished", "libraries"} == set(manifest)
