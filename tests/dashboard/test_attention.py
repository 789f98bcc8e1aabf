"""What needs a person, kind by kind; and what does not."""

from __future__ import annotations

from typing import Any

import pytest

from dashboard.queries.attention import of_model
from tests.dashboard.home import BY, MODEL, Home
from ulmfit.decisions.cycle import Cycle, NewText
from ulmfit.decisions.decision import Author, Decision, Entry, Followed, Forgetting, What
from ulmfit.decisions.history import History
from ulmfit.decisions.retrain_policy import RetrainPolicy
from ulmfit.evaluation.verdict import Verdict
from ulmfit.monitoring.drift_figures import DriftFigures, Figure

SCHEDULE = Author(kind="schedule")


def cycle(drifted: bool = False, training: Any = "none") -> Cycle:
    """A look at the model; the perplexity has ``drifted``."""
    calm = Figure(limit=0.2, level=0.01, rows=100, says="calm")
    loud = calm.model_copy(update={"noticed": True, "says": "Perplexity is 80, and was 50."})
    names = dict.fromkeys(DriftFigures.model_fields, calm)
    drift = DriftFigures(**{**names, "perplexity": loud if drifted else calm})
    facts = {"landed": "a", "asked": "b", "new": NewText(), "reasons": ("Something.",), "policy": RetrainPolicy()}
    return Cycle(number=1, training=training, drift=drift, **facts)


def history(*entries: Entry) -> History:
    return History.of(MODEL, entries)


def decision(what: What, version: str | None = None, **facts: Any) -> Decision:
    return Decision.new(MODEL, what, facts.pop("by", SCHEDULE), version=version, **facts)


def done(decided: Decision) -> Followed:
    return Followed(decision=decided.id, time=decided.time, done=True)


def kinds(home: Home, told: History, champion: str | None = "1", busy: bool = False) -> list[tuple[str, str]]:
    home.database.set_up()
    with home.database.reading() as reading:
        return [(each.kind, each.reason) for each in of_model(reading, MODEL, champion, told, busy)]


FIRST = decision("first version", "1")


@pytest.mark.parametrize("outcome", ["held", "blocked"])
def test_a_version_that_did_not_pass(home: Home, outcome: Any) -> None:
    judged = decision("compared", "2", champion="1", verdict=Verdict(outcome=outcome, reasons=["So it is."]))
    assert kinds(home, history(FIRST, done(FIRST), judged)) == [(outcome, f"{outcome}: So it is.")]
    passed = decision("compared", "3", champion="1", verdict=Verdict(outcome="promoted", reasons=["Good."]))
    assert kinds(home, history(FIRST, done(FIRST), judged, passed)) == []


def test_one_that_a_person_made_champion_all_the_same_needs_nobody(home: Home) -> None:
    judged = decision("compared", "2", champion="1", verdict=Verdict(outcome="blocked", reasons=["No."]))
    moved = decision("promoted", "2", champion="1", by=BY)
    assert kinds(home, history(FIRST, done(FIRST), judged, moved, done(moved)), champion="2") == []


def test_drift_and_a_retraining_that_was_held(home: Home) -> None:
    assert kinds(home, history(FIRST, done(FIRST), decision("nothing to do", cycle=cycle(drifted=True)))) == [
        ("drift", "Perplexity is 80, and was 50.")
    ]
    assert kinds(home, history(FIRST, done(FIRST), decision("held", cycle=cycle()))) == [("held", "Something.")]
    assert kinds(home, history(FIRST, done(FIRST), decision("nothing to do", cycle=cycle()))) == []


def test_what_was_interrupted(home: Home) -> None:
    moved = decision("promoted", "2", champion="1", by=BY)
    ((kind, reason),) = kinds(home, history(FIRST, done(FIRST), moved))
    assert kind == "interrupted" and "promoted" in reason
    retrain = decision("retrain", cycle=cycle(training="cold"))
    assert [kind for kind, _ in kinds(home, history(FIRST, done(FIRST), retrain))] == ["interrupted"]
    assert kinds(home, history(FIRST, done(FIRST), retrain), busy=True) == []


def test_a_champion_that_the_registry_lost(home: Home) -> None:
    ((kind, reason),) = kinds(home, history(FIRST, done(FIRST)), champion=None)
    assert kind == "no champion" and "version 1" in reason
    assert kinds(home, history(), champion=None) == []


def test_a_champion_that_had_read_what_is_forgotten(home: Home) -> None:
    forgotten = decision("forgotten", by=BY, forgetting=Forgetting(ledger="x", had_read=("1",), unknown=()))
    assert [kind for kind, _ in kinds(home, history(FIRST, done(FIRST), forgotten))] == ["forgotten"]
