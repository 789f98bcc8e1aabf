"""Faults while a corpus is tokenised, each on real worker processes: killed workers, schedulers and drivers, full disks, bad parts, poison."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tasks.cluster import Cluster, open_cluster
from ulmfit.errors import UserError
from ulmfit.shards.arrow import read_ipc
from ulmfit.shards.crashing import CrashingDocument, tokenise_parts
from ulmfit.shards.mapping import PartWork
from ulmfit.shards.tokenise import TokenizeSpec
from ulmfit.store import filesystem

ROOT = Path(__file__).parents[2]
FAULTS = Path(__file__).parent / "faults"
PARTS = 6
NAMES = [f"part-{part:05}" for part in range(PARTS)]
SENTENCE = "the invoice was paid twice and nobody at the office could say why it had been sent again"


def write_corpus(folder: Path, poison: dict[tuple[int, int], str] | None = None) -> Path:
    """Parts of four documents, the second of them in two pieces. ``poison``: (part, document) -> a word that kills."""
    folder.mkdir(parents=True)
    for part in range(PARTS):
        texts = [f"{SENTENCE[part * number :]} case{part}x{number}" for number in range(4)]
        for (at, number), word in (poison or {}).items():
            if at == part:
                texts[number] += f" {word}"
        rows = [("0", texts[0], 0), ("1", texts[1][:30], 0), ("1", texts[1][30:], 1), ("2", texts[2], 0), ("3", texts[3], 0)]
        table = {
            "id": [f"mail.csv:{part}{number}" for number, _, _ in rows],
            "text": [text for _, text, _ in rows],
            "label": pa.array([None] * len(rows), pa.string()),
            "split": ["train"] * len(rows),
            "piece": pa.array([piece for _, _, piece in rows], pa.int32()),
        }
        pq.write_table(pa.table(table), folder / f"part-{part:05}.parquet")
    return folder


def specs(corpus: Path, folder: Path) -> list[TokenizeSpec]:
    return [TokenizeSpec(str(source), str(folder), "en", "default") for source in sorted(corpus.glob("*.parquet"))]


def shards(folder: Path) -> dict[str, str]:
    """The digest of every token shard."""
    return {path.name: filesystem.sha256(path) for path in sorted(folder.glob("*.tokens.arrow"))}


def made(folder: Path) -> dict[str, tuple[int, int]]:
    """What tells a token shard from one that was made again in its place."""
    return {path.name: (path.stat().st_ino, path.stat().st_mtime_ns) for path in sorted(folder.glob("*.tokens.arrow"))}


def wait_for(condition: Callable[[], Any], process: subprocess.Popen[str] | None = None) -> Any:
    """What ``condition`` gives as soon as that is true."""
    for _ in range(2000):
        if found := condition():
            return found
        if process is not None and process.poll() is not None:
            pytest.fail(f"it ended with {process.returncode}: {process.communicate()[1][-2000:]}")
        time.sleep(0.03)
    pytest.fail("waited in vain")


class Faults:
    """The folder that tells processes what is to go wrong (see ``faults/sitecustomize.py``)."""

    def __init__(self, folder: Path):
        self.folder = folder
        folder.mkdir()
        self.environment = {"FAULTS": str(folder), "PYTHONPATH": f"{FAULTS}{os.pathsep}{ROOT}"}

    @contextmanager
    def hold(self, *names: str) -> Iterator[Callable[[], list[int]]]:
        """While the block runs, a process that has written a file whose name has one of ``names`` in it stands still; gives their pids."""
        (self.folder / "hold").write_text(" ".join(names))
        try:
            yield lambda: [int(path.name.removeprefix("held-")) for path in self.folder.glob("held-*")]
        finally:
            (self.folder / "hold").unlink()
            for path in self.folder.glob("held-*"):
                path.unlink()

    @contextmanager
    def full_disk(self) -> Iterator[None]:
        (self.folder / "full").touch()
        try:
            yield
        finally:
            (self.folder / "full").unlink()


@pytest.fixture(scope="module")
def faults(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Faults]:
    faults = Faults(tmp_path_factory.mktemp("faults") / "faults")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in faults.environment.items():
            patch.setenv(name, value)
        yield faults


@pytest.fixture(scope="module")
def cluster(faults: Faults) -> Iterator[Cluster]:
    """Two worker processes that listen to ``faults``."""
    with open_cluster("2") as cluster:
        yield cluster


@pytest.fixture(scope="module")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_corpus(tmp_path_factory.mktemp("corpus") / "corpus")


@pytest.fixture(scope="module")
def expected(cluster: Cluster, corpus: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The shards of a run without a fault."""
    folder = tmp_path_factory.mktemp("expected")
    records, aside = tokenise_parts(cluster.map, specs(corpus, folder), quarantine=False)
    assert [record.part for record in records] == NAMES
    assert [record.documents for record in records] == [4] * PARTS
    assert not aside
    assert len(shards(folder)) == PARTS
    return shards(folder)


def start(cluster: Cluster, corpus: Path, folder: Path) -> Callable[[], list[str]]:
    """Tokenise in a thread; the function that is returned waits for it and gives the names of the parts that are done."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(tokenise_parts, cluster.map, specs(corpus, folder), False)
    pool.shutdown(wait=False)
    return lambda: [record.part for record in future.result()[0]]


def test_a_worker_is_killed_in_mid_shard(faults: Faults, cluster: Cluster, corpus: Path, expected: dict[str, str], tmp_path: Path) -> None:
    with faults.hold("part-00002.tokens") as held:
        finish = start(cluster, corpus, tmp_path)
        (worker,) = wait_for(held)
        assert list(tmp_path.glob(".part-00002*.tmp")), "it has written, and not yet moved it"
        os.kill(worker, signal.SIGKILL)
        wait_for(lambda: len(held()) == 2)  # another worker has taken the part over
    assert finish() == NAMES
    assert shards(tmp_path) == expected


def test_two_drivers_at_once_on_one_folder(
    faults: Faults, cluster: Cluster, corpus: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    with faults.hold("part-00001.tokens") as held, open_cluster(cluster.client().scheduler.address) as other:
        both = [start(cluster, corpus, tmp_path), start(other, corpus, tmp_path)]
        wait_for(lambda: len(held()) == 2)  # both workers are about to move the same shard into place
    assert [finish() for finish in both] == [NAMES, NAMES]
    assert shards(tmp_path) == expected


def test_parts_that_were_deleted_or_damaged_are_made_again_and_no_others(
    cluster: Cluster, corpus: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    tokenise_parts(cluster.map, specs(corpus, tmp_path), quarantine=False)
    before = made(tmp_path)
    (tmp_path / "part-00000.tokens.arrow").unlink()
    damaged = tmp_path / "part-00001.tokens.arrow"
    data = bytearray(damaged.read_bytes())
    data[len(data) // 2] ^= 1
    damaged.write_bytes(data)
    os.truncate(tmp_path / "part-00002.tokens.arrow", 100)
    (tmp_path / "part-00003.json").unlink()
    (tmp_path / "part-00004.json").write_text("{")
    tokenise_parts(cluster.map, specs(corpus, tmp_path), quarantine=False)
    after = made(tmp_path)
    assert shards(tmp_path) == expected
    assert [name for name in after if after[name] == before[name]] == ["part-00005.tokens.arrow"]


def test_a_damaged_part_of_the_corpus_is_named(cluster: Cluster, corpus: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(corpus, tmp_path / "corpus")
    os.truncate(copy / "part-00004.parquet", 300)
    with pytest.raises(UserError, match=r"part-00004\.parquet"):
        tokenise_parts(cluster.map, specs(copy, tmp_path / "tokens"), quarantine=False)


@contextmanager
def small_disk(place: Path) -> Iterator[Path]:
    """A file system of 64 kB at ``place``; skips the test where none may be mounted."""
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "none", place], capture_output=True, check=False).returncode:
        pytest.skip("no file system may be mounted here")
    try:
        yield place
    finally:
        subprocess.run(["umount", "--lazy", place], check=True)


def test_a_full_disk(cluster: Cluster, corpus: Path, expected: dict[str, str], tmp_path: Path) -> None:
    with small_disk(tmp_path / "disk") as disk:
        (disk / "ballast").write_bytes(b"x" * 50_000)
        with pytest.raises(OSError, match="No space left on device"):
            tokenise_parts(cluster.map, specs(corpus, disk), quarantine=False)
        wait_for(lambda: not list(disk.glob(".*.tmp")))  # the other worker may still be at it
        before = {name: mark for name, mark in made(disk).items() if (disk / name.replace(".tokens.arrow", ".json")).exists()}
        assert 0 < len(before) < PARTS
        (disk / "ballast").unlink()
        assert len(tokenise_parts(cluster.map, specs(corpus, disk), quarantine=False)[0]) == PARTS
        assert shards(disk) == expected
        assert {name: made(disk)[name] for name in before} == before


def test_a_disk_that_is_full_when_a_file_is_synced(
    faults: Faults, cluster: Cluster, corpus: Path, expected: dict[str, str], tmp_path: Path
) -> None:
    with faults.full_disk():
        with pytest.raises(OSError, match="No space left on device"):
            tokenise_parts(cluster.map, specs(corpus, tmp_path), quarantine=False)
        assert not shards(tmp_path)  # while it is full: a part that waited may yet be written when it no longer is
    wait_for(lambda: not list(tmp_path.glob(".*.tmp")))
    assert len(tokenise_parts(cluster.map, specs(corpus, tmp_path), quarantine=False)[0]) == PARTS
    assert shards(tmp_path) == expected


# ------------------------------------------------------------------------------------------------------------- poison


@pytest.fixture
def fragile(faults: Faults, monkeypatch: pytest.MonkeyPatch) -> Iterator[Cluster]:
    """A cluster that takes the first death on a part for its fault: there are fewer workers to wait for."""
    monkeypatch.setattr("tasks.cluster.ALLOWED_DEATHS", 0)
    with open_cluster("2") as cluster:
        yield cluster


def test_poison_is_named_and_set_aside(
    fragile: Cluster, expected: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    corpus, folder = write_corpus(tmp_path / "corpus", {(1, 2): "crashword", (1, 3): "killword"}), tmp_path / "tokens"
    told = (
        r"^document 'mail.csv:12' of part-00001 kills the worker that tokenises it \(signal 11\); set it aside with --quarantine-crashing"
    )
    with pytest.raises(UserError, match=told):
        tokenise_parts(fragile.map, specs(corpus, folder), quarantine=False)
    before = made(folder)
    assert len(before) == PARTS - 1, "all other parts are done first"

    records, aside = tokenise_parts(fragile.map, specs(corpus, folder), quarantine=True)
    assert aside == [
        CrashingDocument("part-00001", 2, "mail.csv:12", "signal 11"),
        CrashingDocument("part-00001", 3, "mail.csv:13", "signal 9"),
    ]
    assert [record.documents for record in records] == [4] * PARTS
    assert {name: made(folder)[name] for name in before} == before
    assert {name: digest for name, digest in shards(folder).items() if name in before} == {name: expected[name] for name in before}
    tokens = read_ipc(folder / "part-00001.tokens.arrow")["tokens"].to_pylist()
    assert [document is None for document in tokens] == [False, False, True, True]
    assert "case1x1" in "".join(tokens[1])
    assert sum("is quarantined" in message for message in caplog.messages) == 2

    shard = folder / "part-00001.tokens.arrow"
    digest = filesystem.sha256(shard)
    shard.unlink()
    caplog.clear()
    again = tokenise_parts(fragile.map, specs(corpus, folder), quarantine=True)
    assert again[1] == aside, "what was set aside stays known, and kills nobody again"
    assert filesystem.sha256(shard) == digest
    assert not caplog.messages


# ------------------------------------------------------------------------------------------------------------ drivers


def drive(faults: Faults, store: Path, corpus: Path) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, FAULTS / "driver.py", store, corpus, "1"],
        env={**os.environ, **faults.environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finished(driver: subprocess.Popen[str]) -> dict[str, Any]:
    out, err = driver.communicate(timeout=120)
    assert driver.returncode == 0, err
    assert "distributed" not in err and "Traceback" not in err, "the workers' and Dask's chatter is kept from the user"
    return json.loads(out.splitlines()[-1])


def test_a_killed_driver_is_started_again(faults: Faults, corpus: Path, expected: dict[str, str], tmp_path: Path) -> None:
    store = tmp_path / "store"
    work = store / ".work"
    with faults.hold("part-00003.json") as held:
        driver = drive(faults, store, corpus)
        wait_for(held, driver)
        workers = psutil.Process(driver.pid).children(recursive=True)
        driver.kill()
        driver.communicate()
        for process in workers:
            wait_for(lambda process=process: not process.is_running() or process.status() == psutil.STATUS_ZOMBIE)
    (folder,) = (path for path in work.iterdir() if path.is_dir())  # beside it, the keys of its inputs
    before = made(folder)
    result = finished(drive(faults, store, corpus))
    assert not result["found"]
    after = made(Path(result["place"]))
    assert shards(Path(result["place"])) == expected
    missing = [name for name in after if after[name] != before.get(name)]
    assert missing == [f"{name}.tokens.arrow" for name in NAMES[3:]], "what was done is not made again; part 3 had no record yet"


def test_two_drivers_at_once_on_one_workspace(faults: Faults, corpus: Path, expected: dict[str, str], tmp_path: Path) -> None:
    with faults.hold("part-00003.tokens") as held:
        first = drive(faults, tmp_path, corpus)
        wait_for(held, first)
        second = drive(faults, tmp_path, corpus)
        locks = tmp_path / ".locks"
        wait_for(lambda: any(str(locks) in file.path for file in psutil.Process(second.pid).open_files()), second)
    results = [finished(first), finished(second)]
    assert [result["found"] for result in results] == [False, True], "the second waits for the first, and takes what it made"
    assert results[0]["place"] == results[1]["place"]
    assert shards(Path(results[0]["place"])) == expected


# --------------------------------------------------------------------------------------------------------- scheduler


class Dask:
    """A scheduler and workers as they stand on a cluster: processes of their own, at an address."""

    def __init__(self, environment: dict[str, str], folder: Path):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.port = free.getsockname()[1]
        self.address = f"tcp://127.0.0.1:{self.port}"
        self.environment, self.folder = {**os.environ, **environment}, folder
        self.processes: list[subprocess.Popen[bytes]] = []

    def start(self, *arguments: str) -> subprocess.Popen[bytes]:
        with open(self.folder / "dask.log", "ab") as log:
            command = [sys.executable, "-m", "dask", *arguments, "--no-dashboard"]
            process = subprocess.Popen(command, env=self.environment, stdout=log, stderr=log, start_new_session=True)
        self.processes.append(process)
        return process

    def scheduler(self) -> subprocess.Popen[bytes]:
        return self.start("scheduler", "--host", "127.0.0.1", "--port", str(self.port))

    def workers(self) -> subprocess.Popen[bytes]:
        return self.start("worker", self.address, "--nthreads", "1", "--nworkers", "2", "--local-directory", str(self.folder))

    def stop(self) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@pytest.fixture
def dask(faults: Faults, tmp_path: Path) -> Iterator[Dask]:
    dask = Dask(faults.environment, tmp_path)
    try:
        yield dask
    finally:
        dask.stop()


def test_the_scheduler_is_restarted(
    faults: Faults, dask: Dask, corpus: Path, expected: dict[str, str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "tokens"
    scheduler, workers = dask.scheduler(), dask.workers()
    with open_cluster(dask.address) as cluster:
        with faults.hold("part-00002.tokens", "part-00003.tokens") as held:
            finish = start(cluster, corpus, folder)
            wait_for(lambda: len(held()) == 2)  # with two parts in work, and others on their way
            before = wait_for(lambda: made(folder))
            scheduler.kill()
            scheduler.wait()
            wait_for(lambda: "is gone; waiting" in caplog.text)
            os.killpg(workers.pid, signal.SIGKILL)  # without a scheduler they end, and a supervisor starts others
            dask.scheduler()
            dask.workers()
        assert finish() == NAMES
    assert shards(folder) == expected
    assert {name: made(folder)[name] for name in before} == before, "what was done before is not made again"


def test_a_scheduler_that_does_not_come_back(dask: Dask, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tasks.cluster.CONNECT", 1.0)
    monkeypatch.setattr("tasks.cluster.PATIENCE", 2.0)
    scheduler = dask.scheduler()
    with open_cluster(dask.address) as cluster:
        wait_for(lambda: connected(cluster))
        killer = threading.Timer(0.5, scheduler.kill)
        killer.start()
        with pytest.raises(RuntimeError, match=r"went away and did not come back within 2 s; start it and run again"):
            cluster.map(PartWork("nobody", str, [1, 2, 3], str))


def connected(cluster: Cluster) -> bool:
    try:
        return cluster.client().status == "running"
    except UserError:
        return False
