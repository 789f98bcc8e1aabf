"""A stack of the tests' own, with all its services; ``make stack-faults``."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from infra.local import lifecycle
from infra.local.stack import PORTS, Settings, Stack


def free_ports() -> int:
    """The first of as many free ports as a stack needs."""
    for first in range(7400 + os.getpid() % 500 * 10, 32000, len(PORTS)):
        if all(_free(first + number) for number in range(len(PORTS))):
            return first
    raise AssertionError("no free ports")


def _free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    """It runs; at the end it is stopped and removed. ``ULMFIT_STACK``: one that runs already, which stays."""
    if given := os.environ.get("ULMFIT_STACK"):
        yield Stack.open(Path(given))
        return
    folder = Path(tempfile.mkdtemp(prefix="stack-"))  # not in pytest's own folder, which PostgreSQL's user cannot enter
    folder.chmod(0o711)
    handler = signal.signal(signal.SIGINT, signal.SIG_IGN)  # as in the background of a shell
    stack = lifecycle.up(folder / "s", Settings(port=free_ports(), dask_workers=2), None, print)
    signal.signal(signal.SIGINT, handler)
    yield stack
    lifecycle.down(stack)
    shutil.rmtree(folder)
