"""The servers of a soak as processes: Prefect's and MLflow's, which can be killed and started again on their ports."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import psutil

from cli.prefect_server import QUIET, free_port, server_command

LEAN = {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}  # its job runners take 2 GB and are not used
PATIENCE = 120.0  # seconds that a server may take to answer


class Service:
    """A server in a process group of its own. Its memory is that of the group."""

    def __init__(self, name: str, command: list[str], health: str, folder: Path, environment: dict[str, str]):
        self.name, self.command, self.health, self.folder, self.environment = name, command, health, folder, environment
        folder.mkdir(parents=True, exist_ok=True)
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start, and wait until it answers."""
        with open(self.folder / f"{self.name}.log", "ab") as log:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                env=self.environment,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                start_new_session=True,
            )
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline:
            try:
                with urllib.request.urlopen(self.health, timeout=2):
                    return
            except (urllib.error.URLError, OSError):
                time.sleep(0.2)
        raise AssertionError(f"{self.name} does not answer; see {self.folder}")

    def kill(self) -> None:
        """As if the machine had lost power."""
        if self.process and self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()

    @property
    def megabytes(self) -> float:
        """Resident memory of the server and its workers."""
        assert self.process
        server = psutil.Process(self.process.pid)
        return sum(process.memory_info().rss for process in (server, *server.children(recursive=True))) / 1e6


def services(folder: Path) -> tuple[dict[str, Service], dict[str, str]]:
    """Both servers, and the variables by which the command line finds them."""
    clean = {name: value for name, value in os.environ.items() if not name.startswith(("ULMFIT_", "MLFLOW_", "PREFECT_"))}
    prefect, mlflow = free_port(), free_port()
    own = QUIET | {
        "PREFECT_HOME": str(folder / "prefect"),
        "PREFECT_SERVER_DATABASE_CONNECTION_URL": f"sqlite+aiosqlite:///{folder}/prefect/prefect.db",
        "PREFECT_API_URL": f"http://127.0.0.1:{prefect}/api",
    }
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(mlflow), "--workers", "1",
               "--backend-store-uri", f"sqlite:///{folder}/mlflow/mlflow.db", "--artifacts-destination", str(folder / "mlflow" / "artifacts")]  # fmt: skip
    found = {
        "prefect": Service("prefect", server_command(prefect), f"http://127.0.0.1:{prefect}/api/health", folder / "prefect", clean | own),
        "mlflow": Service("mlflow", command, f"http://127.0.0.1:{mlflow}/health", folder / "mlflow", clean | LEAN),
    }
    return found, {"PREFECT_API_URL": own["PREFECT_API_URL"], "MLFLOW_TRACKING_URI": f"http://127.0.0.1:{mlflow}"}
