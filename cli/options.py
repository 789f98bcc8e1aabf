"""Options of the command line: those that several commands share, and those made from the fields of a request.

A field is described once: a deployment's form and the command line show the same name, type, default and description.
"""

import inspect
import json
import sys
from collections.abc import Callable, Collection
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, Literal, Optional, get_origin

import typer
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from ulmfit.errors import UserError

if TYPE_CHECKING:
    from rich.console import Console

WIDTH = 110  # of tables that are not printed on a terminal

WORKSPACE = "folder for artifacts, tracking and reports [ULMFIT_HOME, .ulmfit]"
WorkspaceDir = Annotated[Optional[str], typer.Option("--workspace", help=WORKSPACE)]  # noqa: UP045
AsJson = Annotated[bool, typer.Option("--json", help="print one JSON object as the last line of standard output")]

FLAGS = {"options": "--set", "directions": "--direction"}  # of fields whose option has another name

Command = Callable[..., None]


def options_of(request: type[BaseModel], omit: Collection[str] = ()) -> Callable[[Command], Command]:
    """Give a command an option for each field of ``request``; they arrive in its ``**fields``, by the fields' names.

    ``omit``: fields that the command does not offer or declares itself. In the help, the command's positional parameters
    come before the options, and its keyword-only ones after them. A value that the request refuses becomes a UserError.
    """
    options = [option(name, field) for name, field in request.model_fields.items() if name not in omit]

    def decorate(command: Command) -> Command:
        own = inspect.signature(command, eval_str=True).parameters.values()
        before = [parameter for parameter in own if parameter.kind is parameter.POSITIONAL_OR_KEYWORD]
        after = [parameter for parameter in own if parameter.kind is parameter.KEYWORD_ONLY]

        @wraps(command)
        def checked(**values: object) -> None:
            try:
                command(**values)
            except ValidationError as error:
                if error.title != request.__name__:
                    raise
                first = error.errors()[0]
                raise UserError(f"{flag(str(first['loc'][0]))}: {first['msg']} (given: {first['input']!r})") from error

        checked.__signature__ = inspect.Signature([*before, *options, *after])  # type: ignore[attr-defined]  # typer reads it
        return checked

    return decorate


def flag(field: str) -> str:
    """The option of a request's field."""
    return FLAGS.get(field, f"--{field.replace('_', '-')}")


def option(name: str, field: FieldInfo) -> inspect.Parameter:
    """The field as a parameter that typer reads. A choice is parsed as a string, for the request itself says what fits."""
    kind: Any = str if get_origin(field.annotation) is Literal else field.annotation
    default = inspect.Parameter.empty if field.is_required() else field.get_default(call_default_factory=True)
    named = flag(name)
    described = f"{field.description}; may be given more than once" if get_origin(kind) is list else field.description
    shown = typer.Option(f"{named}/--no-{named[2:]}" if default is True else named, help=described)
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=Annotated[kind, shown])


def console() -> "Console":
    """Where tables are printed: as wide as the terminal, or ``WIDTH`` where there is none."""
    from rich.console import Console

    return Console(width=None if sys.stdout.isatty() else WIDTH)


def print_json(value: object) -> None:
    """``value`` as the last line of standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False) + "\n")
    sys.stdout.flush()
