"""Starting twice, a supervisor that is killed, stopping: no process is lost or left."""

from __future__ import annotations

import os
import socket

import psutil
import pytest

from infra.local import lifecycle, supervision
from infra.local.stack import PORTS, Stack

pytestmark = [pytest.mark.stack, pytest.mark.timeout(1200)]


def pids(stack: Stack) -> dict[str, int]:
    return {name: one.pid for name, one in supervision.running(stack).items()}


def alive(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


def test_starting_twice_changes_nothing(stack: Stack) -> None:
    before, written = pids(stack), (stack.secrets / "credentials.json").read_bytes()
    lifecycle.up(stack.folder, stack.settings, None, print)
    assert pids(stack) == before and len(before) > 8
    assert (stack.secrets / "credentials.json").read_bytes() == written


def test_a_supervisor_that_is_killed_and_what_it_leaves(stack: Stack) -> None:
    before = pids(stack)
    os.kill(supervision.ask(stack).supervisor.getPID(), 9)  # type: ignore[arg-type]
    assert all(state.fault == "the supervisor does not run" for state in lifecycle.status(stack))
    assert all(alive(pid) for pid in before.values())
    lifecycle.up(stack.folder, stack.settings, None, print)
    assert not any(alive(pid) for pid in before.values())
    assert not [state for state in lifecycle.status(stack) if state.fault]


def test_stopped_it_leaves_no_process_and_no_port(stack: Stack) -> None:
    family = supervision.processes(stack)
    assert len(family) > len(supervision.running(stack)) > 8, "supervisor, services, and what they have started"
    assert lifecycle.down(stack) == 0, "all stop by themselves"
    assert not supervision.processes(stack) and not [process for process in family if alive(process.pid)]
    for name in PORTS:
        with socket.socket() as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind(("127.0.0.1", stack.port(name)))
    assert lifecycle.down(stack) == 0, "a second time there is nothing to stop"
    lifecycle.up(stack.folder, stack.settings, None, print)
