"""The decisions about models, and each of them as pages show it."""

import sqlite3
from datetime import datetime
from functools import lru_cache

from pydantic import TypeAdapter

from ulmfit.decisions.decision import MOVES, Decision, Entry, Followed, Looks, What
from ulmfit.decisions.history import History
from ulmfit.evaluation.verdict import Outcome
from ulmfit.store.json import Facts

DECISION, FOLLOWED = TypeAdapter(Decision), TypeAdapter(Followed)
REMEMBERED = 4096  # records: they never change, and to read a hundred anew for each request takes longer than all else


class Decided(Facts):
    """A decision in words. ``says``: what was decided and what followed; ``outcome``: of the gate, if it was asked."""

    id: str
    time: datetime
    model: str
    what: What
    says: str
    version: str | None
    champion: str | None
    by: str
    why: str
    outcome: Outcome | None

    @classmethod
    def of(cls, decision: Decision, history: History) -> "Decided":
        """What that decision of the history says."""
        return cls(
            id=decision.id,
            time=decision.time,
            model=decision.model,
            what=decision.what,
            says=_says(decision, history),
            version=decision.version,
            champion=decision.champion,
            by=decision.by.name or decision.by.kind,
            why=decision.why,
            outcome=decision.verdict.outcome if decision.verdict else None,
        )


def _says(decision: Decision, history: History) -> str:
    followed = history.followed.get(decision.id)
    if decision.id in history.looks:
        return f"{decision.what}, found again {history.looks[decision.id].times:,} times"
    if decision.what == "retrain":
        how = f"retrain {decision.cycle.number}, {decision.cycle.training}" if decision.cycle else "retrain"
        return f"{how}: under way, or interrupted" if followed is None else how if followed.done else f"{how}: given up"
    if decision.what not in MOVES or (followed and followed.done):
        return decision.what
    return f"{decision.what}: {'interrupted' if followed is None else 'not carried out'}"


def model_names(reading: sqlite3.Connection) -> list[str]:
    """Models of the registry, and those that decisions are about."""
    rows = reading.execute("select name from models union select distinct model from decisions order by 1")
    return [row[0] for row in rows]


def history(reading: sqlite3.Connection, model: str) -> History:
    """All that was decided about a model."""
    decided = reading.execute("select facts from decisions where model = ? order by id", [model])
    of_it = "decision in (select id from decisions where model = ?)"
    followed = reading.execute(f"select facts from followed where {of_it} order by location", [model])
    entries: list[Entry] = [*(decision_of(row["facts"]) for row in decided), *(_followed_of(row["facts"]) for row in followed)]
    looks = [Looks.model_validate(dict(row)) for row in reading.execute(f"select decision, times, last from looks where {of_it}", [model])]
    return History.of(model, entries, looks=looks)


@lru_cache(REMEMBERED)
def decision_of(facts: str) -> Decision:
    """The decision in a record."""
    return DECISION.validate_json(facts)


@lru_cache(REMEMBERED)
def _followed_of(facts: str) -> Followed:
    return FOLLOWED.validate_json(facts)
