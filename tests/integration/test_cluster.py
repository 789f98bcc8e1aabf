"""Dask workers as real processes: killed, poisoned, absent."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks.cluster import Cluster, open_cluster
from ulmfit.errors import UserError


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


def test_a_killed_worker_is_survived(cluster: Cluster, tmp_path: Path) -> None:
    specs = [(str(tmp_path / "died"), number) for number in range(8)]
    assert cluster.map("square", die_once, specs, str) == [number * number for number in range(8)]
    assert (tmp_path / "died").exists()


def test_a_part_that_no_worker_survives_is_named(cluster: Cluster) -> None:
    with pytest.raises(RuntimeError, match=r"part-1: .* workers died"):
        cluster.map("poison", die_always, [0, 1, 2], lambda number: f"part-{number}")


def test_the_workers_exception_comes_through_as_it_is(cluster: Cluster) -> None:
    with pytest.raises(UserError, match="part 2 is no good"):
        cluster.map("refuse", refuse, [1, 2, 3], str)
    assert cluster.map("after", refuse, [1, 3], str) == [1, 3]


def test_an_existing_cluster_is_used_and_left_running(cluster: Cluster) -> None:
    with open_cluster(cluster.client().scheduler.address) as guest:
        assert guest.map("guest", refuse, [5, 6], str) == [5, 6]
    assert cluster.map("host", refuse, [7], str) == [7]


def test_nothing_to_map_starts_no_cluster() -> None:
    idle = Cluster("2")
    assert idle.map("nothing", refuse, [], str) == []
    assert idle._client is None


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "0"])
def test_an_address_that_answers_to_nobody(address: str) -> None:
    with pytest.raises(UserError, match="--dask"):
        Cluster(address).client()
