"""The history that the decisions about a model make together: who was champion, in which order, and what was left unfinished."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Self

from ulmfit.decisions.decision import MOVES, RESTS, Decision, Entry, Followed, Looks
from ulmfit.evaluation.policy import GatePolicy


@dataclass(frozen=True)
class History:
    """The decisions about one model by time, what followed from each, and the locations of records that cannot be read.

    ``looks``: by the decision that was found to hold still.
    """

    decisions: tuple[Decision, ...]
    marks: tuple[Followed, ...] = ()
    damaged: tuple[str, ...] = ()
    looks: Mapping[str, Looks] = field(default_factory=dict)

    @classmethod
    def of(cls, model: str, entries: Iterable[Entry], damaged: Iterable[str] = (), looks: Iterable[Looks] = ()) -> Self:
        """The history in the entries of a journal."""
        entries = tuple(entries)
        decisions = tuple(entry for entry in entries if isinstance(entry, Decision) and entry.model == model)
        followed = tuple(entry for entry in entries if isinstance(entry, Followed))
        return cls(decisions, followed, tuple(damaged), {each.decision: each for each in looks})

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

    @property
    def forgotten(self) -> frozenset[str]:
        """Keys of the corpora that held documents which are forgotten since."""
        return frozenset(key for decision in self.decisions if decision.forgetting for key in decision.corpora)

    def forgotten_by(self, version: str) -> bool:
        """Whether that version had read a document which is forgotten since, or nobody can tell that it had not."""
        found = [decision.forgetting for decision in self.decisions if decision.forgetting]
        return any(version in (*forgetting.had_read, *forgetting.unknown) for forgetting in found)

    def retrainings(self) -> list[Decision]:
        """The decisions to train again, but for those that were given up."""
        return [each for each in self.decisions if each.what == "retrain" and (each.id not in self.followed or self.followed[each.id].done)]

    def under_way(self) -> Decision | None:
        """The last decision to train again, if nothing says what followed: whoever took it was interrupted, or is at it."""
        last = next(reversed(self.retrainings()), None)
        return last if last and last.id not in self.followed else None

    def outcome(self, retraining: Decision) -> Decision | None:
        """The last decision that came of a retraining; None where none did yet."""
        return next((each for each in reversed(self.decisions) if each.retraining == retraining.id), None)

    @property
    def untrained(self) -> bool:
        """Whether there are decisions, but none about a version: nothing was trained yet."""
        return bool(self.decisions) and not any(each.version for each in self.decisions)

    def rest(self) -> Decision | None:
        """The last decision of a retraining, if it was not to train."""
        last = next((each for each in reversed(self.decisions) if each.cycle), None)
        return last if last and last.what in RESTS else None

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
