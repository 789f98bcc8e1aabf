"""What a reader of the report can type: commands for the model, and settings as ``--set`` takes them."""

import json
import shlex

from ulmfit.config import Settings
from ulmfit.report.summary import ModelSummary, RunSummary
from ulmfit.store.recipe import flatten

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
    """Rows of option and value, as ``--set`` reads it, by stage; settings of no stage are under ``run``."""
    groups: dict[str, Rows] = {}
    for option, value in flatten(settings.model_dump(mode="json")).items():
        stage, dot, name = option.partition(".")
        shown = value if isinstance(value, str) else json.dumps(value)
        groups.setdefault(stage if dot else "run", []).append((name or option, shown))
    return groups
