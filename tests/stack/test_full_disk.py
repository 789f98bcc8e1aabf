"""A disk is full in the middle of a retraining: it says so in one line or waits, nothing is lost, and once there is room it ends well."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError

import pytest

from infra.local import lifecycle
from infra.local.health import ask_prefect
from infra.local.stack import BUCKET, Stack
from infra.local.story import ENDED, Team
from tests.stack.disks import full, small_disks
from tests.stack.test_faults import PARTS, check_nothing_lost, until
from ulmfit.errors import RunFailed

pytestmark = [pytest.mark.stack, pytest.mark.timeout(2400)]

PLACES: dict[str, Callable[[Stack], Path]] = {
    "s3": lambda stack: stack.buckets.parent,
    "workspace": lambda stack: stack.workspace,
    "postgres": lambda stack: stack.data,
}
NOTICED = {"s3": "s3", "workspace": "dashboard", "postgres": "postgres"}  # the service whose disk it is
FULL = 240.0  # seconds, if the run does not end before


@pytest.fixture(scope="module")
def disks(stack: Stack) -> Iterator[dict[str, Path]]:
    """Artifacts, unfinished work and databases, each on a disk of its own."""
    places = {name: place(stack) for name, place in PLACES.items()}
    with small_disks(stack, *places.values()):
        yield places


@pytest.mark.parametrize("name", PLACES)
def test_a_disk_that_is_full(name: str, stack: Stack, disks: dict[str, Path], tmp_path: Path) -> None:
    team = Team(stack, tmp_path / "team", f"full-{name}-{int(time.time())}", PARTS)
    team.land("a.csv", 300, sorted(PLACES).index(name) + int(time.time()) % 1000)  # text of its own: no stage is found
    run = team.start("lenient")
    until(lambda: team.ask(f"flow_runs/{run}")["state"]["type"] == "RUNNING", 900)
    before = tokens(stack)
    until(lambda: tokens(stack) - before, 900)
    begun, said = time.monotonic(), []
    with full(disks[name]):
        while time.monotonic() - begun < FULL and not (said and said[-1][1] in ENDED):
            _note(team, run, said)
            time.sleep(1)
        print(f"\n{name}, full for {time.monotonic() - begun:.0f} s: {said}")
        faults = {state.name: state.fault for state in lifecycle.status(stack) if state.fault}
        print(faults)
        assert NOTICED[name] in faults, "the status names what has no room"
    begun = time.monotonic()
    try:
        team.wait(run)
    except RunFailed as error:
        print(f"the run ended: {error}")
        team.wait(team.start("lenient"))
    _note(team, run, said)
    print(f"well {time.monotonic() - begun:.0f} s after there was room: {said}")
    check_nothing_lost(team, 300)
    assert not [state for state in lifecycle.status(stack) if state.fault]


def tokens(stack: Stack) -> set[str]:
    """Artifacts of the second stage."""
    folder = stack.buckets / BUCKET / "artifacts" / "tokens"
    return {each.name for each in folder.iterdir()} if folder.is_dir() else set()


def _note(team: Team, run: str, said: list[tuple[float, str, str | None]]) -> None:
    """The state of the run, if it is another than the last one; Prefect's server may not know it."""
    try:
        state = ask_prefect(team.stack, team.credentials, f"flow_runs/{run}")["state"]
    except OSError as error:
        found = ("not known", f"HTTP {error.code}" if isinstance(error, HTTPError) else str(error))
    else:
        found = (state["type"], state.get("message"))
    if not said or said[-1][1:] != found:
        said.append((round(time.monotonic()), *found))
