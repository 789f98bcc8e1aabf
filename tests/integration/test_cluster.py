"""Dask workers as real processes: killed, poisoned, absent."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from distributed import Client

from tasks import cluster as module
from tasks.cluster import Cluster, open_cluster
from tests.conftest import ROOT
from ulmfit.errors import UserError
from ulmfit.shards.mapping import PartKilled, PartWork


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with open_cluster("2") as cluster:
        yield cluster


def die_once(spec: tuple[str, int]) -> int:
    """Kill the worker the first time that part 3 is tried."""
    marker, number = spec
    if number == 3 and not os.path.exists(marker):
        Path(marker).touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def die_always(number: int) -> int:
    if number == 1:
        os.kill(os.getpid(), signal.SIGKILL)
    return number


def refuse(number: int) -> int:
    if number == 2:
        raise UserError(f"part {number} is no good")
    return number


def refuse_none(number: int) -> int:
    return number


def fail(spec: tuple[str, int, int]) -> int:
    """Raise an OSError the first times; returns the number of the try."""
    folder, times, code = spec
    tries = len(list(Path(folder).iterdir())) + 1
    (Path(folder) / str(tries)).touch()
    if tries <= times:
        raise OSError(code, os.strerror(code))
    return tries


def keep_company(spec: tuple[str, int]) -> int:
    """Part 0 kills its worker as soon as another part is at work; the others note each of their tries."""
    folder, number = spec
    if number == 0:
        os.kill(os.getpid(), signal.SIGKILL)
    with open(Path(folder) / str(number), "a") as file:
        file.write("x")
    time.sleep(0.02)
    return number


def test_a_killed_worker_is_survived(cluster: Cluster, tmp_path: Path) -> None:
    specs = [(str(tmp_path / "died"), number) for number in range(8)]
    assert cluster.map(PartWork("square", die_once, specs, str)) == [number * number for number in range(8)]
    assert (tmp_path / "died").exists()


def test_a_part_that_no_worker_survives_is_named(cluster: Cluster) -> None:
    with pytest.raises(PartKilled, match=r"part part-1: 4 workers died .* memory of \d+\.\d GB") as killed:
        cluster.map(PartWork("poison", die_always, [0, 1, 2], lambda number: f"part-{number}"))
    assert (killed.value.index, killed.value.part) == (1, "part-1")
    assert killed.value.memory


def test_a_part_that_kills_is_mended_when_all_others_are_done(cluster: Cluster, tmp_path: Path) -> None:
    specs = [(str(tmp_path), number) for number in range(40)]
    calls = []

    def mend(spec: tuple[str, int], killed: PartKilled) -> tuple[str, int]:
        calls.append((spec[1], killed.index, len(list(tmp_path.iterdir()))))
        return spec[0], 100 + len(calls) if len(calls) == 2 else 0

    records = cluster.map(PartWork("mended", keep_company, specs, str, mend))
    assert records == [102, *range(1, 40)]
    assert calls == [(0, 0, 39), (0, 0, 39)], "only the part that kills is blamed, and last; once more, as the first remedy was none"


def test_what_mend_raises_ends_the_map(cluster: Cluster) -> None:
    def mend(spec: int, killed: PartKilled) -> int:
        raise UserError(f"{killed.part} is beyond repair")

    with pytest.raises(UserError, match=r"^1 is beyond repair"):
        cluster.map(PartWork("unmended", die_always, [0, 1, 2], str, mend))


def test_the_scheduler_is_given_a_bounded_number_of_parts(cluster: Cluster, monkeypatch: pytest.MonkeyPatch) -> None:
    client = cluster.client()
    batches, flying = [], []

    def watched(*arguments: Any, key: list[Any], **options: Any) -> Any:
        futures = Client.map(client, *arguments, key=key, **options)
        batches.append(len(key))
        flying.append(sum(other[0] == key[0][0] for other in list(client.futures)))
        return futures

    monkeypatch.setattr(client, "map", watched)
    assert cluster.map(PartWork("many", refuse_none, range(200), str)) == list(range(200))
    assert sum(batches) == 200
    assert max(flying) <= module.LEAST_AHEAD + 2, "a bounded number, and one or two that have just come back"


def test_a_failing_file_system_is_tried_again_and_a_full_one_is_not(cluster: Cluster, tmp_path: Path) -> None:
    for name, times, code, tries in (("mended", 2, errno.EIO, 3), ("broken", 9, errno.EIO, 3), ("full", 9, errno.ENOSPC, 1)):
        folder = tmp_path / name
        folder.mkdir()
        specs = [(str(folder), times, code)]
        if times == 2:
            assert cluster.map(PartWork(name, fail, specs, str)) == [tries]
            continue
        with pytest.raises(OSError) as error:
            cluster.map(PartWork(name, fail, specs, str))
        assert error.value.errno == code
        assert len(list(folder.iterdir())) == tries


def test_the_workers_exception_comes_through_as_it_is(cluster: Cluster) -> None:
    with pytest.raises(UserError, match="part 2 is no good"):
        cluster.map(PartWork("refuse", refuse, [1, 2, 3], str))
    assert cluster.map(PartWork("after", refuse, [1, 3], str)) == [1, 3]


def test_an_existing_cluster_is_used_and_left_running(cluster: Cluster) -> None:
    with open_cluster(cluster.client().scheduler.address) as guest:
        assert guest.map(PartWork("guest", refuse, [5, 6], str)) == [5, 6]
    assert cluster.map(PartWork("host", refuse, [7], str)) == [7]


def test_nothing_to_map_starts_no_cluster(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Cluster, "client", lambda _: pytest.fail("started"))
    assert Cluster("2").map(PartWork("nothing", refuse, [], str)) == []


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "0"])
def test_an_address_that_answers_to_nobody(address: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CONNECT", 0.5)
    with pytest.raises(UserError, match="--dask"):
        Cluster(address).client()


@pytest.mark.parametrize(("guard", "code"), [("if True:", 1), ('if __name__ == "__main__":', 0)])
def test_a_script_that_its_workers_would_run_again_ends_and_says_why(tmp_path: Path, guard: str, code: int) -> None:
    script = tmp_path / "script.py"
    lines = ["from tasks.cluster import check_script, open_cluster", guard, "    check_script()", '    with open_cluster("1") as cluster:']
    script.write_text("\n".join([*lines, "        print(cluster.client().status)"]))
    ran = subprocess.run(
        [sys.executable, str(script)], env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, timeout=100
    )
    assert ran.returncode == code, ran.stderr
    assert ran.stdout == ("" if code else "running\n")
    assert ("the script runs again in each worker" in ran.stderr and "workers cannot be started" in ran.stderr) == bool(code)
