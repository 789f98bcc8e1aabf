"""A Prefect server for the time of one command, unless ``PREFECT_API_URL`` names one.

Without any server Prefect loses task runs when it exits, and Dask workers start servers of their own.
"""

from __future__ import annotations

import ctypes
import logging
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager

from tasks.workspace import Workspace

log = logging.getLogger(__name__)

START_SECONDS = 90.0
QUIET = {
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "PREFECT_SERVER_LOGGING_LEVEL": "WARNING",
    "DO_NOT_TRACK": "1",
}


@contextmanager
def prefect_server(workspace: Workspace) -> Iterator[str]:
    """The API's address; a server that was started here is stopped at the end.

    Prefect reads its settings when it is first imported, so this comes before that import.
    """
    known = os.environ.get("PREFECT_API_URL")
    if known:
        yield known
        return
    port = free_port()
    url = f"http://127.0.0.1:{port}/api"
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    os.environ.update({"PREFECT_HOME": str(workspace.prefect_home), "PREFECT_API_URL": url})
    workspace.prefect_home.mkdir(parents=True, exist_ok=True)
    with open(workspace.prefect_home / "server.log", "ab") as output:
        server = subprocess.Popen(server_command(port), stdout=output, stderr=output, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent)
    try:
        _wait(url, server, str(workspace.prefect_home / "server.log"))
        yield url
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
        del os.environ["PREFECT_API_URL"]


def server_command(port: int) -> list[str]:
    """What ``prefect server start`` runs, without the process around it."""
    application = "prefect.server.api.server:create_app"
    return [sys.executable, "-m", "uvicorn", "--factory", application, "--host", "127.0.0.1", "--port", str(port), "--log-level", "warning"]


def free_port() -> int:
    """A TCP port of the loopback that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _die_with_parent() -> None:
    """Linux ends the server when the command is killed, so that no kill leaves one behind; Ctrl-C is left to the command."""
    os.setpgrp()
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def _wait(url: str, server: subprocess.Popen[bytes], log_file: str) -> None:
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RuntimeError(f"the Prefect server ended with code {server.returncode} while starting; its log is {log_file}")
        try:
            with urllib.request.urlopen(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    raise RuntimeError(f"the Prefect server did not answer within {START_SECONDS:.0f} s; its log is {log_file}")
