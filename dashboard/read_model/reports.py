"""The reports in the workspace: which run, model and version each is about. A page serves a report by its name here, never by a path."""

import json
from pathlib import Path

from pydantic import JsonValue

from dashboard.read_model.database import Database
from ulmfit.store.json import JsonObject

SUMMARY, REPORT, CARD = "summary.json", "report.html", "card.html"  # of a run, and of the version that it registered


Row = tuple[object, ...]


def read(folder: Path, database: Database) -> None:
    """Take in reports that are new or were written again, and leave out those that are gone."""
    with database.reading() as reading:
        known = {row["name"]: row["stamp"] for row in reading.execute("select name, stamp from reports")}
    there = {path.parent.name: path for path in folder.glob(f"*/{SUMMARY}")}
    new = [row for name, path in there.items() if (row := _row(name, path, known.get(name)))]
    with database.writing() as writing:
        writing.executemany("delete from reports where name = ?", [(name,) for name in known.keys() - there.keys()])
        writing.executemany("insert or replace into reports values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", new)


def _row(name: str, path: Path, known: str | None) -> Row | None:
    """None where the report is ``known`` by this stamp, or cannot be read."""
    pages = [(path.parent / page).is_file() for page in (REPORT, CARD)]
    try:
        found = path.stat()
        stamp = f"{found.st_size}-{found.st_mtime_ns}-{pages}"
        summary = json.loads(path.read_bytes()) if stamp != known else None
    except (OSError, ValueError):
        return None
    if not isinstance(summary, dict):
        return None
    model, run = _part(summary, "model"), _part(summary, "run")
    title = summary.get("name") or summary.get("kind") or name
    about = [_plain(value) for value in (model.get("name"), model.get("version"), run.get("id"))]
    return name, stamp, _plain(summary.get("kind")) or "training", str(title), *about, found.st_mtime, *pages


def _plain(value: JsonValue) -> str | int | None:
    """What a column can hold; None for anything else that somebody wrote there."""
    return value if isinstance(value, str | int) else None


def _part(summary: JsonObject, name: str) -> JsonObject:
    found = summary.get(name)
    return found if isinstance(found, dict) else {}
