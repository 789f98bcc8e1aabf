"""The curves of the trainings behind a version, read from the store when they are shown."""

import json
import sqlite3
from collections.abc import Iterator

from pydantic import TypeAdapter, ValidationError

from dashboard.queries.behind import behind
from ulmfit.errors import UserError
from ulmfit.report.curves import curves_of
from ulmfit.report.summary import CurvePoint
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Store
from ulmfit.store.json import Facts

HISTORY = TypeAdapter(list[CurvePoint])
FILE = "history.json"
LOSSES = ("train_loss", "valid_loss")


class Curve(Facts):
    """One curve: values by step."""

    name: str
    steps: list[float]
    values: list[float]


class Chart(Facts):
    """Curves that share an axis. ``unit``: of the values."""

    title: str
    unit: str
    curves: list[Curve]


def charts(reading: sqlite3.Connection, store: Store, key: str | None) -> list[Chart]:
    """The charts of all trainings behind the artifact ``key`` whose histories are in the store: losses, and other validation figures."""
    trainings: dict[str, dict[str, list[tuple[str, Curve]]]] = {}
    for title, direction, points in _histories(reading, store, key):
        for name, (steps, values) in curves_of(points).items():
            kind = "loss, nats" if name in LOSSES else "accuracy" if name == "valid_accuracy" else None
            if kind:
                curve = Curve(name=f"{direction} {name.replace('_', ' ')}".strip(), steps=steps, values=values)
                trainings.setdefault(title, {}).setdefault(kind, []).append((name, curve))
    return [
        Chart(title=title, unit=unit, curves=[curve for _, curve in sorted(found, key=lambda each: each[0])])
        for title, kinds in trainings.items()
        for unit, found in kinds.items()
    ]


def _histories(reading: sqlite3.Connection, store: Store, key: str | None) -> Iterator[tuple[str, str, list[CurvePoint]]]:
    """Title, direction and points of each training, the last one first."""
    for row in reversed(behind(reading, [key] if key else [])):
        if row["kind"] in ("classifier", "language-model") and not row["gone"]:
            location = filesystem.join(store.root, row["kind"], row["key"], FILE)
            try:
                points = HISTORY.validate_json(filesystem.read_bytes(location))
            except (OSError, UserError, ValidationError):  # a model that was brought has none
                continue
            yield _title(row), json.loads(row["config"]).get("direction") or "", points


def _title(row: sqlite3.Row) -> str:
    inputs = json.loads(row["inputs"])
    if row["kind"] == "classifier":
        return "Classifier" if "language_model" in inputs else "Classifier from scratch"
    return "Language model, domain text" if "language_model" in inputs else "Language model, general text"
