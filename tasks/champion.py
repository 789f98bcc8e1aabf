"""Which version of a registered model is champion, and how another becomes it: decided, recorded, carried out, in this order.

MLflow has neither a history of an alias nor a way to move it only if nobody else has. So the decision is written first; then, under
a lock of the workspace, the champion is looked at again and the alias moved; then it is noted that this was done. A crash in between
leaves a decision without that note, which the same command completes.
"""

import getpass
import logging
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Self

from mlflow import MlflowClient
from mlflow.entities.model_registry import ModelVersion
from mlflow.exceptions import MlflowException
from pydantic import TypeAdapter

from tasks.notices import notify
from tasks.promotion import CHAMPION
from tasks.servers import cause, check_tracking, server_failures
from tasks.tracking import settled
from tasks.workspace import Workspace
from ulmfit.decisions.decision import ENTRY, Author, Decision, Entry, Followed, Looks
from ulmfit.decisions.history import History
from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.store.filesystem import join
from ulmfit.store.journal import Journal, new_id, now
from ulmfit.store.names import folder_of

log = logging.getLogger(__name__)

FOLDER = ".decisions"  # in the store
LOOKS = ".looks"  # in the folder of a journal
FORGOTTEN_TAG = "ulmfit.forgotten"  # of a version that had read a document which was to be forgotten later
DECISION_TAG, REASON_TAG = "ulmfit.decision", "ulmfit.decision.because"
READY = "READY"


class Records:
    """What is written of the decisions about the model ``name``, in the artifact store of ``workspace``: no server is asked."""

    workspace: Workspace
    name: str

    @property
    def journal(self) -> Journal[Entry]:
        """Its decisions, in the artifact store."""
        return Journal(join(self.workspace.store.root, FOLDER, folder_of(self.name)), ENTRY)

    def history(self) -> History:
        """All decisions about it; a record that cannot be read is named in the log."""
        pages = self.journal.read()
        for location in pages.damaged:
            log.warning("%s: this record of a decision is damaged and is left out; bring it back from a copy", location)
        looks = Journal(join(self.journal.location, LOOKS), TypeAdapter(Looks)).read().entries
        return History.of(self.name, pages.entries, pages.damaged, looks)

    def lock(self) -> AbstractContextManager[None]:
        """Decisions of this workspace about it are taken one after the other."""
        return self.workspace.store.lock(f"champion-{folder_of(self.name)}")

    def note(self, decision: Decision, done: bool, note: str | None = None, by: Author | None = None) -> Followed:
        """Write down what followed from a decision."""
        time = now()
        mark = Followed(decision=decision.id, time=time, done=done, note=note, by=by)
        self.journal.append(new_id(time), mark)
        return mark

    def note_look(self, decision: Decision, history: History) -> None:
        """Write down that a decision not to train still holds, beside the journal: the count and time of the last look replace those before."""
        times = history.looks[decision.id].times if decision.id in history.looks else 0
        looks = Looks(decision=decision.id, times=times + 1, last=now())
        filesystem.write_bytes(join(self.journal.location, LOOKS, f"{decision.id}.json"), looks.model_dump_json().encode())


@dataclass(frozen=True)
class ModelRecords(Records):
    """The records of a model that the registry need not have yet."""

    workspace: Workspace
    name: str


@dataclass(frozen=True)
class RegisteredModel(Records):
    """A model of the registry and the decisions about it."""

    workspace: Workspace
    client: MlflowClient
    name: str

    @classmethod
    def find(cls, workspace: Workspace, name: str) -> Self:
        """The model of that name. UserError where there is none, or the registry does not answer."""
        if workspace.tracks_itself and not workspace.database.exists():  # MLflow would make one
            raise UserError(f"{name}: the workspace {workspace.root} has no models; train one, or name another with --workspace")
        check_tracking(workspace)
        client = MlflowClient(workspace.tracking_uri)
        try:
            client.get_registered_model(name)
        except (MlflowException, UnicodeError) as error:
            with server_failures(workspace):
                known = ", ".join(sorted(model.name for model in client.search_registered_models())) or "none"
            raise UserError(f"{name!a}: no such registered model (models there are: {known})") from error
        return cls(workspace, client, name)

    def champion(self) -> str | None:
        """The version that is champion; None where none is."""
        aliases = self.client.get_registered_model(self.name).aliases
        return str(aliases[CHAMPION]) if CHAMPION in aliases else None

    def version(self, number: str) -> ModelVersion:
        """That version. UserError where there is none, or it is not whole."""
        known = {str(found.version): found for found in self.versions()}
        if number not in known:
            there = ", ".join(sorted(known, key=int)) or "none"
            raise UserError(f"{self.name}: there is no version {number!a} (versions there are: {there})")
        if known[number].status != READY:
            raise UserError(f"{self.name} version {number}: it was not registered to the end; train it again")
        return known[number]

    def versions(self) -> list[ModelVersion]:
        """All versions that there are."""
        quote = '"' if "'" in self.name else "'"
        return [found for found in self.client.search_model_versions(f"name = {quote}{self.name}{quote}") if found.name == self.name]

    def record(self, decision: Decision) -> None:
        """Write a decision, once and for ever: in the store, and with the files of the version's tracked run."""
        self.journal.append(decision.id, decision)
        if decision.version:
            self._show(self.version(decision.version), decision)

    def carry_out(self, decision: Decision, by: Author | None = None) -> Followed:
        """Make the version of a recorded decision champion, if the champion is still the one that was seen.

        ``by``: who completes a decision that somebody else was interrupted in. UserError where the champion is another by now; that is recorded.
        """
        with self.lock():
            followed, champion = self.history().followed.get(decision.id), self.champion()
            if followed and followed.done:
                return followed
            if followed or not (champion == decision.champion or (by and champion == decision.version)):
                if not followed:
                    self.note(decision, False, f"the champion was {_version(champion)} by then")
                raise UserError(
                    f"{self.name}: the champion is {_version(champion)} by now, no longer {_version(decision.champion)}, so nothing was changed; "
                    "see ulmfit history, and decide again"
                )
            assert decision.version, "a decision that makes a version champion names it"
            self.client.set_registered_model_alias(self.name, CHAMPION, decision.version)
            self._tag(decision.version, {DECISION_TAG: f"{decision.what} {decision.id}", REASON_TAG: decision.by.because or ""})
            return self.note(decision, True, by=by)

    def _show(self, version: ModelVersion, decision: Decision) -> None:
        """Log the decision as a file of the version's tracked run, if it has one: a copy that people find in MLflow."""
        if not version.run_id:
            return
        try:
            self.client.log_text(version.run_id, decision.model_dump_json(indent=1), f"decisions/{decision.id}.json")
        except (MlflowException, OSError) as error:
            log.warning("%s version %s: the decision stands in the store, but not in MLflow (%s)", self.name, version.version, cause(error))

    def tag_forgotten(self, version: str, decision: Decision) -> None:
        """Tag a version that had read what is forgotten by that decision."""
        self._tag(version, {FORGOTTEN_TAG: f"{decision.time:%Y-%m-%d} {decision.id}"})

    def _tag(self, version: str, tags: dict[str, str]) -> None:
        try:
            for name, value in tags.items():
                self.client.set_model_version_tag(self.name, version, name, value)
        except MlflowException as error:
            log.warning("%s version %s: it has no tags of this decision (%s)", self.name, version, cause(error))


def promote(workspace: Workspace, name: str, version: str, by: Author) -> tuple[Decision, Followed]:
    """Make a version champion. UserError for what does not exist, and where it is champion already."""
    model, champion = _opened(workspace, name)
    model.version(version)
    unfinished = model.history().unfinished()
    if unfinished and (unfinished.what, unfinished.version) == ("promoted", version) and champion in (version, unfinished.champion):
        return _complete(model, unfinished, by)
    if version == champion:
        raise UserError(f"{name}: version {version} is the champion already")
    return _move(model, Decision.new(name, "promoted", by, version=version, champion=champion))


def roll_back(workspace: Workspace, name: str, to: str | None, by: Author) -> tuple[Decision, Followed]:
    """Make the champion before the present one champion again, or the earlier one ``to``. UserError where there is none."""
    model, champion = _opened(workspace, name)
    if to is not None:
        model.version(to)
    history = model.history()
    unfinished = history.unfinished()
    if (
        unfinished
        and unfinished.what == "rolled back"
        and to in (None, unfinished.version)
        and champion in (unfinished.version, unfinished.champion)
    ):
        return _complete(model, unfinished, by)
    target = to or history.before(champion)
    if target is None:
        raise UserError(f"{name}: no version was champion before version {champion}; to make another one champion: ulmfit promote")
    if target == champion:
        raise UserError(f"{name}: version {target} is the champion already")
    if target not in history.champions():
        raise UserError(f"{name}: version {target} never was champion; to make it champion: ulmfit promote")
    model.version(target)
    return _move(model, Decision.new(name, "rolled back", by, version=target, champion=champion))


def _opened(workspace: Workspace, name: str) -> tuple[RegisteredModel, str | None]:
    """The model, to write about, and its champion. A workspace is made only where the registry is elsewhere and has the model."""
    model = RegisteredModel.find(workspace, name)
    Workspace.open(workspace.root, workspace.artifacts)
    with settled(workspace):
        return model, model.champion()


def _version(champion: str | None) -> str:
    return f"version {champion}" if champion else "no version"


def _move(model: RegisteredModel, decision: Decision) -> tuple[Decision, Followed]:
    model.record(decision)
    return _complete(model, decision, None)


def _complete(model: RegisteredModel, decision: Decision, by: Author | None) -> tuple[Decision, Followed]:
    """Carry out a recorded decision, and tell of it."""
    followed = model.carry_out(decision, by)
    notify(decision)
    return decision, followed


def person(because: str) -> Author:
    """Whoever runs this command."""
    try:
        name = getpass.getuser()
    except (KeyError, OSError):  # a container's user without an account
        name = None
    return Author(kind="person", name=name, because=because)
