"""The runs of MLflow: a table that can be filtered, 50 per page; one run in full; several side by side."""

import json
import sqlite3
import time
from collections.abc import Sequence
from datetime import datetime
from typing import Literal

from dashboard.queries.sources import time_of
from tasks.tracking import metric_name
from ulmfit.directions import ENSEMBLE, WITH_WORDS
from ulmfit.store.json import Facts

PAGE = 50
COLUMNS = "runs.*, (select metrics from runs as part where part.parent = runs.id and part.kind = 'evaluation' limit 1) as judged"
ACCURACIES = (
    *(metric_name(f"{answer}.accuracy") for answer in (WITH_WORDS, ENSEMBLE)),
    "valid_accuracy",
)  # ends of names of metrics, the best first
MOST_COMPARED = 6
Status = Literal["RUNNING", "FINISHED", "FAILED", "KILLED", "SCHEDULED"]


class Filter(Facts):
    """Which runs. ``text``: in the name; ``parts``: stages and trials too, which are parts of other runs."""

    text: str = ""
    status: Status | None = None
    experiment: str = ""
    flow: str = ""
    parts: bool = False


class Run(Facts):
    """A run. ``flow``: what was run; of a stage, its kind. ``seconds``: that it took, or takes by now. ``accuracy``: see :func:`_accuracy`."""

    id: str
    name: str
    experiment: str
    status: str
    flow: str
    started: datetime
    seconds: float | None
    accuracy: float | None


class Runs(Facts):
    """A page of runs, the newest first. ``number``: of all that fit; ``pages``: from 1. ``experiments`` and ``flows``: that there are."""

    filter: Filter
    runs: list[Run]
    number: int
    page: int
    pages: int
    experiments: list[str]
    flows: list[str]


class RunFacts(Facts):
    """All of one run. ``tags``: those of ours; ``artifact``: the key of what it made. ``versions``: of models that it registered."""

    run: Run
    parent: Run | None
    parts: list[Run]
    parameters: dict[str, str]
    metrics: dict[str, float]
    tags: dict[str, str]
    artifact: str | None
    versions: list[tuple[str, int]]


class Row(Facts):
    """What runs have under one name, in their order; None where one has nothing."""

    name: str
    values: list[str | float | None]

    @property
    def differs(self) -> bool:
        """Whether they are not all the same."""
        return len(set(self.values)) > 1


class Compared(Facts):
    """Runs side by side. What differs comes first."""

    runs: list[Run]
    parameters: list[Row]
    metrics: list[Row]


def runs(reading: sqlite3.Connection, wanted: Filter, page: int) -> Runs:
    """The ``page``-th page of the runs that fit."""
    where, values = _where(wanted)
    number = reading.execute(f"select count(*) from runs where {where}", values).fetchone()[0]
    pages = max(1, -(-number // PAGE))
    page = min(max(page, 1), pages)
    rows = reading.execute(
        f"select {COLUMNS} from runs where {where} order by started desc, id limit ? offset ?", [*values, PAGE, (page - 1) * PAGE]
    )
    return Runs(
        filter=wanted,
        runs=[_run(row) for row in rows],
        number=number,
        page=page,
        pages=pages,
        experiments=[row["name"] for row in reading.execute("select name from experiments order by name")],
        flows=[row[0] for row in reading.execute("select distinct flow from runs where flow is not null order by 1")],
    )


def _where(wanted: Filter) -> tuple[str, list[str]]:
    """A condition of ours, and the user's values for its marks."""
    parts, values = ["1"], []
    if not wanted.parts:
        parts.append("parent is null")
    if wanted.text:
        parts.append("instr(lower(name), lower(?))")
        values.append(wanted.text)
    for column, value in (("status", wanted.status), ("experiment", wanted.experiment), ("flow", wanted.flow)):
        if value:
            parts.append(f"{column} = ?")
            values.append(value)
    return " and ".join(parts), values


def _run(row: sqlite3.Row) -> Run:
    ended = row["ended"] or (time.time() if row["status"] == "RUNNING" else None)
    return Run(
        id=row["id"],
        name=row["name"] or "",
        experiment=row["experiment"],
        status=row["status"],
        flow=row["flow"] or row["kind"] or "",
        started=time_of(row["started"]),
        seconds=max(0.0, ended - row["started"]) if ended else None,
        accuracy=_accuracy(row),
    )


def _accuracy(row: sqlite3.Row) -> float | None:
    """Of the model's answer on held-out rows, as the run or its stage ``evaluate`` logged it; else of a training on its validation rows."""
    logged = [json.loads(metrics) for metrics in (row["metrics"], row["judged"]) if metrics]
    found = (metrics[name] for metrics in logged for end in ACCURACIES for name in sorted(metrics) if name.endswith(end))
    return next(found, None)


def run(reading: sqlite3.Connection, id_: str) -> RunFacts | None:
    """The run of that id; None where there is none."""
    row = reading.execute(f"select {COLUMNS} from runs where id = ?", [id_]).fetchone()
    if row is None:
        return None
    parent = reading.execute(f"select {COLUMNS} from runs where id = ?", [row["parent"]]).fetchone()
    parts = reading.execute(f"select {COLUMNS} from runs where parent = ? order by started, id limit 500", [id_])
    made = reading.execute("select model, version from versions where run_id = ? order by model, version", [id_])
    return RunFacts(
        run=_run(row),
        parent=_run(parent) if parent else None,
        parts=[_run(part) for part in parts],
        parameters=json.loads(row["parameters"]),
        metrics=json.loads(row["metrics"]),
        tags=json.loads(row["tags"]),
        artifact=row["artifact"],
        versions=[tuple(version) for version in made],
    )


def compared(reading: sqlite3.Connection, ids: Sequence[str]) -> Compared:
    """The runs of these ids that there are, at most ``MOST_COMPARED``."""
    rows = [reading.execute(f"select {COLUMNS} from runs where id = ?", [id_]).fetchone() for id_ in dict.fromkeys(ids)]
    found = [row for row in rows if row is not None][:MOST_COMPARED]
    return Compared(
        runs=[_run(row) for row in found], parameters=_side_by_side(found, "parameters"), metrics=_side_by_side(found, "metrics")
    )


def _side_by_side(rows: Sequence[sqlite3.Row], column: str) -> list[Row]:
    each = [json.loads(row[column]) for row in rows]
    names = dict.fromkeys(name for facts in each for name in facts)
    found = [Row(name=name, values=[facts.get(name) for facts in each]) for name in sorted(names)]
    return sorted(found, key=lambda row: not row.differs)
