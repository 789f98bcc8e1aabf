"""The versions of a model: when each came, what the gate said of it, how good it is."""

import json
import sqlite3
from datetime import datetime

from dashboard.queries.champions import accuracies
from dashboard.queries.sources import time_of
from ulmfit.decisions.decision import Decision
from ulmfit.decisions.history import History
from ulmfit.evaluation.results import Estimate
from ulmfit.evaluation.verdict import Outcome
from ulmfit.store.json import Facts


class Version(Facts):
    """A registered version. ``outcome`` and ``why``: of the gate, None where it was not asked; ``reports``: folder of
    the workspace with its ``report`` and model ``card``, where there are such.

    ``key`` and ``evaluation``: of the artifacts that it was registered from and evaluated by. ``forgotten``: it had read what is forgotten since.
    """

    number: str
    created: datetime
    aliases: list[str]
    run: str | None
    key: str | None
    evaluation: str | None
    accuracy: Estimate | None
    outcome: Outcome | None
    why: str
    reports: str | None
    report: bool
    card: bool
    forgotten: bool


def versions(reading: sqlite3.Connection, model: str, history: History) -> list[Version]:
    """All of them, the first one first."""
    known, names = accuracies(reading, model), _aliases(reading, model)
    compared = comparisons(history)
    query = """select versions.*, reports.name as reports, report, card from versions left join reports on reports.name =
      (select name from reports where model = versions.model and version = cast(versions.version as text) order by written desc limit 1)
      where versions.model = ? order by versions.version"""
    return [_version(row, known, names, compared, history) for row in reading.execute(query, [model])]


def _version(
    row: sqlite3.Row, known: dict[str, Estimate], names: dict[str, list[str]], compared: dict[str, Decision], history: History
) -> Version:
    number = str(row["version"])
    decision = compared.get(number)
    return Version(
        number=number,
        created=time_of(row["created"]),
        aliases=names.get(number, []),
        run=row["run_id"] or None,
        key=row["key"],
        evaluation=row["evaluation"],
        accuracy=known.get(number),
        outcome=decision.verdict.outcome if decision and decision.verdict else None,
        why=decision.why if decision else "",
        reports=row["reports"],
        report=bool(row["report"]),
        card=bool(row["card"]),
        forgotten=history.forgotten_by(number),
    )


def comparisons(history: History) -> dict[str, Decision]:
    """The last decision of the gate by the version that it was about."""
    return {each.version: each for each in history.decisions if each.verdict and each.version and each.what == "compared"}


def _aliases(reading: sqlite3.Connection, model: str) -> dict[str, list[str]]:
    row = reading.execute("select aliases from models where name = ?", [model]).fetchone()
    found: dict[str, list[str]] = {}
    for alias, version in sorted(json.loads(row["aliases"]).items()) if row else ():
        found.setdefault(str(version), []).append(alias)
    return found
