"""The clock of all services goes back an hour in the middle of a retraining: it ends well, and decisions keep their order."""

from __future__ import annotations

import shutil
import struct
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local import lifecycle
from infra.local.stack import Stack
from infra.local.story import Team
from tests.stack.test_faults import PARTS, until

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

HOUR = 3600


@contextmanager
def own_clock(stack: Stack) -> Iterator[Callable[[int], None]]:
    """The stack with a clock of its own; gives what sets it back by so many seconds. The S3 server keeps the machine's: it is linked statically."""
    if not (compiler := shutil.which("cc")):
        pytest.skip("no C compiler is installed")
    folder = Path(tempfile.mkdtemp(prefix="clock-"))  # not in pytest's own folder, which PostgreSQL's user cannot enter
    folder.chmod(0o711)
    clock, behind = folder / "clock.so", folder / "behind"
    source = Path(__file__).with_name("clock.c")
    subprocess.run([compiler, "-shared", "-fPIC", "-O2", f'-DBEHIND="{behind}"', "-o", clock, source], check=True)
    behind.write_bytes(struct.pack("@l", 0))

    def back(seconds: int) -> None:
        with open(behind, "r+b") as file:
            file.write(struct.pack("@l", seconds))

    lifecycle.down(stack)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("LD_PRELOAD", str(clock))
        lifecycle.up(stack.folder, stack.settings, None, print)
    try:
        yield back
    finally:
        lifecycle.down(stack)
        lifecycle.up(stack.folder, stack.settings, None, print)
        shutil.rmtree(folder)


def test_a_clock_that_goes_back(stack: Stack, tmp_path: Path) -> None:
    model = f"clock-{int(time.time())}"
    with own_clock(stack) as back:
        team = Team(stack, tmp_path / "team", model, PARTS)
        team.land("a.csv", 300, int(time.time()) % 1000)
        run = team.start("lenient")
        until(lambda: team.ask(f"flow_runs/{run}")["state"]["type"] == "RUNNING")
        time.sleep(10)
        back(HOUR)
        begun = time.monotonic()
        team.wait(run)
        print(f"\nthe run ended {time.monotonic() - begun:.0f} s after the clock went back")
        team.land("b.csv", 400, int(time.time()) % 1000 + 1000)
        team.wait(team.tell("lenient"))
        decisions = team.decisions()
    whats = [one["what"] for one in decisions]
    assert whats[:3] == ["retrain", "first version", "retrain"] and whats[-1] in ("promoted", "compared")
    times = [one["time"] for one in decisions]
    assert times == sorted(times)
    assert all((one["followed"] or {"done": True})["done"] for one in decisions)
