"""MLflow: runs, models, versions and aliases, of which only what changed since the last look is asked for, 50 runs a page.

A run changes while it is running, so those are asked for each time; one that ended is found by its end, one that began by its start.
Versions are asked for when one of the models has changed. Setting a tag or an alias is no change there: aliases come with the models, which are
few, and what a decision tags is known from its record.
"""

import json
import os
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Set
from typing import TypeVar

from mlflow import MlflowClient
from mlflow.entities import Run, ViewType
from mlflow.entities.model_registry import ModelVersion, RegisteredModel
from mlflow.exceptions import MlflowException
from mlflow.store.entities import PagedList

from dashboard.read_model.away import Away
from dashboard.read_model.database import Database
from tasks.calls import EVALUATION_TAG, KEY_TAG, PARENT_TAG
from tasks.promotion import CHAMPION
from tasks.servers import TRACKING, check_tracking
from tasks.workspace import Workspace

Item = TypeVar("Item")

PAGE = 50  # runs; a thousand at once take 4 seconds
OVERLAP = 60_000  # milliseconds: clocks of machines that track differ
MODELS, RUNS = "models", "runs"  # names of cursors: milliseconds since the epoch up to which changes are known
BY_START = ["attributes.start_time ASC"]
SYSTEM = "system/"  # names of metrics of the machine's load, many and shown nowhere


def read(workspace: Workspace, database: Database) -> None:
    """Take in what changed. UserError or MlflowException where MLflow is down, Away where the workspace has no store."""
    if workspace.tracks_itself and not workspace.database.exists():  # MLflow would make one
        raise Away(f"the workspace has no store of runs; name a server with {TRACKING}", expected=True)
    os.environ.setdefault("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "1")  # the next look is soon
    check_tracking(workspace)
    client = MlflowClient(workspace.tracking_uri)
    _read_models(client, database)
    _read_runs(client, database)


def _pages(ask: Callable[[str | None], PagedList[Item]]) -> Iterator[PagedList[Item]]:
    token = None
    while True:
        page = ask(token)
        yield page
        token = page.token
        if not token:
            return


def _read_models(client: MlflowClient, database: Database) -> None:
    """All models, and all versions if one of the models has changed: one that is new or deleted changes its model's time."""
    models = [model for page in _pages(lambda token: client.search_registered_models(page_token=token)) for model in page]
    changed = max((int(model.last_updated_timestamp or 0) for model in models), default=0)
    versions = list(_versions(client)) if changed != _cursor(database, MODELS) else None
    with database.writing() as writing:
        writing.execute("delete from models")
        writing.executemany("insert into models values (?, ?, ?, ?)", map(_model_row, models))
        writing.execute("delete from versions where model not in (select name from models)")
        if versions is not None:
            writing.execute("delete from versions")
            writing.executemany("insert into versions values (?, ?, ?, ?, ?, ?, ?, ?)", map(_version_row, versions))
        _set_cursor(writing, MODELS, changed)


def _versions(client: MlflowClient) -> Iterator[ModelVersion]:
    for page in _pages(lambda token: client.search_model_versions(max_results=200, page_token=token)):
        yield from page


def _model_row(model: RegisteredModel) -> tuple[object, ...]:
    aliases = {alias: str(version) for alias, version in model.aliases.items()}
    return model.name, model.creation_timestamp / 1000, aliases.get(CHAMPION), json.dumps(aliases)


def _version_row(version: ModelVersion) -> tuple[object, ...]:
    tags = dict(version.tags)
    keys = tags.get(KEY_TAG), tags.get(EVALUATION_TAG)
    return version.name, int(version.version), version.creation_timestamp / 1000, version.run_id, *keys, version.status, json.dumps(tags)


def _read_runs(client: MlflowClient, database: Database) -> None:
    """Each page is seen as soon as it is read; the cursor moves when all are, and never beyond our own time: another machine's may be ahead."""
    experiments = {
        each.experiment_id: each.name for page in _pages(lambda token: client.search_experiments(page_token=token)) for each in page
    }
    with database.reading() as reading:
        known = {row["id"] for row in reading.execute("select id from experiments")}
        under_way = {row["id"] for row in reading.execute("select id from runs where status = 'RUNNING'")}
    cursor = newest = _cursor(database, RUNS)
    for ids, filters in _questions(experiments.keys() & known, experiments.keys() - known, max(0, cursor - OVERLAP)):
        for page in _search(client, ids, filters, ViewType.ACTIVE_ONLY):
            newest = max(newest, *(run.info.start_time or 0 for run in page), *(run.info.end_time or 0 for run in page), 0)
            under_way -= {run.info.run_id for run in page}
            _take(database, page, experiments)
    _take(database, _again(client, under_way), experiments)
    gone = [run.info.run_id for page in _search(client, list(experiments), "", ViewType.DELETED_ONLY) for run in page]
    with database.writing() as writing:
        writing.execute("delete from experiments")
        writing.executemany("insert into experiments values (?, ?)", experiments.items())
        writing.executemany("delete from runs where id = ?", [(id_,) for id_ in gone])
        writing.execute("delete from runs where experiment not in (select name from experiments)")
        _set_cursor(writing, RUNS, min(newest, int(time.time() * 1000)))


def _questions(known: Set[str], new: Set[str], since: int) -> Iterator[tuple[list[str], str]]:
    """Experiments, and the condition on their runs. ``new``: of which all runs are wanted, as of one that was deleted and brought back."""
    if new:
        yield sorted(new), ""
    if known:
        for condition in (f"start_time >= {since}", f"end_time >= {since}", "status = 'RUNNING'"):
            yield sorted(known), f"attributes.{condition}"


def _again(client: MlflowClient, ids: Iterable[str]) -> list[Run]:
    """Runs that were under way and are not any more, whatever the clock of their machine said; without those that are no longer there."""
    found = []
    for id_ in ids:
        try:
            found.append(client.get_run(id_))
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
    return found


def _take(database: Database, runs: Iterable[Run], experiments: Mapping[str, str]) -> None:
    with database.writing() as writing:
        writing.executemany(f"insert or replace into runs values ({', '.join('?' * 14)})", [_run_row(run, experiments) for run in runs])


def _search(client: MlflowClient, experiments: list[str], filters: str, view: int) -> Iterable[PagedList[Run]]:
    ask = lambda token: client.search_runs(experiments, filters, view, max_results=PAGE, order_by=BY_START, page_token=token)
    return _pages(ask) if experiments else ()


def _run_row(run: Run, experiments: Mapping[str, str]) -> tuple[object, ...]:
    info, tags = run.info, dict(run.data.tags)
    metrics = {name: value for name, value in run.data.metrics.items() if not name.startswith(SYSTEM)}
    own = {name: value for name, value in tags.items() if name.startswith("ulmfit.") and name != "ulmfit.inputs"}
    times = ((info.start_time or 0) / 1000, info.end_time / 1000 if info.end_time else None)
    about = (tags.get(PARENT_TAG), tags.get("ulmfit.flow"), tags.get("ulmfit.kind"), tags.get("ulmfit.corpus"), tags.get(KEY_TAG))
    as_json = (json.dumps(facts) for facts in (metrics, dict(run.data.params), own))
    return info.run_id, experiments.get(info.experiment_id, info.experiment_id), info.run_name, info.status, *times, *about, *as_json


def _cursor(database: Database, name: str) -> int:
    with database.reading() as reading:
        found = reading.execute("select value from cursors where name = ?", [name]).fetchone()
    return int(found["value"]) if found else 0


def _set_cursor(writing: sqlite3.Connection, name: str, value: int) -> None:
    writing.execute("insert or replace into cursors values (?, ?)", [name, str(value)])
