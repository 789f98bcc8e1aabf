"""What a reader of the report can type: commands for the model, and settings as ``--set`` takes them."""

import json
import shlex
from collections.abc import Iterator, Mapping

from pydantic import JsonValue

from ulmfit.config import Settings
from ulmfit.report.summary import ModelSummary, RunSummary

Rows = list[tuple[str, str]]


def commands_of(model: ModelSummary, run: RunSummary) -> Rows:
    """Titles, and the text to type."""
    registered = f"models:/{model.name}@{model.alias}" if model.name else None
    workspace = f" --workspace {shlex.quote(run.workspace)}" if registered else ""
    shown = [("Classify a text", f"ulmfit predict {shlex.quote(registered or model.path)} --text 'A text to classify.'{workspace}")]
    if registered:
        shown.append(("See what the model was made of", f"ulmfit lineage {shlex.quote(registered)}{workspace}"))
    path = json.dumps(model.path, ensure_ascii=False)
    code = f'from ulmfit import TextClassifier\n\nmodel = TextClassifier.load({path})\nmodel.predict(["A text to classify."])'
    shown.append(("From Python", code))
    if run.tracking_uri.startswith("sqlite:"):
        shown.append(("Browse the tracked runs", f"mlflow ui --backend-store-uri {shlex.quote(run.tracking_uri)}"))
    return shown


def settings_by_stage(settings: Settings) -> dict[str, Rows]:
    """Rows of option and value by stage; settings of no stage are under ``run``."""
    groups: dict[str, Rows] = {}
    alone: Rows = []
    for name, value in settings.model_dump(mode="json").items():
        if isinstance(value, Mapping):
            groups[name] = list(flatten(value))
        else:
            alone += flatten({name: value})
    return groups | ({"run": alone} if alone else {})


def flatten(tree: Mapping[str, JsonValue], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings as (dotted name, value) rows, a value as ``--set`` reads it."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)
