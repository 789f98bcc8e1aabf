"""What it means for versions that documents are forgotten: which had read them, what is made of them, and who is told.

The ledger of the model is where a document is forgotten. All else follows from its entries and is made good by the next call where
somebody was interrupted: reports lose their excerpts, versions get a tag, and then the decision is recorded.
"""

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from pydantic import ValidationError

from tasks.calls import KEY_TAG
from tasks.champion import RegisteredModel
from tasks.live import live_versions, registered_models
from tasks.registry import fetch_bundle
from tasks.servers import cause, check_tracking
from tasks.suspects import clear_suspects
from tasks.tracking import settled
from tasks.workspace import Workspace
from ulmfit.corpora.corpus_record import CorpusRecord
from ulmfit.corpora.landing.entries import Forgotten
from ulmfit.corpora.landing.holding import forgotten_ids
from ulmfit.corpora.landing.ledger import Forgot, Ledger
from ulmfit.corpora.landing.refusal import Refusal
from ulmfit.decisions.decision import Author, Decision, Forgetting
from ulmfit.errors import UserError
from ulmfit.report.page import render
from ulmfit.report.study_page import render_study
from ulmfit.report.study_summary import StudySummary
from ulmfit.report.summary import Summary
from ulmfit.stages.needed import needed
from ulmfit.store.artifacts import Artifact, Manifest, Store
from ulmfit.store.filesystem import exists, join
from ulmfit.store.garbage import Garbage, find_garbage
from ulmfit.store.lineage import Lineage, behind, made_of
from ulmfit.store.temporary import temporary_folder

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Consequence:
    """What came of an entry of the ledger. ``sources``: from which other sources than the landing folder the document was read, too."""

    decision: Decision
    sources: tuple[str, ...]


@dataclass(frozen=True)
class Purgeable:
    """What can be removed; and how many artifacts that are made of forgotten documents are ``needed`` still."""

    garbage: tuple[Garbage, ...]
    needed: int


@dataclass(frozen=True)
class ForgettingModel:
    """A model of which documents are to be forgotten; it may have been registered, or not yet."""

    workspace: Workspace
    name: str

    @classmethod
    def find(cls, workspace: Workspace, name: str) -> "ForgettingModel":
        """UserError where nobody knows the name, or the registry does not answer."""
        found = cls(workspace, name)
        check_tracking(workspace)
        landed = exists(found.ledger.location)
        if not landed and name not in (model.name for model in found.models):
            known = ", ".join(sorted(model.name for model in found.models)) or "none"
            raise UserError(f"{name!a}: no model of that name is registered, and nothing has landed for it (models there are: {known})")
        Workspace.open(workspace.root, workspace.artifacts)
        if found.models:
            with settled(workspace):  # a workspace that was moved: reports are written beside their runs again
                pass
        return found

    @property
    def ledger(self) -> Ledger:
        """What has landed for it."""
        return Ledger(self.workspace.store, self.name)

    @property
    def registered(self) -> RegisteredModel:
        """It in the registry, where it need not be."""
        return RegisteredModel(self.workspace, MlflowClient(self.workspace.tracking_uri), self.name)

    @cached_property
    def models(self) -> list[RegisteredModel]:
        """All models of the registry; none where there is none yet."""
        if self.workspace.tracks_itself and not self.workspace.database.exists():  # MLflow would make one
            return []
        client = MlflowClient(self.workspace.tracking_uri)
        return [RegisteredModel(self.workspace, client, found.name) for found in registered_models(client)]

    def forget(self, ids: Sequence[str], digests: Sequence[str], by: Author) -> Forgot:
        """Forget documents in the ledger. UserError where nothing can be known of them."""
        if ids and not exists(self.ledger.location):
            raise UserError(
                f"{self.name}: nothing has landed for it, so no document of that id is known; take it out of the files that the model is "
                "trained from, and name it here by --digest to see which versions had read it"
            )
        return self.ledger.forget(ids, digests, because=by.because or "", by=by.name)

    def purgeable(self) -> Purgeable:
        """What is made of forgotten documents, less what versions with an alias need; age does not count, processes at work do."""
        store = self.workspace.store
        stale = made_of(self.registered.history().forgotten, store.known())
        found = find_garbage(store, live_versions(self.workspace, 0, before=False).keys, needed, 0.0)
        garbage = tuple(item for item in found.garbage if item.key in stale or _may_hold(item, store, stale))
        return Purgeable(garbage, sum(artifact.key in stale & found.kept for artifact in store.all()))

    def settle(self) -> list[Consequence]:
        """Do and record what follows from the entries of the ledger for which that was not done yet."""
        noted = {decision.forgetting.ledger for decision in self.registered.history().decisions if decision.forgetting}
        asked = [entry for entry in self.ledger.journal.read().entries if isinstance(entry, Forgotten)]
        return [self._settle(entry) for entry in asked if entry.id not in noted]

    def _settle(self, entry: Forgotten) -> Consequence:
        store = self.workspace.store
        known, corpora = store.known(), [artifact for artifact in store.all() if artifact.kind == "corpus"]
        holders = holding(corpora, Refusal(texts=frozenset(map(bytes.fromhex, entry.texts))))
        clear_suspects(self.workspace)
        clear_reports(self.workspace, holders)
        had_read, unknown = [], []
        here = {corpus.key for corpus in corpora}
        decision = Decision.new(
            self.name, "forgotten", Author(kind="person", name=entry.by, because=entry.because), corpora=tuple(sorted(holders))
        )
        for model in self.models:
            for version in sorted(model.versions(), key=lambda version: int(version.version)):
                made, kinds = _behind(self.workspace, version, known)
                if not made.isdisjoint(holders):
                    model.tag_forgotten(str(version.version), decision)
                    had_read += [str(version.version)] if model.name == self.name else []
                elif model.name == self.name and (not made or any(kinds.get(key) == "corpus" and key not in here for key in made)):
                    unknown.append(str(version.version))
        forgetting = Forgetting(ledger=entry.id, had_read=tuple(had_read), unknown=tuple(unknown))
        decision = decision.model_copy(update={"forgetting": forgetting})
        self.registered.record(decision)
        return Consequence(
            decision, tuple(_sources(corpus for corpus in corpora if corpus.key in holders and "landed" not in corpus.manifest.config))
        )


def _may_hold(item: Garbage, store: Store, stale: Set[str]) -> bool:
    """Whether unfinished work may hold text of a forgotten document: that on corpora has no inputs that say so."""
    inputs = store.work_inputs(item.key)
    return item.what == "interrupted reading" or (item.what == "unfinished work" and (not inputs or not stale.isdisjoint(inputs)))


def holding(corpora: Iterable[Artifact], refusal: Refusal) -> dict[str, set[str]]:
    """The corpora that hold a document which is refused: their keys, and the ids of these documents. A part of several is read once."""
    found: dict[str, set[str]] = {}
    read: dict[str, list[str]] = {}
    for corpus in corpora:
        for part in CorpusRecord.model_validate(corpus.manifest.record).parts:
            name = f"{part.name}.parquet"
            digest = corpus.manifest.files[name].sha256
            if digest not in read:
                read[digest] = forgotten_ids(join(corpus.location, name), refusal)
            if read[digest]:
                found.setdefault(corpus.key, set()).update(read[digest])
    return found


def clear_reports(workspace: Workspace, holders: Mapping[str, Set[str]]) -> None:
    """Take the excerpts of these documents (ids, by the key of the corpus) out of the reports, here and beside their tracked runs.

    Of a corpus that held one, the list of suspects goes as a whole: it names texts by rows, and the same one may stand in several.
    """
    client = MlflowClient(workspace.tracking_uri) if holders else None
    for file in sorted(workspace.reports.glob("*/summary.json")) if client else []:
        summary = _summary(file.read_bytes())
        match summary:
            case None:
                log.warning("%s cannot be read; if it shows a document that is forgotten, remove the folder", file)
            case Summary() if run := _run_without(summary, holders.get(summary.corpus.key, frozenset())):
                render(run, file.parent)
                _log_again(client, summary.run.id, file.parent)
            case StudySummary() if study := _study_without(summary, holders):
                render_study(study, file.parent)
                _log_again(client, summary.run.id, file.parent)


def _summary(content: bytes) -> Summary | StudySummary | None:
    """What a ``summary.json`` holds: of a run or of a study; None where it is neither."""
    for kind in (Summary, StudySummary):
        with suppress(ValidationError):
            return kind.model_validate_json(content)
    return None


def _run_without(summary: Summary, ids: Set[str]) -> Summary | None:
    """The summary of a run without its documents ``ids``; None where it shows none of them."""
    kept = [mistake for mistake in summary.results.mistakes if mistake.id not in ids]
    if len(kept) == len(summary.results.mistakes) and not (ids and summary.suspects):
        return None
    reasons = {mistake.id: summary.reasons[mistake.id] for mistake in kept if mistake.id in summary.reasons}
    results = summary.results.model_copy(update={"mistakes": kept})
    return summary.model_copy(update={"results": results, "reasons": reasons, "suspects": None})


def _study_without(summary: StudySummary, holders: Mapping[str, Set[str]]) -> StudySummary | None:
    """The summary of a study without the suspects of corpora that held a document; None where it shows none."""
    shows = [corpus for corpus in summary.corpora if corpus.suspects and holders.get(corpus.key)]
    if not shows:
        return None
    corpora = [corpus.model_copy(update={"suspects": None}) if corpus in shows else corpus for corpus in summary.corpora]
    return summary.model_copy(update={"corpora": corpora})


def _log_again(client: MlflowClient | None, run_id: str, folder: Path) -> None:
    try:
        assert client
        client.log_artifacts(run_id, str(folder), "report")
    except (MlflowException, OSError) as error:
        log.warning("run %s: its report in MLflow still shows a document that is forgotten (%s); remove it there", run_id, cause(error))


def _behind(workspace: Workspace, version: ModelVersion, known: Mapping[str, Manifest]) -> tuple[Set[str], dict[str, str]]:
    """The keys of all that a version is made of, with their kinds; nothing where nobody can tell."""
    key = version.tags.get(KEY_TAG, "")
    if key in known:
        made = behind(key, known)
        return made, {key: known[key].kind for key in made if key in known}
    try:
        with temporary_folder("ulmfit-lineage-") as folder:
            artifacts = Lineage.read(fetch_bundle(workspace, version, folder)).artifacts
    except (UserError, OSError, ValueError):
        return frozenset(), {}
    return artifacts.keys(), {key: found.kind for key, found in artifacts.items()}


def _sources(corpora: Iterable[Artifact]) -> Iterator[str]:
    """Where corpora were read from, each once."""
    yield from dict.fromkeys(str(corpus.manifest.record.get("source", corpus.key)) for corpus in corpora)
