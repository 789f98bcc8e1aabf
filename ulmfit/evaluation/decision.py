"""What was decided about the versions of a model: records that are never changed, and the history that they make together."""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Literal, Self

from pydantic import AwareDatetime, Field, TypeAdapter

from ulmfit.errors import UserError
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.verdict import Outcome, Verdict
from ulmfit.store.journal import new_id, now
from ulmfit.store.json import SparseFacts

What = Literal["first version", "compared", "promoted", "rolled back", "held", "blocked", "nothing to do"]
MOVES = frozenset[What](["first version", "promoted", "rolled back"])  # decisions that make a version champion
OUTCOMES: dict[Outcome, str] = {"promoted": "fit to be champion", "held": "held", "blocked": "blocked"}
LONGEST_REASON = 1000  # letters


class Author(SparseFacts):
    """Who decided: a person with a reason, a training, or a retraining on schedule. ``name``: of the account; ``run_id``: of the tracked run."""

    kind: Literal["person", "training", "schedule"]
    name: str | None = None
    because: str | None = None
    run_id: str | None = None


class Decision(SparseFacts):
    """One decision. ``version`` is the one it is about; ``champion`` the one that was champion then, with which it was compared.

    ``corpora`` and ``evaluations`` are keys of the artifacts that the figures come from. ``verdict``: of the gate, by ``policy``.
    ``left_out``: held-out rows that were not compared, for the champion was trained on them.
    """

    entry: Literal["decision"] = "decision"
    id: str
    time: AwareDatetime
    model: str
    what: What
    version: str | None = None
    champion: str | None = None
    by: Author
    corpora: tuple[str, ...] = ()
    evaluations: tuple[str, ...] = ()
    policy: GatePolicy | None = None
    verdict: Verdict | None = None
    left_out: int | None = None

    @classmethod
    def new(cls, model: str, what: What, by: Author, **facts: object) -> Self:
        """A decision of this moment; ``facts`` are the other fields."""
        time = now()
        return cls.model_validate({"id": new_id(time), "time": time, "model": model, "what": what, "by": by, **facts})

    @property
    def why(self) -> str:
        """The reason that a person gave, and those of the gate, in one line."""
        verdict = f"{OUTCOMES[self.verdict.outcome]}: {' '.join(self.verdict.reasons)}" if self.verdict else None
        return "; ".join(filter(None, (self.by.because, verdict)))


class Followed(SparseFacts):
    """What followed from the decision of that id: it was carried out (``done``), or it was not, for the reason in ``note``.

    ``by``: who carried it out, where that was not who decided.
    """

    entry: Literal["followed"] = "followed"
    decision: str
    time: AwareDatetime
    done: bool
    note: str | None = None
    by: Author | None = None


Entry = Decision | Followed
ENTRY: TypeAdapter[Entry] = TypeAdapter(Annotated[Entry, Field(discriminator="entry")])


@dataclass(frozen=True)
class History:
    """The decisions about one model by time, what followed from each, and the locations of records that cannot be read."""

    decisions: tuple[Decision, ...]
    marks: tuple[Followed, ...] = ()
    damaged: tuple[str, ...] = ()

    @classmethod
    def of(cls, model: str, entries: Iterable[Entry], damaged: Iterable[str] = ()) -> Self:
        """The history in the entries of a journal."""
        entries = tuple(entries)
        decisions = tuple(entry for entry in entries if isinstance(entry, Decision) and entry.model == model)
        return cls(decisions, tuple(entry for entry in entries if isinstance(entry, Followed)), tuple(damaged))

    @cached_property
    def followed(self) -> dict[str, Followed]:
        """What followed, by the decision's id; of several marks the first counts."""
        return {mark.decision: mark for mark in reversed(self.marks)}

    @property
    def comparisons(self) -> int:
        """How often held-out rows were looked at, so that the gate spends its alpha over all cycles together."""
        return sum(bool(decision.verdict and decision.verdict.compared) for decision in self.decisions)

    def comparison(self, version: str, champion: str, evaluation: str, policy: GatePolicy) -> Decision | None:
        """The comparison of these two by that evaluation of ``version``, if there was one: the same rows are not counted twice."""
        asked = (version, champion, (evaluation,), policy)
        known = lambda each: (each.version, each.champion, each.evaluations[:1], each.policy)
        found = (each for each in self.decisions if each.verdict and each.verdict.compared and known(each) == asked)
        return next(found, None)

    def unfinished(self) -> Decision | None:
        """The last decision that makes a version champion, if nothing says what followed: whoever took it was interrupted, or is at it."""
        last = next((decision for decision in reversed(self.decisions) if decision.what in MOVES), None)
        return last if last and last.id not in self.followed else None

    def champions(self) -> list[str]:
        """The versions that were champion, one on top of the other: a promotion puts one on top, a rollback takes off down to its own.

        In the order in which decisions were carried out. A champion that somebody set elsewhere is met when it is replaced.
        """
        moves = {decision.id: decision for decision in self.decisions if decision.what in MOVES}
        done = dict.fromkeys(mark.decision for mark in self.marks if mark.done)
        stack: list[str] = []
        for decision in (moves[name] for name in done if name in moves):
            if decision.champion and stack[-1:] != [decision.champion]:
                stack.append(decision.champion)
            if decision.what == "rolled back" and decision.version in stack:
                while stack[-1] != decision.version or stack[-1] == decision.champion:
                    stack.pop()
            elif decision.version:
                stack.append(decision.version)
        return stack

    def before(self, champion: str | None) -> str | None:
        """The champion before ``champion``; None where there was none."""
        stack = self.champions()
        if stack and stack[-1] == champion:
            stack.pop()
        return next((version for version in reversed(stack) if version != champion), None)


def reason(because: str) -> str:
    """A person's reason, in one line. UserError where it is empty, too long, or holds what cannot be shown."""
    text = " ".join(because.split())
    if not text:
        raise UserError("--because: say why, in a few words; the reason stands in the history for ever")
    if len(text) > LONGEST_REASON or not text.isprintable():
        raise UserError(f"--because: give printable text of at most {LONGEST_REASON:,} letters")
    return text
