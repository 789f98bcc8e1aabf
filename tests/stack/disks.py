"""Small disks for a stack: what it keeps of one kind lies on a file system of its own, which a test can fill."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from infra.local import lifecycle
from infra.local.stack import Stack

BYTES = 600 << 20  # of each; in memory, and only what is used
PAGE = 4096


@contextmanager
def small_disks(stack: Stack, *places: Path) -> Iterator[None]:
    """The stack with each of its folders ``places`` on a disk of its own; it is stopped and started for it. Skips where none may be mounted."""
    lifecycle.down(stack)
    moved = []
    try:
        for place in places:
            moved.append(_moved(place))
        lifecycle.up(stack.folder, stack.settings, None, print)
        yield
    finally:
        lifecycle.down(stack)
        for place, before in moved:
            _moved_back(place, before)
        lifecycle.up(stack.folder, stack.settings, None, print)


def _moved(place: Path) -> tuple[Path, Path]:
    before = place.with_name(f"{place.name}.before")
    place.rename(before)
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={BYTES}", "none", place], capture_output=True).returncode:
        place.rmdir()
        before.rename(place)
        pytest.skip("no file system may be mounted here")
    _copy(before, place)
    return place, before


def _moved_back(place: Path, before: Path) -> None:
    after = place.with_name(f"{place.name}.after")
    after.mkdir()
    _copy(place, after)
    subprocess.run(["umount", "--lazy", place], check=True)
    place.rmdir()
    after.rename(place)
    shutil.rmtree(before)


def _copy(source: Path, target: Path) -> None:
    subprocess.run(["cp", "--archive", f"{source}/.", target], check=True)
    found = source.stat()
    os.chown(target, found.st_uid, found.st_gid)
    target.chmod(found.st_mode & 0o777)


@contextmanager
def full(place: Path) -> Iterator[None]:
    """The disk has no room left."""
    ballast = place / "ballast"
    try:
        with open(ballast, "wb") as file:
            _fill(file.fileno())
        yield
    finally:
        ballast.unlink(missing_ok=True)


def _fill(file: int) -> None:
    """Take all that is left, while others write too."""
    size, taken = BYTES, 0
    while size >= PAGE:
        try:
            os.posix_fallocate(file, taken, size)
            taken += size
        except OSError:
            size //= 2
