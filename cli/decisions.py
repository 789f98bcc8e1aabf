"""``ulmfit history``, ``promote`` and ``rollback``: which version of a model is in use, since when, by whose decision and why."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Optional

import typer
from rich.table import Table
from rich.text import Text

from cli.options import AsJson, WorkspaceDir, console, print_json
from ulmfit.decisions.decision import MOVES
from ulmfit.errors import UserError

if TYPE_CHECKING:
    from tasks.workspace import Workspace
    from ulmfit.decisions.decision import Author, Decision, Followed, Looks
    from ulmfit.decisions.history import History
    from ulmfit.store.json import JsonObject

Name = Annotated[str, typer.Argument(metavar="NAME", help="name of the registered model")]
Because = Annotated[str, typer.Option("--because", help="why; the history shows it")]


def history(name: Name, workspace: WorkspaceDir = None, as_json: AsJson = False) -> None:
    """Every decision about a model's versions: when, which, by whom and why, and what followed."""
    from tasks.champion import ModelRecords, RegisteredModel
    from tasks.servers import server_failures
    from tasks.workspace import Workspace

    home = Workspace.named(workspace)
    past = ModelRecords(home, name).history()
    with server_failures(home):
        try:
            champion = RegisteredModel.find(home, name).champion()
        except UserError:
            if not past.untrained:
                raise
            champion = None
    typer.echo(f"champion: {f'version {champion}' if champion else 'none'}")
    if past.decisions:
        console().print(history_table(past))
    if as_json:
        decisions = [decision_json(decision, past.followed.get(decision.id), past.looks.get(decision.id)) for decision in past.decisions]
        print_json({"model": name, "champion": champion, "decisions": decisions, "damaged": list(past.damaged)})


def promote(
    name: Name,
    version: Annotated[str, typer.Argument(metavar="VERSION", help="number of the version that becomes champion")],
    because: Because,
    workspace: WorkspaceDir = None,
    as_json: AsJson = False,
) -> None:
    """Make a version the champion, recorded with the reason."""
    from tasks import champion

    _check_number("VERSION", version)
    _carry_out(lambda home, by: champion.promote(home, name, version, by), because, workspace, as_json)


def rollback(
    name: Name,
    because: Because,
    to: Annotated[Optional[str], typer.Option("--to", help="number of an earlier champion [the champion before]")] = None,  # noqa: UP045
    workspace: WorkspaceDir = None,
    as_json: AsJson = False,
) -> None:
    """Make an earlier champion the champion again, recorded with the reason."""
    from tasks import champion

    if to is not None:
        _check_number("--to", to)
    _carry_out(lambda home, by: champion.roll_back(home, name, to, by), because, workspace, as_json)


def _check_number(option: str, version: str) -> None:
    if not re.fullmatch(r"[1-9][0-9]{0,8}", version):
        raise UserError(f"{option} {version!a}: give the number of a version, as 7; ulmfit history shows them")


def _carry_out(move: Callable[[Workspace, Author], tuple[Decision, Followed]], because: str, workspace: str | None, as_json: bool) -> None:
    from tasks.champion import person
    from tasks.servers import server_failures
    from tasks.workspace import Workspace
    from ulmfit.decisions.decision import reason

    by, home = person(reason(because)), Workspace.named(workspace)
    with server_failures(home):
        decision, followed = move(home, by)
    instead = f"; version {decision.champion} was until now" if decision.champion else ""
    typer.echo(f"{decision.model} version {decision.version} is the champion{instead}")
    typer.echo(f"decision {decision.id}{' (begun before, completed now)' if followed.by else ''}")
    if as_json:
        print_json(decision_json(decision, followed))


def decision_json(decision: Decision, followed: Followed | None, looks: Looks | None = None) -> JsonObject:
    """A decision and what followed, as ``--json`` prints it; of one not to train, how often it was found to hold still."""
    again = {"looks": looks.model_dump(mode="json", exclude={"decision"})} if looks else {}
    return {**decision.model_dump(mode="json"), "followed": followed.model_dump(mode="json") if followed else None, **again}


def history_table(history: History) -> Table:
    """The decisions, the latest last. Names and reasons are shown as they are, never read as markup."""
    table = Table(box=None, pad_edge=False)
    for heading in ("when (UTC)", "what", "version", "champion then", "by", "why"):
        table.add_column(heading, no_wrap=heading in ("when (UTC)", "version"))
    for decision in history.decisions:
        cells = (f"{decision.time:%Y-%m-%d %H:%M}", _what(decision, history), decision.version or "", decision.champion or "")
        table.add_row(*map(Text, (*cells, decision.by.name or decision.by.kind, decision.why)))
    return table


def _what(decision: Decision, history: History) -> str:
    """What was decided, and whether that was done; of decisions not to train, how often they were found to hold still."""
    if decision.id in history.looks:
        looks = history.looks[decision.id]
        return f"{decision.what} (again {looks.times:,} times, last {looks.last:%Y-%m-%d %H:%M})"
    if decision.what == "retrain":
        return _retrain(decision, history)
    if decision.what not in MOVES:
        return decision.what
    followed = history.followed.get(decision.id)
    if followed is None:
        return f"{decision.what}: interrupted, nothing says that it was carried out"
    return decision.what if followed.done else f"{decision.what}: not carried out, {followed.note}"


def _retrain(decision: Decision, history: History) -> str:
    """How it was decided to train, and what is known of the end."""
    how = f"retrain {decision.cycle.number}, {decision.cycle.training}" if decision.cycle else "retrain"
    followed = history.followed.get(decision.id)
    if followed is None:
        return f"{how}: under way, or interrupted"
    return f"{how}: given up" if not followed.done else how
