"""MLflow or Prefect is down: pages are there with what was read before, and say so."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Sequence
from pathlib import Path

import pytest
from mlflow import MlflowClient

from cli.prefect_server import free_port
from dashboard.read_model.refreshing import Refreshing
from tests.conftest import CommandLine
from tests.dashboard.home import Home
from tests.integration.test_prefect_away import PrefectServer
from tests.integration.test_tracking_away import MlflowServer
from tests.report.example import Page

PAGES = ("/", "/models", "/model?name=tickets", "/runs", "/cost", "/metrics", "/feed.atom", "/healthz")


@pytest.mark.parametrize(("source", "variable"), [("MLflow", "MLFLOW_TRACKING_URI"), ("Prefect", "PREFECT_API_URL")])
def test_what_was_read_before_stays_and_the_page_says_so(lived: Home, monkeypatch: pytest.MonkeyPatch, source: str, variable: str) -> None:
    with lived.looking() as client:
        before = client.get("/api/v1/models").json()
        monkeypatch.setenv(variable, f"http://user:secret@127.0.0.1:{free_port()}/api")
        Refreshing(lived.workspace, lived.database).read(source)
        assert client.get("/api/v1/models").json() == before and before[0]["champion"] == "2"
        for page in PAGES:
            assert client.get(page).status_code == 200
        for page in PAGES[:5]:
            text = Page(client.get(page).text).text
            assert f"{source} does not answer." in text and "secret" not in text
        state = {each["name"]: each["state"] for each in client.get("/api/v1/sources").json()}
        assert state[source] == "down" and state["decisions"] == "read"
        assert f'ulmfit_source_up{{source="{source}"}} 0.0' in client.get("/metrics").text


def test_a_damaged_store_of_mlflow_is_told_in_one_line(lived: Home) -> None:
    with lived.looking() as client:
        lived.workspace.database.write_bytes(b"no database")
        Refreshing(lived.workspace, lived.database).read("MLflow")
        assert "MLflow does not answer." in Page(client.get("/").text).text


def test_a_registry_that_was_never_read_leaves_what_the_decisions_say(lived: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    (lived.workspace.root / "dashboard.db").unlink()
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"http://127.0.0.1:{free_port()}")
    with lived.looking() as client:
        found = client.get("/api/v1/now").json()
        assert [model["champion"] for model in found["models"]] == ["2"]
        assert "no champion" not in {each["kind"] for each in found["attention"]}
        assert "It was not read yet" in client.get("/model", params={"name": "tickets"}).text


def test_a_workspace_without_a_store_of_runs_is_no_fault(lived: Home) -> None:
    (lived.workspace.root / "dashboard.db").unlink()
    lived.workspace.database.unlink()
    with lived.looking() as client:
        assert {each["name"]: each["state"] for each in client.get("/api/v1/sources").json()}["MLflow"] == "absent"
        assert "Version 2" in Page(client.get("/").text).text and not lived.workspace.database.exists()


class Dashboard:
    """``ulmfit dashboard`` as a process."""

    def __init__(self, folder: Path, options: Sequence[str] = (), **environment: str):
        known = {name: value for name, value in os.environ.items() if not name.startswith(("PREFECT_", "MLFLOW_", "ULMFIT_"))}
        command = CommandLine(folder, {**known, **environment})
        self.process = command.start("dashboard", "--workspace", str(folder / "home"), "--port", "0", *options)
        assert self.process.stderr
        self.url = ""
        for line in self.process.stderr:
            if found := re.search(r"is at (http://\S+)/", line):
                self.url = found.group(1)
                return
        pytest.fail("the dashboard did not start")

    def ask(self, path: str) -> str:
        with urllib.request.urlopen(f"{self.url}{path}", timeout=30) as answer:
            return answer.read().decode()

    def becomes(self, path: str, wanted: Callable[[str], bool]) -> str:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if wanted(found := self.ask(path)):
                return found
            time.sleep(0.5)
        pytest.fail(f"{path} is still: {found[-3000:]}")

    def end(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        try:
            return self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            raise


@pytest.mark.slow
@pytest.mark.server
@pytest.mark.timeout(600)
def test_real_servers_are_killed_and_come_back(tmp_path: Path) -> None:
    servers = {"MLflow": MlflowServer(tmp_path / "mlflow"), "Prefect": PrefectServer(tmp_path / "prefect")}
    for server in servers.values():
        server.folder.mkdir()
        server.start()
    client = MlflowClient(servers["MLflow"].url)
    client.create_registered_model("tickets")
    site = Dashboard(tmp_path, MLFLOW_TRACKING_URI=servers["MLflow"].url, PREFECT_API_URL=servers["Prefect"].url)
    try:
        flow = _post(servers["Prefect"], "/flows/", {"name": "retrain"})["id"]
        _post(servers["Prefect"], "/flow_runs/", {"flow_id": flow, "name": "brave-fox", "state": {"type": "RUNNING"}})
        site.becomes("/", lambda page: "tickets" in page and "brave-fox" in page)
        for name, server in servers.items():
            server.kill()
            page = site.becomes("/", lambda page, name=name: f"{name} does not answer." in page)
            assert "tickets" in page and "brave-fox" in page
            server.start()
            site.becomes("/", lambda page, name=name: f"{name} does not answer." not in page)
        assert "libtorch" not in Path(f"/proc/{site.process.pid}/maps").read_text(), "a site needs no model in memory"
        client.create_registered_model("reviews")
        site.becomes("/models", lambda page: "reviews" in page)
    finally:
        for server in servers.values():
            server.kill()
        assert site.end() == 0


def _post(server: PrefectServer, path: str, facts: dict[str, object]) -> dict[str, str]:
    request = urllib.request.Request(f"{server.url}{path}", json.dumps(facts).encode(), {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return json.load(answer)
