"""Prefect: flow runs that are under way, that wait, and that ended within a month, asked over its REST API.

Prefect itself is not imported: that takes seconds, and reads settings from the user's folder.
"""

import base64
import os
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
from tenacity import retry, retry_if_exception, stop_after_attempt, wait_fixed

from dashboard.read_model.away import Away
from dashboard.read_model.database import Database
from tasks.servers import ORCHESTRATOR, PATIENCE, cause, without_password

PAGE = 200
MONTH = timedelta(days=30)
UNDER_WAY = ["RUNNING", "PENDING", "PAUSED", "CANCELLING"]
WAITING = ["SCHEDULED"]  # asked apart: a deployment has up to a hundred of them
ENDED = ["COMPLETED", "FAILED", "CRASHED", "CANCELLED"]


def read(database: Database) -> None:
    """Take in the flow runs. Away where no server is known, or it does not answer."""
    url = os.environ.get(ORCHESTRATOR)
    if not url:
        raise Away(f"no server is known; name one with {ORCHESTRATOR}", expected=True)
    try:
        with httpx.Client(base_url=url.rstrip("/"), headers=_credentials(), timeout=PATIENCE) as client:
            found = [run for states in (UNDER_WAY, WAITING) for run in _flow_runs(client, states, None)]
            found += _flow_runs(client, ENDED, datetime.now(UTC) - MONTH)
            names = _deployments(client, {run["deployment_id"] for run in found if run.get("deployment_id")})
        rows = [_row(run, names) for run in found]
    except (httpx.HTTPError, httpx.InvalidURL, ValueError, TypeError, KeyError, AttributeError) as error:
        raise Away(f"{without_password(url)}: no Prefect server answers there ({cause(error)})") from error
    with database.writing() as writing:
        writing.execute("delete from flow_runs")
        writing.executemany("insert or replace into flow_runs values (?, ?, ?, ?, ?, ?, ?, ?)", rows)


def _credentials() -> dict[str, str]:
    if key := os.environ.get("PREFECT_API_KEY"):
        return {"authorization": f"Bearer {key}"}
    if pair := os.environ.get("PREFECT_API_AUTH_STRING"):
        return {"authorization": f"Basic {base64.b64encode(pair.encode()).decode()}"}
    return {}


def _flow_runs(client: httpx.Client, states: list[str], since: datetime | None) -> list[dict[str, Any]]:
    """The newest ``PAGE`` in one of these states; ``since``: that were to start later."""
    wanted: dict[str, Any] = {"state": {"type": {"any_": states}}}
    if since:
        wanted["expected_start_time"] = {"after_": since.isoformat()}
    return _ask(client, "/flow_runs/filter", {"flow_runs": wanted, "limit": PAGE, "sort": "EXPECTED_START_TIME_DESC"})


def _deployments(client: httpx.Client, ids: set[str]) -> dict[str, str]:
    if not ids:
        return {}
    found = _ask(client, "/deployments/filter", {"deployments": {"id": {"any_": sorted(ids)}}, "limit": PAGE})
    return {each["id"]: each["name"] for each in found}


def _busy(error: BaseException) -> bool:
    """A Prefect server whose SQLite file is locked for the moment answers 503."""
    return isinstance(error, httpx.HTTPStatusError) and error.response.status_code == 503


@retry(retry=retry_if_exception(_busy), wait=wait_fixed(0.5), stop=stop_after_attempt(4), reraise=True)
def _ask(client: httpx.Client, path: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    answer = client.post(path, json=asked)
    answer.raise_for_status()
    return answer.json()


def _row(run: dict[str, Any], deployments: dict[str, str]) -> tuple[object, ...]:
    state = run.get("state") or {}
    times = (_seconds(run.get(name)) for name in ("start_time", "end_time", "expected_start_time"))
    return run["id"], run["name"], deployments.get(run.get("deployment_id") or ""), run["state_type"], state.get("message"), *times


def _seconds(time: str | None) -> float | None:
    return datetime.fromisoformat(time).timestamp() if time else None
