"""What needs a person: each with its reason in words."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from typing import Literal

from dashboard.queries.running import failures, flow_runs
from ulmfit.corpora.landing.entries import Arrival
from ulmfit.decisions.history import History
from ulmfit.store.json import Facts
from ulmfit.store.names import folder_of

WEEK = 7 * 86_400.0  # seconds
Kind = Literal["blocked", "held", "drift", "failed", "interrupted", "no champion", "forgotten", "damaged", "set aside"]


class Attention(Facts):
    """One thing. ``version`` and ``run`` (of MLflow) name what it is about, where there is one."""

    kind: Kind
    reason: str
    model: str | None = None
    version: str | None = None
    run: str | None = None
    time: datetime | None = None


def of_model(reading: sqlite3.Connection, model: str, champion: str | None, history: History, busy: bool) -> Iterator[Attention]:
    """What needs a person about a model. ``busy``: whether a run is under way, so that what is unfinished need not be interrupted."""
    yield from _verdict(model, champion, history)
    yield from _cycle(model, history)
    yield from _unfinished(model, history, busy)
    made = history.champions()
    if made and champion is None:
        says = f"By its history version {made[-1]} is the champion, and the registry has none."
        yield Attention(kind="no champion", model=model, version=made[-1], reason=says)
    if champion and history.forgotten_by(champion):
        says = f"Version {champion}, the champion, had read documents that are forgotten since; train again with --force."
        yield Attention(kind="forgotten", model=model, version=champion, reason=says)
    yield from _set_aside(reading, model)


def _verdict(model: str, champion: str | None, history: History) -> Iterator[Attention]:
    """The last version that the gate looked at, if it did not pass and nobody made it champion."""
    last = next((each for each in reversed(history.decisions) if each.verdict), None)
    if last and last.verdict and last.verdict.outcome != "promoted" and last.version != champion:
        yield Attention(kind=last.verdict.outcome, model=model, version=last.version, time=last.time, reason=last.why)


def _cycle(model: str, history: History) -> Iterator[Attention]:
    """Drift in the last cycle, and a retraining that was held before it trained."""
    last = next((each for each in reversed(history.decisions) if each.cycle), None)
    if last is None or last.cycle is None:
        return
    if last.what == "held":
        yield Attention(kind="held", model=model, time=last.time, reason=last.why)
    if last.cycle.drift and last.cycle.drift.noticed:
        says = " ".join(figure.says for figure in last.cycle.drift.noticed)
        yield Attention(kind="drift", model=model, time=last.time, reason=says)


def _unfinished(model: str, history: History, busy: bool) -> Iterator[Attention]:
    found = history.unfinished() or (None if busy else history.under_way())
    if found:
        says = f"Nothing says what followed from the decision “{found.what}”; the same command completes it."
        yield Attention(kind="interrupted", model=model, version=found.version, time=found.time, reason=says)


def _set_aside(reading: sqlite3.Connection, model: str) -> Iterator[Attention]:
    """Files that the last arrival could not read."""
    query = "select facts from landed where folder = ? and kind = 'arrival' order by id desc limit 1"
    row = reading.execute(query, [folder_of(model)]).fetchone()
    arrival = Arrival.model_validate_json(row["facts"]) if row else None
    for file in arrival.set_aside if arrival else ():
        yield Attention(kind="set aside", model=model, time=arrival.time if arrival else None, reason=f"{file.name}: {file.reason}")


def of_workspace(reading: sqlite3.Connection, now: float) -> Iterator[Attention]:
    """What needs a person and belongs to no model. ``now``: seconds since the epoch."""
    for run in failures(reading, now - WEEK):
        says = f"The run {run.name or run.id} of {run.experiment} {'failed' if run.status == 'FAILED' else 'was killed'}, and none was finished since."
        yield Attention(kind="failed", run=run.id, time=run.ended, reason=says)
    for flow in flow_runs(reading, ("FAILED", "CRASHED")):
        ended = flow.ended or flow.started
        if ended and ended.timestamp() >= now - WEEK and not _completed_since(reading, flow.deployment, ended.timestamp()):
            says = f"Prefect's flow run {flow.name}{f' of {flow.deployment}' if flow.deployment else ''}: {flow.says or flow.state.lower()}"
            yield Attention(kind="failed", time=ended, reason=says)
    for row in reading.execute("select location from damaged"):
        yield Attention(kind="damaged", reason=f"{row['location']}: this record of a decision cannot be read; bring it back from a copy.")


def _completed_since(reading: sqlite3.Connection, deployment: str | None, time: float) -> bool:
    query = "select 1 from flow_runs where deployment is ? and state = 'COMPLETED' and ended > ?"
    return reading.execute(query, [deployment, time]).fetchone() is not None
