"""Tracked runs for the dashboard to show: one is made through MLflow, and its rows are copied in the database, for a thousand would take minutes."""

from __future__ import annotations

import hashlib
import sqlite3
import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import dataclass

import numpy as np
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from tasks.calls import KEY_TAG, PARENT_TAG
from tasks.workspace import Workspace

STAGES = ("corpus", "tokens", "vocab", "ids", "language-model", "language-model", "classifier", "classifier", "evaluation")
HOUR, YEAR = 3_600_000, 365 * 86_400_000  # milliseconds


@dataclass(frozen=True)
class Copy:
    """A run to be copied from the first: its own id, name, status, times (milliseconds; None: not ended) and tags; None: it has no such tag."""

    id: str
    name: str
    status: str
    start: int
    end: int | None
    tags: Mapping[str, str | None]


def tracked_runs(workspace: Workspace, client: MlflowClient, experiment: str, number: int, rng: np.random.Generator) -> list[str]:
    """About so many runs, of flows and of their stages; the ids of the flows' runs, the newest first."""
    now = int(time.time() * 1000)
    first = _first(client, experiment, now)
    flows = max(1, number // (len(STAGES) + 1))
    copies = [copy for at in range(flows) for copy in _flow(at, now - at * YEAR // flows - 3_000_000, rng)]
    with closing(sqlite3.connect(workspace.database)) as connection, connection:
        connection.row_factory = sqlite3.Row
        for copy in copies:
            _write(connection, first, copy)
    client.delete_run(first)
    return [copy.id for copy in copies if PARENT_TAG not in copy.tags]


def _first(client: MlflowClient, experiment: str, now: int) -> str:
    """The run that is copied; its id."""
    tags = {"ulmfit.flow": "retrain", "ulmfit.corpus": "tickets"}
    run = client.create_run(experiment, tags=tags, run_name="retrain tickets").info.run_id
    names = ("accuracy", "macro_f1", *(f"figure{number}" for number in range(14)))
    metrics = [Metric(f"result.{name}", 0.9, now, 0) for name in names]
    params = [Param(f"finetune.option{number}", str(number / 10)) for number in range(30)]
    stages = [RunTag(f"ulmfit.stage.{name}-{number}", f"{'a' * 64} run={run}") for number, name in enumerate(STAGES)]
    client.log_batch(run, metrics, params, stages)
    client.set_terminated(run)
    return run


def _flow(number: int, begun: int, rng: np.random.Generator) -> list[Copy]:
    """The run of a flow and those of its stages. The first flow is under way: four of its stages have ended."""
    under_way = number == 0
    flow = "study" if number % 10 == 3 else "retrain"
    tags: dict[str, str | None] = {"ulmfit.flow": flow}
    if under_way:
        tags |= {f"ulmfit.stage.{name}-{at}": None for at, name in enumerate(STAGES) if at >= 4}
    status = "RUNNING" if under_way else "FAILED" if number % 20 == 7 else "FINISHED"
    id_ = hashlib.md5(f"flow {number}".encode()).hexdigest()
    name = f"{flow} {'claims' if number % 8 == 0 else 'tickets'}"
    found = [Copy(id_, name, status, begun, None if under_way else begun + HOUR, tags)]
    for at, stage in enumerate(STAGES[: 5 if under_way else None]):
        start = begun + at * 300_000
        end = start + int(rng.integers(60, 500)) * 1000
        running = under_way and at == 4
        part = hashlib.md5(f"{id_} {at}".encode()).hexdigest()
        own = {PARENT_TAG: id_, "ulmfit.kind": stage, KEY_TAG: "a" * 64, "ulmfit.flow": None}
        found.append(Copy(part, f"{stage}-{at}", "RUNNING" if running else "FINISHED", start, None if running else end, own))
    return found


def _write(connection: sqlite3.Connection, first: str, copy: Copy) -> None:
    """All rows of the ``first`` run once more, as those of the copy."""
    own = {"name": copy.name, "status": copy.status, "start_time": copy.start, "end_time": copy.end, "lifecycle_stage": "active"}
    tags = {"mlflow.runName": copy.name, **copy.tags}
    for table in ("runs", "metrics", "latest_metrics", "params", "tags"):
        for row in connection.execute(f"select * from {table} where run_uuid = ?", [first]).fetchall():
            if table == "tags" and row["key"] in tags:
                continue
            values = {**dict(row), "run_uuid": copy.id, **(own if table == "runs" else {})}
            connection.execute(f"insert into {table} values ({', '.join('?' * len(values))})", list(values.values()))
    rows = [(key, value, copy.id) for key, value in tags.items() if value is not None]
    connection.executemany("insert into tags (key, value, run_uuid) values (?, ?, ?)", rows)
