"""How much to train in a given time: pure functions of costs measured here, of sizes, and of seconds."""

import logging
import math
from dataclasses import dataclass
from typing import Literal, Self

from ulmfit.config import Settings
from ulmfit.store.json import Facts

log = logging.getLogger(__name__)

CLASSIFYING = 0.4  # of the time, for the classifier, where the language model could use all of it
JUDGING = 0.15  # of the time, for prediction and scores of the documents that judge
FEWEST_JUDGED = 500  # documents: their interval is some 4 points wide to each side
FEWEST_LABELLED = 100  # documents
FEWEST_EPOCHS = 6  # of the classifier, before it takes fewer documents: more labels teach more than more passes (docs/results/low_shot.md)
MARGIN = 0.07  # of the time, kept for what was estimated too low


class Amounts(Facts):
    """``tokens`` that a language model reads in all, ``epochs`` of a classifier over ``labelled`` documents, and the documents that judge."""

    tokens: int
    epochs: int
    labelled: int
    judged: int


@dataclass(frozen=True)
class Costs:
    """Seconds on this machine, both directions together.

    ``token``: to train the language model on one. ``document``: to train the classifier on one, once. ``epoch``: what an epoch of the
    classifier costs besides. ``judged``: to predict and score a document. ``labelled``: for the baseline, a document. ``fixed``: all else.
    """

    token: float
    document: float
    epoch: float
    judged: float
    labelled: float
    fixed: float

    def classifying(self, amounts: Amounts) -> float:
        """Seconds for the classifiers and for the baseline, which learns from the same documents."""
        return amounts.epochs * (self.epoch + amounts.labelled * self.document) + amounts.labelled * self.labelled

    def seconds(self, amounts: Amounts) -> float:
        """Seconds in all."""
        return self.fixed + amounts.tokens * self.token + self.classifying(amounts) + amounts.judged * self.judged


def choose(usual: Amounts, costs: Costs, seconds: float) -> Amounts:
    """The amounts that fit into ``seconds``: the usual ones, or less of everything, and never less than one epoch over a few documents.

    First come as many documents to judge by as a small share of the time allows, then the classifier: fewer documents only where it
    could not read them a few times. The language model reads as much as the rest allows.
    """
    free = seconds * (1 - MARGIN) - costs.fixed
    if costs.seconds(usual) - costs.fixed <= free:
        return usual
    judged = max(min(usual.judged, FEWEST_JUDGED), _fits(JUDGING * free, costs.judged, usual.judged))
    free -= judged * costs.judged
    share = max(CLASSIFYING * free, free - usual.tokens * costs.token)
    labelled = _fits(share - FEWEST_EPOCHS * costs.epoch, FEWEST_EPOCHS * costs.document + costs.labelled, usual.labelled)
    labelled = max(min(usual.labelled, FEWEST_LABELLED), labelled)
    epochs = max(1, _fits(share - labelled * costs.labelled, costs.epoch + labelled * costs.document, usual.epochs))
    chosen = Amounts(tokens=0, epochs=epochs, labelled=labelled, judged=judged)
    return chosen.model_copy(update={"tokens": _fits(free - costs.classifying(chosen), costs.token, usual.tokens)})


def _fits(seconds: float, each: float, most: int) -> int:
    """How many of ``each`` seconds fit, ``most`` at most."""
    return most if each <= 0 else min(most, max(0, int(seconds / each)))


VALIDATED = 200  # documents that a classifier with a budget looks at after each epoch, and for its temperature


def usual_settings(settings: Settings) -> Settings:
    """The settings of which a budget takes less. Its time goes into what the model learns, so no folds tell how sure to be."""
    update = {"max_valid": VALIDATED, "folds": None}
    return settings.model_copy(update={"classifier": settings.classifier.model_copy(update=update)})


@dataclass(frozen=True)
class PassOver:
    """A pass of the language model over its text: the stage that trains it, and the ``tokens`` of the text in so many parallel ``streams``.

    Fewer than ``least`` tokens teach nothing.
    """

    stage: Literal["finetune", "pretrain"]
    tokens: int
    streams: int
    least: int


def with_amounts(settings: Settings, chosen: Amounts, usual: Amounts, once: PassOver) -> Settings:
    """``settings`` with the amounts that are less than usual."""
    update: dict[str, object] = {}
    if chosen.tokens < usual.tokens:
        passes = math.floor(1000 * chosen.tokens / once.tokens) / 1000 if chosen.tokens >= once.least else 0.0
        config = settings.finetune if once.stage == "finetune" else settings.pretrain
        update[once.stage] = config.model_copy(update={"epochs": passes, "batch_size": once.streams})
    if chosen.labelled < usual.labelled:
        update["labels"] = settings.labels.model_copy(update={"number": chosen.labelled})
    if (chosen.epochs, chosen.labelled) != (usual.epochs, usual.labelled):
        update["classifier"] = settings.classifier.model_copy(update={"epochs": chosen.epochs})
    if chosen.judged < usual.judged:
        update["evaluate"] = settings.evaluate.model_copy(update={"max_documents": chosen.judged})
    return settings.model_copy(update=update)


def described(amounts: Amounts, usual: Amounts) -> str:
    """What is done of the usual, for people."""
    of = lambda some, every, what: f"{some:,} of {every:,} {what}" if some < every else f"all {every:,} {what}"
    parts = (
        of(amounts.tokens, usual.tokens, "tokens of the domain's text"),
        f"{of(amounts.labelled, usual.labelled, 'labelled documents')} in {amounts.epochs} epochs (usually {usual.epochs})",
        of(amounts.judged, usual.judged, "documents to judge by") if usual.judged else "",
    )
    return "; ".join(filter(None, parts))


class Choice(Facts):
    """What was chosen for a number of minutes, of what would be usual, and what twice the time would be spent on."""

    minutes: float
    chosen: Amounts
    usual: Amounts
    twice: Amounts

    @classmethod
    def of(cls, minutes: float, gone: float, usual: Amounts, costs: Costs) -> Self:
        """The choice where ``gone`` seconds of the minutes have passed. A warning says so where they are too few."""
        seconds = 60 * minutes - gone
        chosen = choose(usual, costs, seconds)
        needed = (gone + costs.seconds(chosen)) / 60
        if needed > minutes:
            log.warning("%g minutes are too few here: reading the text and the least of training take some %.1f", minutes, needed)
        return cls(minutes=minutes, chosen=chosen, usual=usual, twice=choose(usual, costs, seconds + 60 * minutes))

    def lines(self) -> list[str]:
        """Lines for people: what is done, and what twice the time would be spent on where that is more."""
        lines = [f"in {self.minutes:g} minutes: {described(self.chosen, self.usual)}"]
        more = [f"in {2 * self.minutes:g} minutes it would be: {described(self.twice, self.usual)}"]
        return lines + (more if self.chosen != self.usual else [])
