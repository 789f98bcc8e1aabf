"""The artifacts of the store: what each was made of, when, in how many seconds; and the scores of evaluations, without their texts."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import UTC, datetime

from pydantic import ValidationError

from dashboard.read_model.database import Database
from ulmfit.evaluation.results import FILE, Results
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Artifact, Manifest, Store
from ulmfit.store.digests import in_parallel
from ulmfit.store.json import JsonObject

LONG = ("parts",)  # facts of a record that no page shows


def read(store: Store, database: Database) -> None:
    """Take in the artifacts that are new, and note those that are gone."""
    with database.reading() as reading:
        known = {row["key"]: row["gone"] for row in reading.execute("select key, gone from artifacts")}
    there = dict(_keys(store))
    new = [key for key in there if known.get(key) != 0]
    found = {artifact.key: artifact for artifact in in_parallel(lambda key: store.find(there[key], key), new) if artifact}
    scores = in_parallel(lambda key: _scores(found[key]), [key for key, artifact in found.items() if artifact.kind == "evaluation"])
    gone = [manifest for key in store.gone_keys() if key not in there and key not in known if (manifest := store.facts(key))]
    with database.writing() as writing:
        for artifact in found.values():
            _insert(writing, artifact.manifest, artifact.bytes, gone=False)
        for manifest in gone:
            _insert(writing, manifest, 0, gone=True)
        writing.executemany("insert or replace into evaluations values (?, ?)", [each for each in scores if each])
        writing.executemany("update artifacts set gone = 1 where key = ?", [(key,) for key in known.keys() - there.keys()])


def _keys(store: Store) -> Iterator[tuple[str, str]]:
    """Key and kind of all finished artifacts."""
    for kind in filesystem.folders(store.root):
        if not kind.startswith("."):
            yield from ((key, kind) for key in filesystem.folders(filesystem.join(store.root, kind)))


def _insert(writing: sqlite3.Connection, manifest: Manifest, size: int, gone: bool) -> None:
    finished = datetime.strptime(manifest.finished, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC).timestamp()
    as_json = [json.dumps(facts) for facts in (manifest.config, manifest.inputs, _short(manifest.record))]
    values = (manifest.key, manifest.kind, finished, manifest.seconds, size, manifest.run_id, *as_json, gone)
    writing.execute("insert or replace into artifacts values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", values)
    made_of = [(manifest.key, role, key) for role, key in manifest.inputs.items()]
    writing.executemany("insert or replace into inputs values (?, ?, ?)", made_of)


def _short(record: JsonObject) -> JsonObject:
    return {name: value for name, value in record.items() if name not in LONG}


def _scores(found: Artifact) -> tuple[str, str] | None:
    """Key and results of an evaluation, without the texts among them; None where it has none."""
    try:
        results = Results.model_validate_json(filesystem.read_bytes(filesystem.join(found.location, FILE)))
    except (FileNotFoundError, ValidationError):
        return None
    return found.key, results.model_copy(update={"mistakes": []}).model_dump_json()
