"""Decisions and what followed from them: journals in the store, of which only files that are new are read."""

import sqlite3
from collections.abc import Iterable

from pydantic import TypeAdapter, ValidationError

from dashboard.read_model.database import Database
from tasks.champion import FOLDER, LOOKS
from ulmfit.decisions.decision import ENTRY, Decision, Looks
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Store
from ulmfit.store.digests import in_parallel

LOOKS_ENTRY = TypeAdapter(Looks)
TABLES = ("decisions", "followed", "looks", "damaged")


def read(store: Store, database: Database) -> None:
    """Take in the decisions that are new. Where a folder is gone, what was in it goes too."""
    root = filesystem.join(store.root, FOLDER)
    found = filesystem.stamps(root)
    with database.reading() as reading:
        known = {row["location"]: row["stamp"] for table in TABLES for row in reading.execute(f"select location, stamp from {table}")}
    new = [name for name, stamp in found.items() if _is_record(name) and known.get(name) != stamp]
    contents = in_parallel(lambda name: _content(filesystem.join(root, name)), new)
    with database.writing() as writing:
        _leave_out(writing, [name for name in known if name not in found])
        for name, content in zip(new, contents, strict=True):
            if content is not None:
                _leave_out(writing, [name])
                _take(writing, name, content, found[name])


def _is_record(name: str) -> bool:
    """Whether it is an entry of a journal, or a count of looks: a model's folder has both, and no other folders."""
    _, *inner = name.split("/")
    return name.endswith(".json") and (inner[:-1] in ([], [LOOKS])) and not inner[-1].startswith(".")


def _content(location: str) -> bytes | None:
    try:
        return filesystem.read_bytes(location)
    except FileNotFoundError:
        return None


def _take(writing: sqlite3.Connection, name: str, content: bytes, stamp: str) -> None:
    try:
        if f"/{LOOKS}/" in name:
            looks = LOOKS_ENTRY.validate_json(content)
            writing.execute("insert into looks values (?, ?, ?, ?, ?)", [name, stamp, looks.decision, looks.times, looks.last.timestamp()])
            return
        entry = ENTRY.validate_json(content)
    except ValidationError:
        writing.execute("insert into damaged values (?, ?)", [name, stamp])
        return
    if isinstance(entry, Decision):
        facts = (entry.id, entry.time.timestamp(), entry.model, entry.what, entry.version, content.decode())
        writing.execute("insert into decisions values (?, ?, ?, ?, ?, ?, ?, ?)", [name, stamp, *facts])
    else:
        mark = (entry.decision, entry.time.timestamp(), entry.done, content.decode())
        writing.execute("insert into followed values (?, ?, ?, ?, ?, ?)", [name, stamp, *mark])


def _leave_out(writing: sqlite3.Connection, names: Iterable[str]) -> None:
    rows = [(name,) for name in names]
    for table in TABLES:
        writing.executemany(f"delete from {table} where location = ?", rows)
