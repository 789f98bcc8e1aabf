"""``python -m infra.local``: the commands behind ``make stack``. Exit codes are those of ``ulmfit``."""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path
from typing import Annotated

import typer
from typer.exceptions import TyperException

from infra.local import lifecycle
from infra.local.stack import Settings, Stack
from ulmfit.errors import RunFailed, UserError

Folder = Annotated[Path, typer.Option("--folder", help="where the stack keeps all that it has")]
app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False, rich_markup_mode=None)
HOME = Path(".stack")


@app.command()
def up(
    folder: Folder = HOME,
    host: Annotated[str, typer.Option(help="where all services listen")] = "127.0.0.1",
    port: Annotated[int, typer.Option(help="of the first service; the others follow")] = 7300,
    dask_workers: Annotated[int | None, typer.Option(help="processes; one a core if left out")] = None,
    postgres: Annotated[str | None, typer.Option(help="USER@HOST:PORT of a server that is there, its password in PGPASSWORD")] = None,
) -> None:
    """Start the services, and wait until they answer. Options count at the first start."""
    workers = dask_workers or len(os.sched_getaffinity(0))
    try:
        settings = Settings(host=host, port=port, dask_workers=workers, postgres=postgres)
    except ValueError as error:
        raise UserError(
            f"--port {port}, --dask-workers {workers}: a port is between 1024 and 65000, and there is at least one worker"
        ) from error
    stack = lifecycle.up(folder, settings, os.environ.get("PGPASSWORD") if postgres else None, typer.echo)
    typer.echo(f"\nMLflow    {stack.url('mlflow')}  (user admin; passwords are in {stack.environment_file})")
    typer.echo(f"Prefect   {stack.url('prefect')}")
    typer.echo(f"Dask      {stack.dask}")
    typer.echo(f"Dashboard {stack.url('dashboard')}  (its token is in {stack.secrets / 'dashboard'})")
    typer.echo(f"\nTo use it:  . {stack.environment_file}")


@app.command()
def status(folder: Folder = HOME, as_json: Annotated[bool, typer.Option("--json", help="one JSON object")] = False) -> None:
    """Say of each service whether it runs and answers; exit code 1 where one does not."""
    states = lifecycle.status(Stack.open(folder))
    if as_json:
        typer.echo(json.dumps({"services": [dataclasses.asdict(state) for state in states]}))
    for state in states if not as_json else ():
        address = f"port {state.port}" if state.port else ""
        typer.echo(f"{state.name:16}{state.state:10}{address:12}{f'{state.seconds} s' if state.pid else '':10}{state.fault or 'answers'}")
    if any(state.fault for state in states):
        raise typer.Exit(1)


@app.command()
def down(folder: Folder = HOME) -> None:
    """Stop the services; what they hold stays."""
    ended = lifecycle.down(Stack.open(folder))
    typer.echo(f"stopped{f'; {ended} processes had to be killed' if ended else ''}")


@app.command()
def test(folder: Folder = HOME) -> None:
    """Live the story of a model on the stack: a promotion by an event, a block, a rollback; write a report."""
    from infra.local import story

    typer.echo(f"report: {story.live(Stack.open(folder), typer.echo)}")


@app.command()
def backup(
    folder: Folder = HOME,
    to: Annotated[Path | None, typer.Option(help="new folder for the backup; .stack-backups/TIME if left out")] = None,
) -> None:
    """Write databases, bucket and secrets to a folder; the stack has to run, and may work."""
    from infra.local.backup import back_up

    where = to or Path(".stack-backups") / time.strftime("%Y%m%d-%H%M%S")
    back_up(Stack.open(folder), where, typer.echo)
    typer.echo(f"backup: {where}  (it holds the secrets of the stack)")


@app.command()
def restore(
    source: Annotated[Path, typer.Option("--from", help="folder of a backup")],
    folder: Folder = HOME,
    port: Annotated[int | None, typer.Option(help="of the first service, if another than it was")] = None,
) -> None:
    """Make a stack as it was, in a folder where none is; then start it."""
    from infra.local.backup import restore as restored

    stack = restored(source, folder, port, typer.echo)
    typer.echo(f"{stack.folder} is as it was; start it with: make stack")


def main() -> int:
    """Run a command; its exit code."""
    try:
        code = app(standalone_mode=False)
    except (UserError, RunFailed) as error:
        sys.stderr.write(f"stack: {error}\n")
        return 2 if isinstance(error, UserError) else 1
    except OSError as error:
        sys.stderr.write(f"stack: {error.filename or 'the stack'}: {error.strerror or error}\n")
        return 2
    except TyperException as error:  # an unknown option, a missing argument
        sys.stderr.write(f"stack: {' '.join(error.format_message().split())}\n")
        return 2
    except typer.Abort:
        return 130
    return code if isinstance(code, int) else 0


if __name__ == "__main__":
    sys.exit(main())
