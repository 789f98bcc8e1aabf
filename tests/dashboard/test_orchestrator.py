"""Flow runs of a real Prefect server on the page Now."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from dashboard.read_model import orchestrator
from dashboard.read_model.away import Away
from tests.dashboard.home import Home


def test_flow_runs_under_way_and_those_that_failed(home: Home, prefect_api: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PREFECT_API_URL", prefect_api)
    with httpx.Client(base_url=prefect_api, timeout=30) as prefect:

        def ask(path: str, **facts: Any) -> Any:
            answer = prefect.post(path, json=facts)
            answer.raise_for_status()
            return answer.json()["id"]

        flow = ask("/flows/", name="retrain of the dashboard's tests")
        deployment = ask("/deployments/", name="nightly", flow_id=flow)
        run = lambda name, **state: ask("/flow_runs/", name=name, flow_id=flow, deployment_id=deployment, state=state)
        run("<b>brave-fox", type="RUNNING")
        run("sad-owl", type="FAILED", message="the disk is full")
        with home.looking() as client:
            found = client.get("/api/v1/now").json()
            (running,) = [each for each in found["flow_runs"] if each["name"] == "<b>brave-fox"]
            assert (running["state"], running["deployment"]) == ("RUNNING", "nightly") and running["started"]
            assert "Prefect's flow run sad-owl of nightly: the disk is full" in {each["reason"] for each in found["attention"]}
            assert "&lt;b&gt;brave-fox" in client.get("/").text
            run("glad-owl", type="COMPLETED")
            prefect.post(
                f"/flow_runs/{run('late-owl', type='RUNNING')}/set_state", json={"state": {"type": "COMPLETED"}}
            ).raise_for_status()
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
