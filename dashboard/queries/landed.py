"""What landed for a model: by source and day, arrival by arrival, file by file."""

import sqlite3
from datetime import date, datetime

from pydantic import TypeAdapter

from dashboard.queries.sources import time_of
from ulmfit.corpora.landing.entries import Arrival, Counts, SetAside
from ulmfit.store.json import Facts
from ulmfit.store.names import folder_of

PAGE = 50
ARRIVAL = TypeAdapter(Arrival)


class Source(Facts):
    """Files that lay in one folder of the landing folder. ``documents``: rows with a text, whether it was known before or not."""

    name: str
    files: int
    rows: int
    documents: int
    labels: int
    quarantined: int
    last: datetime


class Day(Facts):
    """What landed on a day from a source."""

    day: date
    source: str
    documents: int
    labels: int


class ArrivalRow(Facts):
    """Files that landed together. ``run``: the tracked run that took them in; ``quarantine``: files of rows that were set aside."""

    id: str
    time: datetime
    location: str
    run: str | None
    counts: Counts
    same_content: int
    set_aside: list[SetAside]
    quarantine: list[str]

    @property
    def quarantined(self) -> int:
        """Rows that were set aside."""
        return sum(self.counts.quarantined.values())


class Arrivals(Facts):
    """A page of arrivals, the newest first; ``number``: of all."""

    arrivals: list[ArrivalRow]
    number: int
    page: int
    pages: int


class File(Facts):
    """A file that landed. ``content``: SHA-256 of its bytes, and how they were read."""

    name: str
    content: str
    arrival: str
    time: datetime
    rows: int
    documents: int
    labels: int
    quarantined: int
    test: bool


class Files(Facts):
    """A page of the files whose name holds ``text``, the newest first; ``arrival``: of that one alone."""

    text: str
    arrival: str | None
    files: list[File]
    number: int
    page: int
    pages: int


def sources(reading: sqlite3.Connection, model: str) -> list[Source]:
    """All of them, the largest first."""
    query = """select source as name, count(*) as files, sum(rows) as rows, sum(documents) as documents, sum(labels) as labels,
      sum(quarantined) as quarantined, max(time) as last from landed_files where folder = ? and number >= 0 group by source order by 4 desc, 1"""
    return [Source(**{**dict(row), "last": time_of(row["last"])}) for row in reading.execute(query, [folder_of(model)])]


def days(reading: sqlite3.Connection, model: str) -> list[Day]:
    """What landed by day and source, the first day first."""
    query = """select date(time, 'unixepoch') as day, source, sum(documents) as documents, sum(labels) as labels from landed_files
      where folder = ? and number >= 0 group by 1, 2 order by 1, 2"""
    return [Day(**dict(row)) for row in reading.execute(query, [folder_of(model)])]


def total(reading: sqlite3.Connection, model: str) -> tuple[Counts, int]:
    """The sums over all arrivals, and the number of these."""
    fields = [name for name in Counts.model_fields if name != "quarantined"]
    sums = ", ".join(f"coalesce(sum(json_extract(facts, '$.counts.{name}')), 0) as {name}" for name in fields)
    row = reading.execute(
        f"select count(*) as arrivals, {sums} from landed where folder = ? and kind = 'arrival'", [folder_of(model)]
    ).fetchone()
    reasons = """select key, sum(value) as rows from landed, json_each(facts, '$.counts.quarantined')
      where folder = ? and kind = 'arrival' group by key order by 2 desc, 1"""
    quarantined = {each["key"]: each["rows"] for each in reading.execute(reasons, [folder_of(model)])}
    return Counts(**{name: row[name] for name in fields}, quarantined=quarantined), row["arrivals"]


def arrivals(reading: sqlite3.Connection, model: str, page: int, number: int) -> Arrivals:
    """The ``page``-th page of the ``number`` arrivals."""
    page, pages = _within(page, number)
    query = "select facts from landed where folder = ? and kind = 'arrival' order by id desc limit ? offset ?"
    rows = reading.execute(query, [folder_of(model), PAGE, (page - 1) * PAGE])
    return Arrivals(arrivals=[_row(ARRIVAL.validate_json(row["facts"])) for row in rows], number=number, page=page, pages=pages)


def arrival(reading: sqlite3.Connection, model: str, id_: str) -> ArrivalRow | None:
    """That one; None where there is none."""
    query = "select facts from landed where folder = ? and kind = 'arrival' and id = ?"
    row = reading.execute(query, [folder_of(model), id_]).fetchone()
    return _row(ARRIVAL.validate_json(row["facts"])) if row else None


def _row(found: Arrival) -> ArrivalRow:
    return ArrivalRow(
        id=found.id,
        time=found.time,
        location=found.location,
        run=found.run_id,
        counts=found.counts,
        same_content=len(found.same_content),
        set_aside=list(found.set_aside),
        quarantine=list(found.quarantine),
    )


def files(reading: sqlite3.Connection, model: str, text: str, arrival: str | None, page: int) -> Files:
    """The ``page``-th page of the files that fit."""
    where = "folder = ? and (? is null or arrival = ?) and (? = '' or instr(lower(name), lower(?)))"
    values = [folder_of(model), arrival, arrival, text, text]
    number = reading.execute(f"select count(*) from landed_files where {where}", values).fetchone()[0]
    page, pages = _within(page, number)
    query = f"select * from landed_files where {where} order by arrival desc, number limit ? offset ?"
    found = [file_of(row) for row in reading.execute(query, [*values, PAGE, (page - 1) * PAGE])]
    return Files(text=text, arrival=arrival, files=found, number=number, page=page, pages=pages)


def file_of(row: sqlite3.Row) -> File:
    """A row of the table as a file."""
    known = {name: row[name] for name in File.model_fields if name not in ("time", "test")}
    return File(**known, time=time_of(row["time"]), test=row["number"] < 0)


def _within(page: int, number: int) -> tuple[int, int]:
    """The page that there is, and the number of all."""
    pages = max(1, -(-number // PAGE))
    return min(max(page, 1), pages), pages
