"""The disks of the S3 server and of PostgreSQL are full: a retraining ends or waits, and after somebody has made room nothing is lost."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local import lifecycle, supervision
from infra.local.services import base_environment, client_environment
from infra.local.stack import Stack
from infra.local.story import Team
from tests.conftest import ROOT

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1800)]

ROOM = 50 << 20  # bytes beside what is there


@contextmanager
def small_disk(stack: Stack, service: str, folder: Path) -> Iterator[Path]:
    """The folder of a service lies on a disk of its own for a while; yields a file that takes what is left of it."""
    if os.getuid() or sys.platform != "linux":
        pytest.skip("only root may mount a small disk")
    ask = supervision.ask(stack).supervisor
    ask.stopProcess(service)
    there = sum(file.stat().st_size for file in folder.rglob("*") if file.is_file())
    kept = folder.with_name(f"{folder.name}-kept")
    owner = folder.stat()
    folder.rename(kept)
    folder.mkdir(mode=0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={there + ROOM},mode=0700", "tmpfs", folder], check=True)
    os.chown(folder, owner.st_uid, owner.st_gid)
    subprocess.run(["cp", "-a", f"{kept}/.", folder], check=True)
    ask.startProcess(service)
    try:
        yield folder / "ballast"
    finally:
        ask.stopProcess(service)
        shutil.rmtree(kept)
        subprocess.run(["cp", "-a", folder, kept], check=True)
        subprocess.run(["umount", folder], check=True)
        folder.rmdir()
        kept.rename(folder)
        ask.startProcess(service)
        until_well(stack)


def until_well(stack: Stack) -> None:
    deadline = time.monotonic() + 240
    while faults := [f"{state.name}: {state.fault}" for state in lifecycle.status(stack) if state.fault]:
        assert time.monotonic() < deadline, faults
        time.sleep(1)


def fill(ballast: Path) -> None:
    """Take all room there is."""
    with open(ballast, "wb") as out:
        try:
            while True:
                out.write(b"\0" * (1 << 16))
                out.flush()
        except OSError:
            pass


def retrain(team: Team) -> subprocess.CompletedProcess[str]:
    """By the command line, which says in a line what is the matter."""
    asked = team.request("lenient")
    options = [f"--set={option}" for option in asked.pop("options")]
    single = [f"--{name.replace('_', '-')}={value}" for name, value in asked.items()]
    environment = base_environment() | client_environment(team.stack, team.credentials)
    command = [sys.executable, "-P", "-m", "ulmfit", "retrain", *single, *options, "--json"]
    return subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=600)


@pytest.mark.parametrize("service", ["s3", "postgres"])
def test_a_disk_that_is_full(stack: Stack, service: str, tmp_path: Path) -> None:
    folder = {"s3": stack.folder / "s3", "postgres": stack.data}[service]
    team = Team(stack, tmp_path / "team", f"full-{service}-{int(time.time())}", ["classifier.epochs=2", "classifier.lr=0.03"])
    team.land("a.csv", 250, 90 + len(service))
    with small_disk(stack, service, folder) as ballast:
        until_well(stack)
        fill(ballast)
        failed = retrain(team)
        last = failed.stderr.strip().splitlines()[-1] if failed.stderr.strip() else ""
        print(f"\n{service} full: exit code {failed.returncode}, {last[:400]}")
        ballast.unlink()
        until_well(stack)
        again = retrain(team)
        assert again.returncode == 0, again.stderr[-2000:]
        decisions = [one["what"] for one in team.decisions()]
        print(f"{service} with room again: {', '.join(decisions)}")
        assert decisions[-1] == "first version" and decisions.count("first version") == 1
        assert "Traceback" not in failed.stderr
    assert [one["what"] for one in team.decisions()] == decisions
