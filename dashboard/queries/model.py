"""The page of a model: its versions, and one of them in full beside the champion that it was compared with."""

import shlex
import sqlite3

from dashboard.queries.champions import Reign, champion_of, reigns
from dashboard.queries.histories import Decided, history, model_names
from dashboard.queries.versions import Version, comparisons, versions
from ulmfit.decisions.decision import Decision
from ulmfit.decisions.history import History
from ulmfit.evaluation.results import Results
from ulmfit.evaluation.verdict import Verdict
from ulmfit.store.json import Facts


class Comparison(Facts):
    """What the gate saw. ``left_out``: held-out rows that were not compared, for the champion had read them."""

    champion: str | None
    verdict: Verdict
    left_out: int | None

    @classmethod
    def of(cls, decision: Decision | None) -> "Comparison | None":
        """That of the decision; None where there is none."""
        if decision is None or decision.verdict is None:
            return None
        return cls(champion=decision.champion, verdict=decision.verdict, left_out=decision.left_out)


class Command(Facts):
    """Something to type: what it does, and the line."""

    title: str
    line: str


class Model(Facts):
    """A model. ``shown``: the version in full; ``results``: its scores, None where its evaluation is no longer there, and without mistakes."""

    name: str
    champion: str | None
    versions: list[Version]
    reigns: list[Reign]
    decisions: list[Decided]
    shown: Version | None
    comparison: Comparison | None
    results: Results | None
    commands: list[Command]


def model(reading: sqlite3.Connection, name: str, number: str | None, workspace: str) -> Model | None:
    """The model and the version ``number`` of it, else the newest; None where there is none. ``workspace``: its folder, for commands."""
    if name not in model_names(reading):
        return None
    past = history(reading, name)
    champion = champion_of(reading, name, past)
    found = versions(reading, name, past)
    shown = next((each for each in reversed(found) if number in (None, each.number)), None)
    if number is not None and shown is None:
        return None
    return Model(
        name=name,
        champion=champion,
        versions=found,
        reigns=reigns(reading, name, past),
        decisions=[Decided.of(decision, past) for decision in reversed(past.decisions)],
        shown=shown,
        comparison=Comparison.of(comparisons(past).get(shown.number)) if shown else None,
        results=results(reading, shown.evaluation) if shown else None,
        commands=list(_commands(name, champion, shown, past, workspace)),
    )


def results(reading: sqlite3.Connection, evaluation: str | None) -> Results | None:
    """The scores of an evaluation, without its mistakes."""
    row = reading.execute("select facts from evaluations where key = ?", [evaluation]).fetchone()
    return Results.model_validate_json(row["facts"]) if row else None


def _commands(name: str, champion: str | None, shown: Version | None, past: History, workspace: str) -> list[Command]:
    """Lines to promote the version shown, and to take the champion back. The site runs none of them."""
    end = f"--because 'WHY' --workspace {shlex.quote(workspace)}"
    commands = []
    if shown and shown.number != champion:
        line = f"ulmfit promote {shlex.quote(name)} {shown.number} {end}"
        commands.append(Command(title=f"Make version {shown.number} the champion", line=line))
    before = past.before(champion)
    if champion and before:
        line = f"ulmfit rollback {shlex.quote(name)} {end}"
        commands.append(Command(title=f"Go back to version {before}, the champion before", line=line))
    return commands
