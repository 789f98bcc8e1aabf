"""The studies: a list, and each in full."""

import sqlite3
from datetime import datetime

from dashboard.read_model.studies import Study
from ulmfit.store.json import Facts


class StudyRow(Facts):
    """A study in a line. ``answer``: the first sentence of it; None where its summary cannot be read."""

    name: str
    kind: str
    title: str
    written: datetime
    corpora: list[str]
    trials: int | None
    seconds: float | None
    answer: str | None


def studies(reading: sqlite3.Connection) -> list[StudyRow]:
    """All of them, the newest first."""
    query = """select reports.name, reports.kind, reports.title, reports.written, facts from studies join reports using (name)
      order by written desc, reports.name limit 500"""
    return [_row(row) for row in reading.execute(query)]


def _row(row: sqlite3.Row) -> StudyRow:
    names = {"name": row["name"], "kind": row["kind"], "title": row["title"]}
    if not row["facts"]:
        written = datetime.fromtimestamp(row["written"]).astimezone()
        return StudyRow(**names, written=written, corpora=[], trials=None, seconds=None, answer=None)
    known = Study.model_validate_json(row["facts"])
    answers = [answer for found in known.corpora for answer in found.answers]
    return StudyRow(
        **names,
        written=known.started,
        corpora=[found.corpus for found in known.corpora],
        trials=known.trials,
        seconds=known.seconds,
        answer=answers[0] if answers else None,
    )


def study(reading: sqlite3.Connection, name: str) -> Study | None:
    """That one; None where there is none that can be read."""
    row = reading.execute("select facts from studies where name = ?", [name]).fetchone()
    return Study.model_validate_json(row["facts"]) if row and row["facts"] else None


def is_study(reading: sqlite3.Connection, name: str) -> bool:
    """Whether a report of the workspace has that name and is a study's."""
    return reading.execute("select 1 from studies where name = ?", [name]).fetchone() is not None
