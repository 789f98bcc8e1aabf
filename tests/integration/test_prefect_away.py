"""A Prefect server that is killed in the middle of a run and comes back: the run ends well, and the server knows."""

from __future__ import annotations

import os
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli.prefect_server import free_port, server_command
from tests.conftest import CommandLine, write_tickets
from tests.prefect_rest import ask

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(400)]


class PrefectServer:
    """On one port and database, whenever it runs."""

    def __init__(self, folder: Path):
        self.folder, self.port = folder, free_port()
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/api"

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("PREFECT_")}
        environment |= {"PREFECT_HOME": str(self.folder), "PREFECT_SERVER_ANALYTICS_ENABLED": "false"}
        with open(self.folder / "server.log", "ab") as log:
            self.process = subprocess.Popen(server_command(self.port), cwd=self.folder, env=environment, stdout=log, stderr=log)
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                urllib.request.urlopen(f"{self.url}/health", timeout=2).close()
                return
            except OSError:
                time.sleep(0.2)
        pytest.fail((self.folder / "server.log").read_text()[-2000:])

    def kill(self) -> None:
        if self.process:
            self.process.kill()
            self.process.wait()
            self.process = None


@pytest.fixture
def server(tmp_path: Path) -> Iterator[PrefectServer]:
    (tmp_path / "prefect").mkdir()
    server = PrefectServer(tmp_path / "prefect")
    server.start()
    yield server
    server.kill()


@pytest.mark.parametrize("back", ["at once", "at the end"])
def test_a_run_whose_server_restarts_ends_well(ulmfit: CommandLine, server: PrefectServer, tmp_path: Path, back: str) -> None:
    corpus = write_tickets(tmp_path / "tickets.csv", 300)
    options = ["--corpus", str(corpus), "--text-column", "body", "--label-column", "topic", "--preset", "tiny"]
    process = ulmfit.start("train", *options, "--workspace", str(tmp_path / "workspace"), PREFECT_API_URL=server.url)
    assert process.stderr
    said = ""
    for line in process.stderr:
        said += line
        if "tokenise: done" in line:
            server.kill()
            if back == "at once":
                server.start()
        if "evaluate: done" in line and back == "at the end":
            time.sleep(20)
            server.start()
    assert process.wait(200) == 0, said
    (run,) = ask(f"{server.url}/flow_runs/filter", {})
    assert (run["state_type"], run["run_count"]) == ("COMPLETED", 1), said
