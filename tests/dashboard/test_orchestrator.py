"""Flow runs of a real Prefect server on the page Now."""

from __future__ import annotations

import threading
from contextlib import nullcontext
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from dashboard.read_model import orchestrator
from dashboard.read_model.away import Away
from tests.dashboard.home import Home
from tests.prefect_rest import ask


def test_flow_runs_under_way_and_those_that_failed(home: Home, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    make = lambda path, **facts: ask(f"{prefect_api}{path}", facts)["id"]
    flow = make("/flows/", name="retrain of the dashboard's tests")
    deployment = make("/deployments/", name="nightly", flow_id=flow)
    run = lambda name, **state: make("/flow_runs/", name=name, flow_id=flow, deployment_id=deployment, state=state)
    run("<b>brave-fox", type="RUNNING")
    run("sad-owl", type="FAILED", message="the disk is full")
    with home.looking() as client:
        found = client.get("/api/v1/now").json()
        (running,) = [each for each in found["flow_runs"] if each["name"] == "<b>brave-fox"]
        assert (running["state"], running["deployment"]) == ("RUNNING", "nightly") and running["started"]
        assert "Prefect's flow run sad-owl of nightly: the disk is full" in {each["reason"] for each in found["attention"]}
        assert "&lt;b&gt;brave-fox" in client.get("/").text
        run("glad-owl", type="COMPLETED")
        ask(f"{prefect_api}/flow_runs/{run('late-owl', type='RUNNING')}/set_state", {"state": {"type": "COMPLETED"}})
        home.read()
        assert not [each for each in client.get("/api/v1/now").json()["attention"] if "sad-owl" in each["reason"]]


def test_without_a_server_nothing_is_missing(home: Home) -> None:
    with home.looking() as client:
        state = {each["name"]: each["state"] for each in client.get("/api/v1/sources").json()}
        assert state["Prefect"] == "absent" and "does not answer" not in client.get("/").text


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/api", "no address", "http://[", "ftp://host/api"])
def test_what_is_no_server_is_told(home: Home, monkeypatch: pytest.MonkeyPatch, url: str) -> None:
    monkeypatch.setenv("PREFECT_API_URL", url)
    home.database.set_up()
    with pytest.raises(Away, match="no Prefect server answers there"):
        orchestrator.read(home.database)


@pytest.mark.parametrize(("refusals", "answers"), [(1, True), (99, False)])
def test_a_busy_server_is_asked_again_and_not_for_ever(home: Home, monkeypatch: pytest.MonkeyPatch, refusals: int, answers: bool) -> None:
    left = iter([503] * refusals)

    class Busy(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.send_response(next(left, 200))
            self.end_headers()
            self.wfile.write(b"[]")

    home.database.set_up()
    with ThreadingHTTPServer(("127.0.0.1", 0), Busy) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("PREFECT_API_URL", f"http://127.0.0.1:{server.server_port}")
        with nullcontext() if answers else pytest.raises(Away, match="503"):
            orchestrator.read(home.database)
        server.shutdown()
    assert bool(next(left, None)) is not answers
