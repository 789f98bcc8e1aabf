"""``ulmfit gc``: what nobody needs any more is listed with its size, and removed with ``--yes``."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table
from rich.text import Text

from cli.options import AsJson, WorkspaceDir, console, print_json
from ulmfit.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from ulmfit.store.artifacts import Store
    from ulmfit.store.garbage import Garbage
    from ulmfit.store.json import JsonObject

UNITS = {"h": 3600, "d": 86400, "w": 7 * 86400}  # seconds
SHOWN = 40  # lines of the table

Yes = Annotated[bool, typer.Option("--yes", help="remove what is listed")]


def gc(
    keep: Annotated[str, typer.Option("--keep", help="keep what was used within this time: 12h, 30d, 8w")] = "30d",
    keep_versions: Annotated[int, typer.Option("--keep-versions", min=0, help="the last N versions of each model stay")] = 5,
    yes: Yes = False,
    workspace: WorkspaceDir = None,
    as_json: AsJson = False,
) -> None:
    """List what no live version, no running job and no setting keeps, with sizes; --yes removes it."""
    from tasks.live import live_versions
    from tasks.workspace import Workspace
    from ulmfit.stages.needed import needed
    from ulmfit.store.garbage import find_garbage

    seconds, home = duration(keep), Workspace.existing(workspace)
    live = live_versions(home, keep_versions)
    for name, versions in live.versions.items():
        typer.echo(f"stays   {name}: {'versions ' + ', '.join(versions) if versions else 'no version'}")
    if yes:
        Workspace.open(home.root, home.artifacts)
    found = find_garbage(home.store, live.keys, needed, seconds)
    removed, bytes_freed = show_and_remove(home.store, found.garbage, yes)
    if as_json:
        print_json({"live": live.versions, "garbage": garbage_json(found.garbage, removed), "bytes": bytes_freed})


def duration(given: str) -> int:
    """Seconds in ``30d``; UserError for what is no time."""
    found = re.fullmatch(r"([0-9]{1,5})([hdw])", given)
    if not found:
        raise UserError(f"--keep {given!a}: give a time in hours, days or weeks, as 12h, 30d or 8w")
    return int(found[1]) * UNITS[found[2]]


def show_and_remove(store: Store, garbage: Sequence[Garbage], yes: bool) -> tuple[list[Garbage], int]:
    """Print what is garbage, and remove it with ``yes``; returns what was removed, and the bytes that this gives back, or would."""
    from ulmfit.store.removal import remove, sweep
    from ulmfit.store.usage import freed

    if not garbage:
        typer.echo("nothing to remove")
    else:
        console().print(_table(garbage))
    bytes_freed = freed(item.location for item in garbage)
    if not yes:
        if garbage:
            typer.echo(f"{len(garbage):,} to remove, {_size(bytes_freed)} of room; nothing is removed without --yes")
        return [], bytes_freed
    with store.lock("gc"):
        removed = [item for item in garbage if remove(store, item)]
        sweep(store)
    stays = f"; {len(garbage) - len(removed):,} came into use meanwhile and stay" if len(removed) < len(garbage) else ""
    typer.echo(f"{len(removed):,} removed, {_size(bytes_freed)} of room{stays}")
    return removed, bytes_freed


def garbage_json(garbage: Iterable[Garbage], removed: Collection[Garbage]) -> list[JsonObject]:
    """What was found, and of each whether it was removed."""
    return [{**vars(item), "removed": item in removed} for item in garbage]


def _table(garbage: Sequence[Garbage]) -> Table:
    """The largest first."""
    table = Table(box=None, pad_edge=False)
    for heading in ("what", "name", "size", "last used (UTC)"):
        table.add_column(heading, justify="right" if heading == "size" else "left", no_wrap=True)
    for item in sorted(garbage, key=lambda item: item.bytes, reverse=True)[:SHOWN]:
        used = time.strftime("%Y-%m-%d %H:%M", time.gmtime(item.used))
        table.add_row(*map(Text, (item.what, item.name, _size(item.bytes), used)))
    if len(garbage) > SHOWN:
        table.add_row(*map(Text, ("", f"and {len(garbage) - SHOWN:,} smaller ones (--json lists all)", "", "")))
    return table


def _size(number: int) -> str:
    for unit, least in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if number >= least:
            return f"{number / least:.1f} {unit}"
    return f"{number} B"
