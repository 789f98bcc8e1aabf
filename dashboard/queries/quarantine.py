"""Rows that were set aside when they landed: excerpts of texts, so they are read from the store and kept nowhere else."""

import itertools
from collections.abc import Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq

from dashboard.queries.landed import PAGE, ArrivalRow
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Store
from ulmfit.store.json import Facts


class QuarantinedRow(Facts):
    """A row of a file, why it cannot be used, and how its text begins."""

    source: str
    row: int
    reason: str
    excerpt: str


class Quarantined(Facts):
    """A page of the rows of an arrival that were set aside. ``missing``: files of them that can no longer be read."""

    arrival: ArrivalRow
    rows: list[QuarantinedRow]
    number: int
    page: int
    pages: int
    missing: int


def quarantined(store: Store, model: str, arrival: ArrivalRow, page: int) -> Quarantined:
    """The ``page``-th page of them, in the order of their files. Of each file only what the page shows is read."""
    folder, missing, tables = Ledger(store, model).location, 0, list[tuple[str, int]]()
    for name in arrival.quarantine:
        location = filesystem.join(folder, name)
        try:
            with filesystem.input_file(location) as file:
                tables.append((location, pq.read_metadata(file).num_rows))
        except (OSError, UserError, pa.ArrowException):
            missing += 1
    number = sum(rows for _, rows in tables)
    pages = max(1, -(-number // PAGE))
    page = min(max(page, 1), pages)
    rows = itertools.islice(_rows(tables, (page - 1) * PAGE), PAGE)
    found = [QuarantinedRow(**row) for row in rows]
    return Quarantined(arrival=arrival, rows=found, number=number, page=page, pages=pages, missing=missing)


def _rows(tables: Sequence[tuple[str, int]], begin: int) -> Iterator[dict[str, str | int]]:
    """The rows from the number ``begin`` on."""
    for location, rows in tables:
        if begin < rows:
            with filesystem.input_file(location) as file:
                opened = pq.ParquetFile(file)
                for group in range(opened.num_row_groups):
                    in_group = opened.metadata.row_group(group).num_rows
                    if begin < in_group:
                        yield from opened.read_row_group(group).slice(begin).to_pylist()
                    begin = max(0, begin - in_group)
        else:
            begin -= rows
