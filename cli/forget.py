"""``ulmfit forget``: documents that somebody asked to be forgotten are left out from then on, and the versions that had read them are named."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Optional

import typer

from cli.gc import Yes, garbage_json, show_and_remove
from cli.options import AsJson, WorkspaceDir, print_json
from ulmfit.errors import UserError

if TYPE_CHECKING:
    from tasks.forgetting import Consequence, ForgettingModel
    from ulmfit.corpora.landing.ledger import Forgot
    from ulmfit.store.garbage import Garbage
    from ulmfit.store.json import JsonObject

SOME_UNKNOWN = 3  # exit code: some documents are not known; the others are forgotten
LISTED = 20  # documents that are not known, in lines; --json has all


@dataclass(frozen=True)
class Asked:
    """A document to forget: its ``id``, or the ``digest`` of its text; ``where`` it was named."""

    where: str
    id: str | None = None
    digest: str | None = None

    @property
    def name(self) -> str:
        """As it was given."""
        return self.id or self.digest or ""


def forget(
    name: Annotated[str, typer.Argument(metavar="NAME", help="name of the model")],
    document: Annotated[Optional[list[str]], typer.Option("--document", help="id of a document; may be given more than once")] = None,  # noqa: UP045
    digest: Annotated[
        Optional[list[str]], typer.Option("--digest", help="BLAKE2b-128 of a document's text, in hex; may be given more than once")  # noqa: UP045
    ] = None,
    file: Annotated[Optional[str], typer.Option("--file", help="a file with an id in each line")] = None,  # noqa: UP045
    because: Annotated[Optional[str], typer.Option("--because", help="why; the history shows it")] = None,  # noqa: UP045
    purge: Annotated[bool, typer.Option("--purge", help="list what is made of forgotten documents and no version in use needs")] = False,
    yes: Yes = False,
    workspace: WorkspaceDir = None,
    as_json: AsJson = False,
) -> None:
    """Leave documents out from now on, and say which versions had read them."""
    from tasks.champion import person
    from tasks.forgetting import ForgettingModel
    from tasks.servers import server_failures
    from tasks.workspace import Workspace
    from ulmfit.decisions.decision import reason

    _check_text("NAME", name)
    asked = _asked(document or (), digest or (), file)
    _check_complete(asked, because, purge)
    by = person(reason(because)) if because is not None else None
    home = Workspace.existing(workspace)
    with server_failures(home):
        model = ForgettingModel.find(home, name)
        consequences = model.settle()  # of a command that was interrupted
        forgot = model.forget(asked_ids(asked), asked_digests(asked), by) if by else None
        consequences += model.settle()
        missing = frozenset(forgot.unknown) if forgot else frozenset()
        unknown = [each for each in asked if each.name in missing]
        _say(forgot, consequences, unknown)
        removed, garbage = _purge(model, yes) if purge else ([], ())
    if as_json:
        print_json(_json(forgot, consequences, unknown) | {"garbage": garbage_json(garbage, removed)})
    if unknown:
        raise typer.Exit(SOME_UNKNOWN)


def _check_complete(asked: Sequence[Asked], because: str | None, purge: bool) -> None:
    """UserError where there is nothing to do, or no reason for it."""
    if not (asked or purge):
        raise UserError(
            "nothing to forget: name documents with --document, --digest or --file, or clear up after earlier ones with --purge"
        )
    if asked and because is None:
        raise UserError("--because: say why, in a few words; the reason stands in the history for ever")


def _asked(documents: Iterable[str], digests: Iterable[str], file: str | None) -> list[Asked]:
    asked = [Asked("--document", id=_check_text("--document", each)) for each in documents]
    asked += [Asked("--digest", digest=_check_text("--digest", each).lower()) for each in digests]
    return asked + (_lines(file) if file is not None else [])


def asked_ids(asked: Iterable[Asked]) -> list[str]:
    """The ids among them."""
    return [each.id for each in asked if each.id is not None]


def asked_digests(asked: Iterable[Asked]) -> list[str]:
    """The digests among them."""
    return [each.digest for each in asked if each.digest is not None]


def _check_text(option: str, value: str) -> str:
    """UserError for what is empty or no UTF-8."""
    if not value.strip():
        raise UserError(f"{option} {value!a}: it is empty")
    try:
        value.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{option} {value!a}: this is no UTF-8") from error
    return value


def _lines(file: str) -> list[Asked]:
    """A document for each line that is not blank."""
    try:
        lines = Path(file).read_bytes().splitlines()
    except OSError as error:
        raise UserError(f"--file {file}: it cannot be read ({error.strerror}); give a file with an id in each line") from error
    found = []
    for number, line in enumerate(lines, start=1):
        try:
            text = line.decode("utf-8-sig").strip()
        except UnicodeDecodeError as error:
            raise UserError(f"{file} line {number}: this is no UTF-8; save the file as UTF-8") from error
        found += [Asked(f"{file} line {number}", id=text)] if text else []
    if not found:
        raise UserError(f"{file}: there is no id in it; write one in each line")
    return found


def _say(forgot: Forgot | None, consequences: Sequence[Consequence], unknown: Sequence[Asked]) -> None:
    if forgot:
        typer.echo(f"forgotten  documents: {forgot.documents:,}; rows that had landed: {forgot.rows:,}")
    for each in consequences:
        assert each.decision.forgetting
        typer.echo(f"read by    {each.decision.forgetting.why}")
        for source in each.sources:
            typer.echo(f"also in    {source}: take it out there, or it comes back with the next training from it")
    for document in unknown[:LISTED]:
        sys.stderr.write(f"ulmfit: {document.where}: no document {document.name!a} has landed; it is refused should it come\n")
    if len(unknown) > LISTED:
        sys.stderr.write(f"ulmfit: and {len(unknown) - LISTED:,} more that have not landed (--json lists all)\n")


def _purge(model: ForgettingModel, yes: bool) -> tuple[list[Garbage], Sequence[Garbage]]:
    """List, and with ``yes`` remove, what is made of forgotten documents and is not in use; what was removed, and what was found."""
    found = model.purgeable()
    removed, _ = show_and_remove(model.workspace.store, found.garbage, yes)
    if found.needed:
        typer.echo(
            f"{found.needed:,} artifacts made of it are needed still, by versions in use or by runs at work; "
            f"when others are in use: ulmfit forget {shlex.quote(model.name)} --purge --yes"
        )
    return removed, found.garbage


def _json(forgot: Forgot | None, consequences: Sequence[Consequence], unknown: Sequence[Asked]) -> JsonObject:
    return {
        "documents": forgot.documents if forgot else 0,
        "rows": forgot.rows if forgot else 0,
        "unknown": [{"document": each.name, "where": each.where} for each in unknown],
        "decisions": [each.decision.model_dump(mode="json") for each in consequences],
        "also_in": sorted({source for each in consequences for source in each.sources}),
    }
