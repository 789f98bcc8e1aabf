"""What is running, how far it is and when it will be done, by the last runs of its kind; and what ended badly since."""

import json
import sqlite3
from datetime import datetime
from statistics import median

from dashboard.queries.sources import time_of
from ulmfit.store.json import Facts

LAST = 5  # finished runs that say how long one takes
BAD = ("FAILED", "KILLED")
STAGE = "ulmfit.stage."


class Running(Facts):
    """A run of MLflow that is under way. ``stages``: those at work now; ``done`` of about ``of`` stages; ``seconds_left``: by runs before it.

    None where there was none before.
    """

    id: str
    name: str
    flow: str | None
    experiment: str
    started: datetime
    stages: list[str]
    done: int
    of: int | None
    seconds: float
    seconds_left: float | None


class Failure(Facts):
    """A run that failed, and after which none of its kind was finished. ``error``: as far as is known."""

    id: str
    name: str
    experiment: str
    status: str
    ended: datetime | None


class FlowRun(Facts):
    """A flow run of Prefect."""

    id: str
    name: str
    deployment: str | None
    state: str
    says: str | None
    started: datetime | None
    ended: datetime | None
    expected: datetime | None


def running(reading: sqlite3.Connection, now: float) -> list[Running]:
    """Runs under way that are no part of another, the newest first. ``now``: seconds since the epoch."""
    rows = reading.execute("select * from runs where status = 'RUNNING' and parent is null order by started desc, id limit 50")
    return [_running(reading, row, now) for row in rows]


def _running(reading: sqlite3.Connection, row: sqlite3.Row, now: float) -> Running:
    stages = reading.execute("select name from runs where parent = ? and status = 'RUNNING' order by started", [row["id"]])
    before = "select started, ended, tags from runs where experiment = ? and flow is ? and status = 'FINISHED' and parent is null and ended"
    last = reading.execute(f"{before} order by started desc limit {LAST}", [row["experiment"], row["flow"]]).fetchall()
    usual = median(each["ended"] - each["started"] for each in last) if last else None
    seconds = max(0.0, now - row["started"])
    return Running(
        id=row["id"],
        name=row["name"] or "",
        flow=row["flow"],
        experiment=row["experiment"],
        started=time_of(row["started"]),
        stages=[each["name"] or "" for each in stages],
        done=_stages(row),
        of=max(map(_stages, last)) if last else None,
        seconds=seconds,
        seconds_left=None if usual is None else max(0.0, usual - seconds),
    )


def _stages(row: sqlite3.Row) -> int:
    """Stages that a flow's run has noted as ended."""
    return sum(tag.startswith(STAGE) for tag in json.loads(row["tags"]))


def failures(reading: sqlite3.Connection, since: float) -> list[Failure]:
    """Runs that ended badly after ``since`` (seconds since the epoch), if none of the same experiment and flow was finished later."""
    query = f"""select * from runs as failed where parent is null and status in {BAD} and coalesce(ended, started) >= ?
      and not exists (select 1 from runs as later where later.experiment = failed.experiment and later.flow is failed.flow
        and later.parent is null and later.status = 'FINISHED' and later.started > failed.started)
      order by started desc limit 20"""
    return [
        Failure(id=row["id"], name=row["name"] or "", experiment=row["experiment"], status=row["status"], ended=time_of(row["ended"]))
        for row in reading.execute(query, [since])
    ]


def flow_runs(reading: sqlite3.Connection, states: tuple[str, ...], limit: int = 20) -> list[FlowRun]:
    """Flow runs in one of these states, the latest first."""
    marks = ", ".join("?" * len(states))
    order = "order by coalesce(started, expected) desc limit ?"
    rows = reading.execute(f"select * from flow_runs where state in ({marks}) {order}", [*states, limit])
    times = ("started", "ended", "expected")
    return [FlowRun(**{**dict(row), **{name: time_of(row[name]) for name in times}}) for row in rows]
