"""Whether a model is to be trained again, and how: a pure function of what is known before anything is spent."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from ulmfit.decisions.retrain_policy import RetrainPolicy

Training = Literal["warm", "cold", "none"]


@dataclass(frozen=True)
class Situation:
    """What is known of a model and of the text that landed for it since it was trained last.

    ``documents`` and ``labels`` are new ones, corrected labels among them. ``days``: since the last training, None where there was none. ``drift``: a
    sentence for each figure in which drift is noticed; ``new_words``: whether the share of unknown tokens is one. ``warm``: trainings since the
    last one that started anew. ``goes_on``: None where the champion can be trained on, else why not.
    """

    documents: int
    labels: int
    days: float | None = None
    drift: tuple[str, ...] = ()
    new_words: bool = False
    warm: int = 0
    goes_on: str | None = None


@dataclass(frozen=True)
class Choice:
    """How to train, and the reasons, a sentence each; what speaks for ``none`` is what is missing."""

    training: Training
    reasons: tuple[str, ...]


def should_train(found: Situation, policy: RetrainPolicy, forced: bool = False) -> Choice:
    """Train or not, by ``policy``; ``forced``: a person wants it whatever the figures say."""
    reasons = list(_reasons(found, policy))
    if not reasons and not forced:
        return Choice("none", tuple(_missing(found, policy)))
    training, how = _how(found, policy)
    return Choice(training, (*(reasons or ("It is forced.",)), how))


def _reasons(found: Situation, policy: RetrainPolicy) -> Iterator[str]:
    if not found.documents and not found.labels:
        return
    if found.days is None:
        yield f"The model was never trained on this text, and {_count(found.documents, 'document')} landed."
        return
    if found.documents >= policy.min_documents:
        yield f"{_count(found.documents, 'new document')}, and {policy.min_documents:,} are enough."
    if found.labels >= policy.min_labels:
        yield f"{_count(found.labels, 'new or corrected label')}, and {policy.min_labels:,} are enough."
    if policy.max_age_days is not None and found.days >= policy.max_age_days:
        yield f"The last training is {found.days:.1f} days old, and there is new text; {policy.max_age_days:g} days are old enough."
    yield from found.drift


def _missing(found: Situation, policy: RetrainPolicy) -> Iterator[str]:
    if not found.documents and not found.labels:
        yield "Nothing new has landed." if found.days is not None else "Nothing has landed yet."
        return
    yield f"{_count(found.documents, 'new document')}, and the policy asks for {policy.min_documents:,}."
    yield f"{_count(found.labels, 'new or corrected label')}, and the policy asks for {policy.min_labels:,}."
    if policy.max_age_days is not None:
        yield f"The last training is {found.days:.1f} days old, and the policy asks for {policy.max_age_days:g}."
    yield "No drift is noticed."


def _how(found: Situation, policy: RetrainPolicy) -> tuple[Training, str]:
    """Warm where the champion can be trained on, unless it is time to start anew."""
    if found.goes_on is not None:
        return "cold", f"It starts anew: {found.goes_on}."
    if found.new_words:
        return "cold", "It starts anew: the vocabulary no longer fits the text."
    if found.warm + 1 >= policy.cold_every:
        return "cold", f"It starts anew, as every {_ordinal(policy.cold_every)}training does."
    return "warm", "It goes on from the champion."


def _count(number: int, what: str) -> str:
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _ordinal(number: int) -> str:
    ending = "th" if number % 100 in (11, 12, 13) else {1: "st", 2: "nd", 3: "rd"}.get(number % 10, "th")
    return "" if number == 1 else f"{number}{ending} "
