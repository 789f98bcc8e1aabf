"""What landed, by the ledgers in the store, of which only entries that are new are read. Digests of forgotten texts stay out.

An arrival may have thousands of files: these are rows of a table of their own, so that no page reads them all.
"""

import sqlite3

from pydantic import ValidationError

from dashboard.read_model.database import Database
from ulmfit.corpora.landing.entries import ENTRY, Arrival, Entry, Forgotten
from ulmfit.corpora.landing.ledger import FOLDER, JOURNAL
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Store
from ulmfit.store.digests import in_parallel


def read(store: Store, database: Database) -> None:
    """Take in the entries that are new. ``folder`` names the model as ``folder_of`` does."""
    root = filesystem.join(store.root, FOLDER)
    with database.reading() as reading:
        known = {row["location"] for row in reading.execute("select location from landed")}
    there = [f"{folder}/{name}" for folder in filesystem.folders(root) for name in filesystem.files(filesystem.join(root, folder, JOURNAL))]
    new = [name for name in there if name not in known and name.endswith(".json") and "/." not in name]
    entries = in_parallel(lambda name: _entry(filesystem.join(root, *_in_journal(name))), new)
    with database.writing() as writing:
        for table in ("landed", "landed_files"):
            writing.executemany(f"delete from {table} where location = ?", [(name,) for name in known.difference(there)])
        for name, entry in zip(new, entries, strict=True):
            if entry is not None:
                values = (name, name.partition("/")[0], entry.id, entry.time.timestamp(), entry.entry, _facts(entry))
                writing.execute("insert into landed values (?, ?, ?, ?, ?, ?)", values)
                if isinstance(entry, Arrival):
                    _insert_files(writing, name, entry)


def _insert_files(writing: sqlite3.Connection, location: str, arrival: Arrival) -> None:
    about = (location, location.partition("/")[0], arrival.id, arrival.time.timestamp())
    tests = [arrival.test.model_copy(update={"number": -1})] if arrival.test else []
    writing.executemany(
        f"insert or replace into landed_files values ({', '.join('?' * 12)})",
        [
            (*about, file.number, file.name, source_of(file.name), file.content, file.rows, file.documents, file.labels, sum(file.quarantined.values()))
            for file in (*arrival.files, *tests)
        ],
    )  # fmt: skip


def source_of(name: str) -> str:
    """Where a file came from: the first folder of its name in the landing folder, "" where it lies in none."""
    folder, found, _ = name.partition("/")
    return folder if found else ""


def _in_journal(name: str) -> tuple[str, str, str]:
    folder, _, file = name.partition("/")
    return folder, JOURNAL, file


def _entry(location: str) -> Entry | None:
    try:
        return ENTRY.validate_json(filesystem.read_bytes(location))
    except (FileNotFoundError, ValidationError):
        return None


def _facts(entry: Entry) -> str:
    """The entry without what is long and not shown."""
    if isinstance(entry, Arrival):
        entry = entry.model_copy(update={"parts": (), "files": (), "test": None})
    if isinstance(entry, Forgotten):
        entry = entry.model_copy(update={"texts": (), "ids": ()})
    return entry.model_dump_json()
