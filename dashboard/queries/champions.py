"""Which versions were champion, from when on, and how good each was on its held-out rows."""

import sqlite3
from datetime import datetime

from ulmfit.decisions.decision import MOVES
from ulmfit.decisions.history import History
from ulmfit.directions import ENSEMBLE, WITH_WORDS
from ulmfit.evaluation.results import Estimate
from ulmfit.store.json import Facts


class Reign(Facts):
    """A version as champion from ``since`` on; its accuracy with interval, None where its evaluation is no longer there."""

    version: str
    since: datetime
    by: str
    why: str
    accuracy: Estimate | None


def champion_of(reading: sqlite3.Connection, model: str, history: History) -> str | None:
    """The version that is champion: by the registry, or by the decisions where the registry could not be read yet."""
    if not registry_was_read(reading):
        return next(reversed(history.champions()), None)
    row = reading.execute("select champion from models where name = ?", [model]).fetchone()
    return row["champion"] if row else None


def registry_was_read(reading: sqlite3.Connection) -> bool:
    """Whether what is known of it comes from itself."""
    row = reading.execute("select read_at from sources where name = 'MLflow'").fetchone()
    return row is not None and row["read_at"] is not None


def reigns(reading: sqlite3.Connection, model: str, history: History) -> list[Reign]:
    """One after the other, the first one first."""
    carried_out = {mark.decision: mark for mark in history.marks if mark.done}
    moves = [each for each in history.decisions if each.what in MOVES and each.id in carried_out and each.version]
    moves.sort(key=lambda each: carried_out[each.id].time)
    known = accuracies(reading, model)
    return [
        Reign(
            version=str(each.version),
            since=carried_out[each.id].time,
            by=each.by.name or each.by.kind,
            why=each.why,
            accuracy=known.get(str(each.version)),
        )
        for each in moves
    ]


def accuracies(reading: sqlite3.Connection, model: str) -> dict[str, Estimate]:
    """Accuracy by version, with its interval where the evaluation is there; else the value that the registry holds."""
    query = """select version, json_extract(tags, '$.accuracy') as tagged, coalesce(json_extract(facts, ?), json_extract(facts, ?)) as measured
      from versions left join evaluations on evaluations.key = versions.evaluation where model = ?"""
    answers = [f'$.systems."{system}".accuracy' for system in (WITH_WORDS, ENSEMBLE)]
    rows = reading.execute(query, [*answers, model])
    found = {str(row["version"]): _estimate(row["measured"], row["tagged"]) for row in rows}
    return {version: estimate for version, estimate in found.items() if estimate}


def _estimate(measured: str | None, tagged: str | None) -> Estimate | None:
    if measured:
        return Estimate.model_validate_json(measured)
    try:
        return Estimate(value=float(tagged), low=None, high=None) if tagged else None
    except ValueError:
        return None
