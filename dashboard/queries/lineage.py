"""The lineage of a version: from the files that landed, or the files that were named, to the aliases."""

import json
import sqlite3
from collections.abc import Iterator
from datetime import datetime
from graphlib import TopologicalSorter

from pydantic import Field

from dashboard.queries.behind import behind
from dashboard.queries.histories import history
from dashboard.queries.landed import File, file_of
from dashboard.queries.sources import time_of
from dashboard.queries.versions import Version, versions
from ulmfit.decisions.history import History
from ulmfit.store.json import Facts, JsonObject
from ulmfit.store.names import folder_of

MOST_FILES = 8  # that a node names
FILES = "files"  # the roles of files begin so
Value = str | int | float | bool


class Files(Facts):
    """Files that a corpus was made of. ``number``: of all, of which the newest are ``named``; ``until``: the last arrival among them."""

    number: int
    arrivals: int
    until: str
    named: list[File]


class Node(Facts):
    """A node. ``kind``: of an artifact, or ``files``, ``version``, ``alias``; ``inputs``: role -> key of another node.

    ``facts`` and ``settings``: of an artifact, by name; ``gone``: it is no longer in the store; ``forgotten``: it held a document that is
    forgotten since. ``files``: of a node of that kind, where these landed.
    """

    key: str
    kind: str
    name: str
    inputs: dict[str, str]
    facts: dict[str, Value] = Field(default_factory=dict)
    settings: dict[str, Value] = Field(default_factory=dict)
    finished: datetime | None = None
    seconds: float | None = None
    bytes: int | None = None
    run: str | None = None
    gone: bool = False
    forgotten: bool = False
    files: Files | None = None


class Lineage(Facts):
    """A version, and all behind it: each node after its inputs. ``other``: all versions of the model, the newest first."""

    name: str
    version: str
    models: list[str]
    other: list[str]
    nodes: list[Node]

    def named(self, key: str) -> str:
        """What people call the node of that key."""
        return next((node.name for node in self.nodes if node.key == key), key[:10])


def lineage(reading: sqlite3.Connection, name: str | None, number: str | None) -> Lineage | None:
    """That of the version, else of the newest; without a ``name`` of the first model that has one. None where there is none such."""
    names = [row["model"] for row in reading.execute("select distinct model from versions order by 1")]
    name = next(iter(names), None) if name is None else name
    if name is None or name not in names:
        return None
    past = history(reading, name)
    found = versions(reading, name, past)
    shown = next((each for each in reversed(found) if number in (None, each.number)), None)
    if shown is None:
        return None
    nodes = {node.key: node for node in (*_artifacts(reading, name, shown, past), *_registered(shown))}
    ordered = TopologicalSorter({key: [each for each in node.inputs.values() if each in nodes] for key, node in nodes.items()})
    in_order = [nodes[key] for key in ordered.static_order()]
    return Lineage(name=name, version=shown.number, models=names, other=[each.number for each in reversed(found)], nodes=in_order)


def _registered(version: Version) -> Iterator[Node]:
    """The version, and its aliases."""
    made = {role: key for role, key in (("model", version.key), ("evaluation", version.evaluation)) if key}
    gate = {"gate": version.outcome} if version.outcome else {}
    score = {"accuracy": round(version.accuracy.value, 4)} if version.accuracy and version.accuracy.value is not None else {}
    yield Node(
        key=f"version-{version.number}", kind="version", name=f"version {version.number}", inputs=made, facts=score | gate,
        finished=version.created, run=version.run, forgotten=version.forgotten,
    )  # fmt: skip
    for alias in version.aliases:
        yield Node(key=f"alias-{alias}", kind="alias", name=f"@{alias}", inputs={"version": f"version-{version.number}"})


def _artifacts(reading: sqlite3.Connection, model: str, version: Version, past: History) -> Iterator[Node]:
    """The artifacts behind the version, and before each corpus the files that it is made of."""
    keys = [key for key in (version.key, version.evaluation) if key]
    rows = behind(reading, keys)
    until = until_of(past, version.number)
    for row in rows:
        files = list(_files(reading, model, row, until)) if row["kind"] == "corpus" else []
        yield from files
        inputs = json.loads(row["inputs"]) | {f"{FILES} {number}": node.key for number, node in enumerate(files, 1)}
        yield _node(row, inputs, row["key"] in past.forgotten)
    missing = {key for row in rows for key in json.loads(row["inputs"]).values()} | set(keys)
    for key in sorted(missing - {row["key"] for row in rows}):
        yield Node(key=key, kind="unknown", name="no longer known", inputs={}, gone=True)


def _node(row: sqlite3.Row, inputs: dict[str, str], forgotten: bool) -> Node:
    config, record = json.loads(row["config"]), json.loads(row["record"])
    return Node(
        key=row["key"],
        kind=row["kind"],
        name=_name(row["kind"], config, record, inputs),
        inputs=inputs,
        facts=_flat(record),
        settings=_flat(config),
        finished=time_of(row["finished"]),
        seconds=row["seconds"],
        bytes=row["bytes"],
        run=row["run_id"],
        gone=bool(row["gone"]),
        forgotten=forgotten,
    )


def _name(kind: str, config: JsonObject, record: JsonObject, inputs: dict[str, str]) -> str:
    """What people call it: the kind, with what tells it from others of its kind."""
    if kind == "corpus":
        return f"corpus {str(record.get('name') or '').rpartition('/')[2]}".strip()
    if kind == "language-model":
        return f"{'domain' if 'language_model' in inputs else 'general'} LM {config.get('direction') or ''}".strip()
    return f"{kind} {config.get('direction') or ''}".strip()


def _flat(facts: JsonObject, depth: int = 2, before: str = "") -> dict[str, Value]:
    """What of it is a value, with dots between the names of what is nested."""
    found: dict[str, Value] = {}
    for name, value in facts.items():
        if isinstance(value, str | int | float | bool):
            found[before + name] = value
        elif isinstance(value, dict) and depth > 1 and len(value) <= 40:
            found |= _flat(value, depth - 1, f"{before}{name}.")
    return found


def until_of(past: History, version: str) -> str | None:
    """The last arrival that had landed when a version was trained, by the records of its retraining; None where these do not tell."""
    named = next((each.retraining for each in past.decisions if each.version == version and each.retraining), None)
    begun = next((each for each in past.decisions if each.id == named), None)
    return begun.cycle.until if begun and begun.cycle else None


def _files(reading: sqlite3.Connection, model: str, row: sqlite3.Row, until: str | None) -> Iterator[Node]:
    """The files of a corpus: those that had landed, or those that its record names."""
    if "landed" in json.loads(row["config"]):
        if until and (found := _landed(reading, model, until)):
            name = f"{found.number:,} files that landed"
            yield Node(key=f"files-{row['key']}", kind="files", name=name, inputs={}, files=found)
        return
    record = json.loads(row["record"])
    for number, source in enumerate((record.get("source"), *(record.get("more") or ()))):
        if source:
            name = str(source).rstrip("/").rpartition("/")[2]
            yield Node(key=f"files-{number}-{row['key']}", kind="files", name=name, inputs={}, facts={"location": str(source)})


def _landed(reading: sqlite3.Connection, model: str, until: str) -> Files:
    asked = [folder_of(model), until]
    where = "from landed_files where folder = ? and arrival <= ?"
    row = reading.execute(f"select count(*) as number, count(distinct arrival) as arrivals {where}", asked).fetchone()
    named = reading.execute(f"select * {where} order by arrival desc, number limit ?", [*asked, MOST_FILES])
    return Files(number=row["number"], arrivals=row["arrivals"], until=until, named=[file_of(each) for each in named])
