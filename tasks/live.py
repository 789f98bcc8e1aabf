"""The versions of all registered models that must go on working as they do, and the artifacts that stand behind them.

Several workspaces may share their artifacts and not the registry. So the decisions, which lie beside the artifacts, count too: a model
that this registry does not know, or another registry's model of the same name, keeps the versions that were decided about last.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import islice

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.entities.model_registry import RegisteredModel as Registered

from tasks.calls import EVALUATION_TAG, KEY_TAG
from tasks.champion import FOLDER, RegisteredModel
from tasks.servers import check_tracking, server_failures
from tasks.workspace import Workspace
from ulmfit.decisions.decision import ENTRY, Decision, Entry
from ulmfit.decisions.history import History
from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.store.journal import Journal


@dataclass(frozen=True)
class Live:
    """``versions`` that are live, by model; ``keys`` of the artifacts that they were registered from and evaluated by."""

    versions: dict[str, tuple[str, ...]]
    keys: frozenset[str]


def live_versions(workspace: Workspace, last: int, before: bool = True) -> Live:
    """Champions, versions with another alias, with ``before`` the champions before them, and the ``last`` versions of each model.

    UserError where the registry does not answer, or is not there.
    """
    if workspace.tracks_itself and not workspace.database.exists():  # MLflow would make one, and nothing would be live
        raise UserError(
            f"the workspace {workspace.root} has no registry of models, so nobody knows what is needed; "
            "name the one that its runs are tracked in with MLFLOW_TRACKING_URI, or another workspace with --workspace"
        )
    check_tracking(workspace)
    client = MlflowClient(workspace.tracking_uri)
    keys = set(_decided_about(workspace, last, before))
    versions: dict[str, tuple[str, ...]] = {}
    with server_failures(workspace):
        for found in registered_models(client):
            model = RegisteredModel(workspace, client, found.name)
            live = _live(model, {str(version) for version in found.aliases.values()}, last, before)
            versions[found.name] = tuple(str(version.version) for version in live)
            keys |= {key for version in live for key in (version.tags.get(KEY_TAG), version.tags.get(EVALUATION_TAG)) if key}
    return Live(versions, frozenset(keys))


def registered_models(client: MlflowClient) -> Iterator[Registered]:
    """All models of the registry, page by page."""
    token = None
    while True:
        page = client.search_registered_models(page_token=token)
        yield from page
        token = page.token
        if not token:
            return


def _live(model: RegisteredModel, named: set[str], last: int, before: bool) -> list[ModelVersion]:
    """The live versions, the first one first. ``named``: those with an alias."""
    versions = sorted(model.versions(), key=lambda version: int(version.version))
    history, champion = model.history(), model.champion()
    unfinished = history.unfinished()
    named |= {version for version in (history.before(champion) if before else None, unfinished.version if unfinished else None) if version}
    latest = versions[-last:] if last else []
    return [version for version in versions if version in latest or str(version.version) in named]


def _decided_about(workspace: Workspace, last: int, before: bool) -> Iterator[str]:
    """Keys of the evaluations of the versions that the records of decisions know: of each model the champion, the one before, and the last ones."""
    folder = filesystem.join(workspace.store.root, FOLDER)
    for name in filesystem.folders(folder):
        journal: Journal[Entry] = Journal(filesystem.join(folder, name), ENTRY)
        entries = journal.read().entries
        for model in {entry.model for entry in entries if isinstance(entry, Decision)}:
            yield from _evaluations(History.of(model, entries), last, before)


def _evaluations(history: History, last: int, before: bool) -> Iterator[str]:
    by_version = {found.version: found.evaluations[0] for found in history.decisions if found.version and found.evaluations}
    stack = history.champions()
    for version in {*islice(reversed(by_version), last), *stack[-2 if before else -1 :]}:
        if version in by_version:
            yield by_version[version]
