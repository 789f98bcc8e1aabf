"""A Prefect server for the duration of one command, unless ``PREFECT_API_URL`` names one.

Without a server, Prefect loses task runs when it exits, and Dask workers start servers of their own.
"""

import ctypes
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import chdir, contextmanager
from pathlib import Path

from cli.surroundings import past_proxies
from tasks.workspace import Workspace, sqlite_address
from ulmfit.errors import RunFailed, UserError

START_SECONDS = 90.0
QUIET = {"PREFECT_SERVER_ANALYTICS_ENABLED": "false", "PREFECT_SERVER_LOGGING_LEVEL": "WARNING", "DO_NOT_TRACK": "1"}


@contextmanager
def prefect_server(workspace: Workspace) -> Iterator[str]:
    """Yield the address of the API; a server that is started here is stopped at the end.

    Enter this before Prefect is imported. UserError if the server of PREFECT_API_URL does not answer, RunFailed if ours does not start.
    """
    if known := os.environ.get("PREFECT_API_URL"):
        check_prefect(workspace)
        yield known
        return
    port, log = free_port(), workspace.prefect_home / "server.log"
    url = f"http://127.0.0.1:{port}/api"
    database = sqlite_address(workspace.prefect_database, "aiosqlite")
    own = {"PREFECT_HOME": str(workspace.prefect_home), "PREFECT_API_URL": url, "PREFECT_SERVER_DATABASE_CONNECTION_URL": database}
    os.environ.update(QUIET | own | past_proxies(os.environ))
    log.parent.mkdir(parents=True, exist_ok=True)
    with workspace.store.lock("prefect"), open(log, "ab") as output:  # a new database is set up by one server, not by two at once
        # Not in the user's folder: its Python files would be imported in place of libraries, and its Prefect settings read.
        server = subprocess.Popen(
            server_command(port), cwd=log.parent, stdout=output, stderr=output, stdin=subprocess.DEVNULL, preexec_fn=_die_with_parent
        )
        import_prefect(workspace)
        wait_until_it_answers(url, server, log)
    try:
        yield url
    finally:
        server.terminate()
        try:
            server.wait(10)
        except subprocess.TimeoutExpired:
            server.kill()
        del os.environ["PREFECT_API_URL"]


def check_prefect(workspace: Workspace) -> None:
    """UserError if the server that ``PREFECT_API_URL`` names does not answer."""
    from tasks.servers import check_orchestrator

    if known := os.environ.get("PREFECT_API_URL"):
        import_prefect(workspace)
        check_orchestrator(known)


def import_prefect(workspace: Workspace) -> None:
    """Import Prefect, which reads its settings then: not those in the user's folder (prefect.toml, pyproject.toml, .env) or home."""
    workspace.prefect_home.mkdir(parents=True, exist_ok=True)
    os.environ["PREFECT_HOME"] = str(workspace.prefect_home)
    try:
        with chdir(workspace.prefect_home):
            import prefect.main  # noqa: F401
    except ValueError as error:  # pydantic's; its last line but one has the reason
        reason = str(error).partition("\n  ")[2].partition(" [")[0] or str(error)
        named = ", ".join(sorted(name for name in os.environ if name.startswith("PREFECT_API_") or name == "PREFECT_CLIENT_CUSTOM_HEADERS"))
        raise UserError(f"Prefect cannot read its variables ({reason}); correct or unset one of these: {named}") from error


def server_command(port: int) -> list[str]:
    """The command that ``prefect server start`` runs, without a process around it."""
    application = "prefect.server.api.server:create_app"
    return [
        sys.executable,
        "-P",
        "-m",
        "uvicorn",
        "--factory",
        application,
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--log-level",
        "warning",
    ]


def free_port() -> int:
    """A TCP port of the loopback interface that is free now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _die_with_parent() -> None:
    """Linux ends the server when the command is killed, so that none is left behind. Ctrl-C does not reach the server."""
    os.setpgrp()
    if sys.platform == "linux":
        set_parent_death_signal = 1
        ctypes.CDLL(None).prctl(set_parent_death_signal, signal.SIGTERM)


def wait_until_it_answers(url: str, server: subprocess.Popen[bytes], log: Path) -> None:
    """RunFailed where the server ends, or does not answer for ``START_SECONDS``."""
    remedy = f"free some space if the disk is full, see ulmfit doctor and {log}, and run the same command again"
    deadline, direct = time.monotonic() + START_SECONDS, urllib.request.build_opener(urllib.request.ProxyHandler({}))
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise RunFailed(f"the Prefect server ended while starting ({_last_line(log)}); {remedy}")
        try:
            with direct.open(f"{url}/health", timeout=2):
                return
        except (urllib.error.URLError, OSError):
            time.sleep(0.2)
    server.kill()
    raise RunFailed(f"the Prefect server did not answer within {START_SECONDS:.0f} s; {remedy}")


def _last_line(log: Path) -> str:
    """What the server said last, in at most 200 letters."""
    said = [line for line in log.read_text(errors="replace").splitlines()[-50:] if line.strip()]
    reasons = [line for line in said if "Error" in line] or said or ["without a word, as on a full disk"]
    return " ".join(reasons[-1].split())[:200]
