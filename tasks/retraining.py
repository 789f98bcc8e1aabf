"""A retraining from its first look to its outcome: what is known of the model is read, what is decided is recorded, once.

A decision to train is recorded before anything is spent, and marked as followed once its outcome is recorded too. In between, whoever is
interrupted leaves it open: the next run goes on with the same decision if nothing else has landed, or gives it up and decides anew.
"""

from __future__ import annotations

import hashlib
import logging
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from tasks.champion import ModelRecords, RegisteredModel, person
from tasks.notices import notify
from tasks.tracking import settled
from tasks.workspace import Workspace
from ulmfit.config import ModelConfig, Settings
from ulmfit.corpora.landing.landing import Landing
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.corpora.landing.state import LandedState
from ulmfit.decisions.cycle import Cycle, NewText
from ulmfit.decisions.decision import MOVES, Author, Decision, What
from ulmfit.decisions.history import History
from ulmfit.decisions.retrain_policy import RetrainPolicy
from ulmfit.decisions.should_train import Choice, Situation
from ulmfit.errors import RunFailed, UserError
from ulmfit.monitoring.drift_figures import DriftFigures
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Store
from ulmfit.store.digests import in_parallel
from ulmfit.store.journal import now
from ulmfit.store.lineage import behind as made_from
from ulmfit.store.names import folder_of
from ulmfit.store.recipe import canonical_json

if TYPE_CHECKING:
    from tasks.behind import Behind

log = logging.getLogger(__name__)

DAY = 86_400.0  # seconds


Outcome = Literal["first version", "promoted", "not promoted", "held", "blocked", "the same model"]


@dataclass(frozen=True)
class Concluded:
    """What came of a training: the last decision about it, and what is to be noted of it."""

    outcome: Outcome
    decision: Decision | None
    note: str | None = None


@dataclass(frozen=True)
class Retraining:
    """A retraining of ``model`` that is asked for. ``because``: why it is forced, None where the policy decides.

    ``elsewhere``: for a dry run, a store with a copy of its ledger. Then nothing is recorded.
    """

    workspace: Workspace
    model: str
    landing: Landing
    policy: RetrainPolicy
    settings: Settings
    because: str | None = None
    elsewhere: Store | None = None

    @property
    def records(self) -> ModelRecords:
        """The decisions about the model."""
        return ModelRecords(self.workspace, self.model)

    @property
    def registered(self) -> RegisteredModel:
        """The model in the registry, where it need not be yet."""
        return RegisteredModel(self.workspace, MlflowClient(self.workspace.tracking_uri), self.model)

    @property
    def ledger(self) -> Ledger:
        """What has landed for the model."""
        return Ledger(self.elsewhere or self.workspace.store, self.model, self.settings.parts)

    def ledger_copy(self, folder: Path) -> Store:
        """A store in ``folder`` with the ledger as it is; of local files it has links."""
        source, copy = self.ledger.location, Store(folder, folder)
        copy.set_up()
        target = replace(self, elsewhere=copy).ledger.location

        def take(name: str) -> None:
            there, here = filesystem.join(source, name), Path(target, name)
            here.parent.mkdir(parents=True, exist_ok=True)
            filesystem.copy(there, here) if filesystem.is_remote(there) else here.symlink_to(there)

        in_parallel(take, filesystem.files(source))
        return copy

    @property
    def by(self) -> Author:
        """Who decides."""
        return person(self.because) if self.because else Author(kind="schedule")

    @property
    def asked(self) -> str:
        """SHA-256 of what it is asked to do: the same on the same text has the same outcome."""
        asked = {"policy": self.policy, "settings": self.settings, "reading": self.landing.reading}
        return hashlib.sha256(canonical_json(asked)).hexdigest()

    @contextmanager
    def alone(self) -> Iterator[None]:
        """No two retrainings of the model in this workspace: the second waits, or RunFailed where the policy refuses it."""
        try:
            with self.workspace.store.lock(f"retrain-{folder_of(self.model)}", wait=self.policy.when_busy == "wait"):
                yield
        except BlockingIOError as error:
            raise RunFailed(
                f"{self.model}: another retraining of it is under way; run again when it has ended, or set when_busy: wait"
            ) from error

    def champion(self) -> str | None:
        """The champion; None where there is none, or no such model yet."""
        if self.workspace.tracks_itself and not self.workspace.database.exists():  # MLflow would make one
            return None
        try:
            with settled(self.workspace):
                return self.registered.champion()
        except MlflowException as error:
            if error.error_code != "RESOURCE_DOES_NOT_EXIST":
                raise
            return None

    def decision(self, what: What, cycle: Cycle, champion: str | None) -> Decision:
        """A decision of this moment, not recorded yet."""
        return Decision.new(self.model, what, self.by, champion=champion, cycle=cycle)

    def rest(self, decision: Decision, history: History) -> Decision:
        """Record a decision not to train; the last one, if it was the same: then it is noted there that it still holds."""
        if self.elsewhere:
            return decision
        known = history.rest()
        if known and _same(known, decision):
            self.records.note_look(known, history)
            return known
        self.records.journal.append(decision.id, decision)
        notify(decision)
        return decision

    def give_up(self, begun: Decision) -> None:
        """Note of a decision in which somebody was interrupted that it does not stand any longer."""
        if self.elsewhere:
            return
        log.info(
            "%s: the retraining that was interrupted is given up, for other text has landed, or other settings are asked for", self.model
        )
        self.records.note(begun, False, "it was interrupted, and other text had landed or other settings were asked for by then")

    def conclude(self, begun: Decision, compared: Decision | None = None, run_id: str | None = None) -> Concluded:
        """What follows from a training: a challenger that is fit to be champion becomes it, and the decision to train is closed.

        Everything is done once, also where somebody was interrupted in it. ``compared``: the comparison of its version, where there is one;
        one that was made for an earlier training has had its consequences.
        """
        model = self.registered
        found = model.history().outcome(begun)
        if found and found.what == "compared" and found.verdict and found.verdict.outcome == "promoted":
            by = Author(kind="schedule", because=found.why, run_id=run_id)
            found = Decision.new(self.model, "promoted", by, version=found.version, champion=found.champion, retraining=begun.id)
            model.record(found)
        concluded = self._carry_out(found, run_id) if found else _nothing_new(compared)
        if concluded.decision and concluded.outcome != "first version":  # which was told when it was registered
            notify(concluded.decision, concluded.outcome)
        model.note(begun, True, concluded.note)
        return concluded

    def _carry_out(self, found: Decision, run_id: str | None) -> Concluded:
        if found.what not in MOVES:
            return Concluded(found.verdict.outcome if found.verdict else "held", found)
        try:
            self.registered.carry_out(found, by=Author(kind="schedule", run_id=run_id))
        except UserError as error:  # somebody has changed the champion meanwhile; that is recorded
            log.warning("%s", error)
            return Concluded("not promoted", found, str(error))
        return Concluded("first version" if found.what == "first version" else "promoted", found)


def _nothing_new(compared: Decision | None) -> Concluded:
    if compared is None:
        return Concluded("the same model", None, "the same text and settings make the champion again")
    return Concluded(
        "the same model", compared, f"the same text and settings make version {compared.version} again, which was compared before"
    )


def _same(known: Decision, decision: Decision) -> bool:
    """Whether two decisions not to train say the same, but for the time."""
    facts = lambda each: (each.what, each.champion, each.cycle and (each.cycle.landed, each.cycle.asked, each.cycle.new))
    return facts(known) == facts(decision)


@dataclass(frozen=True)
class Seen:
    """What a retraining sees before it decides: the decisions so far, the champion, what has landed, and what of it is new."""

    history: History
    champion: str | None
    state: LandedState
    last: Decision | None
    new: NewText
    new_parts: frozenset[str]

    @classmethod
    def of(cls, asked: Retraining) -> Seen:
        """As it is now."""
        history, state = asked.records.history(), asked.ledger.state()
        last = next((each for each in reversed(history.retrainings()) if each.id in history.followed), None)
        until = last.cycle.until or "" if last and last.cycle else ""
        return cls(history, asked.champion(), state, last, *_new(state, until))

    @property
    def anything(self) -> bool:
        """Whether something is new."""
        return bool(self.new.documents or self.new.labels)

    @property
    def days(self) -> float | None:
        """Since the last training; None where there was none."""
        return (now() - self.history.followed[self.last.id].time).total_seconds() / DAY if self.last else None

    @property
    def warm(self) -> int:
        """Trainings since the last one that started anew."""
        done = [each.cycle.training for each in self.history.retrainings() if each.cycle and each.id in self.history.followed]
        return next((number for number, training in enumerate(reversed(done)) if training != "warm"), len(done))

    def known(self, asked: Retraining) -> Decision | None:
        """The last decision, if it was not to train, nothing it rests on has changed since, and age is no reason yet."""
        limit = asked.policy.max_age_days
        if limit is not None and self.days is not None and self.days >= limit:
            return None
        known = self.history.rest()
        if known is None or known.cycle is None:
            return None
        now_there = (self.state.digest, asked.asked, self.champion)
        return known if (known.cycle.landed, known.cycle.asked, known.champion) == now_there else None

    def goes_on_from(self, asked: Retraining, model: ModelConfig) -> Behind | str:
        """What stands behind the champion, to be trained on with; or why it cannot be. ``model``: the sizes that are asked for."""
        from tasks.behind import Behind  # with torch and spaCy, which nothing to do needs not
        from ulmfit.text.tokenizer import Tokenizer

        if self.champion is None:
            return "there is no champion yet"
        forgotten = f"version {self.champion} had read documents that are forgotten since"
        if self.history.forgotten_by(self.champion):
            return forgotten
        try:
            behind = Behind.of(asked.workspace.store, asked.registered.version(self.champion))
        except UserError as error:
            return f"version {self.champion} cannot be trained on ({error})"
        if self.history.forgotten and not self.history.forgotten.isdisjoint(made_from(behind.model.key, asked.workspace.store.known())):
            return forgotten  # it was registered after they were forgotten
        if behind.sizes != model:
            return f"the language models of version {self.champion} have other sizes"
        if behind.tokens.tokenizer != Tokenizer(asked.settings.text.lang, asked.settings.text.rules).definition:
            return f"version {self.champion} splits words in another way"
        return behind

    def situation(self, drift: DriftFigures | None = None, goes_on: str | None = None) -> Situation:
        """What counts in the decision. ``goes_on``: why the champion cannot be trained on."""
        noticed = drift.noticed if drift else []
        return Situation(
            documents=self.new.documents,
            labels=self.new.labels,
            days=self.days,
            drift=tuple(figure.says for figure in noticed),
            new_words=bool(drift and drift.unknown.noticed),
            warm=self.warm,
            goes_on=goes_on,
        )

    def cycle(self, asked: Retraining, choice: Choice, drift: DriftFigures | None = None) -> Cycle:
        """The facts of a decision."""
        trained = sum(each.id in self.history.followed for each in self.history.retrainings())
        return Cycle(
            number=trained + (choice.training != "none"),
            landed=self.state.digest,
            until=self.state.arrivals[-1].id if self.state.arrivals else None,
            asked=asked.asked,
            new=self.new,
            training=choice.training,
            reasons=choice.reasons,
            policy=asked.policy,
            days=None if self.days is None else round(self.days, 2),
            drift=drift,
            forced=asked.because is not None,
        )


def _new(state: LandedState, until: str) -> tuple[NewText, frozenset[str]]:
    """What landed after the arrival ``until``, and the names of its parts."""
    arrivals = [arrival for arrival in state.arrivals if arrival.id > until]
    if not arrivals:
        return NewText(), frozenset()
    known = [part.name for part, number in zip(state.parts, state.part_arrivals, strict=True) if state.arrivals[number].id <= until]
    news = state.new_since(known)
    quarantined: Counter[str] = Counter()
    for arrival in arrivals:
        quarantined.update(arrival.counts.quarantined)
    files = sum(arrival.counts.files for arrival in arrivals)
    change = news.change
    found = NewText(
        files=files, documents=news.documents, labels=news.labels, corrections=change.corrections, quarantined=dict(quarantined)
    )
    return found, frozenset(news.parts)
