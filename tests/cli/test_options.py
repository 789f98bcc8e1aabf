"""Options made from requests: each field is an option with its name, description and default, and arrives as it was given."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Literal

import pytest
import typer
from pydantic import BaseModel, Field, ValidationError
from typer.testing import CliRunner, Result

from cli.app import app
from cli.options import AsJson, options_of
from flows.request import PreprocessRequest, PretrainRequest, RetrainRequest, TrainRequest
from ulmfit.errors import UserError

# Fields that a command declares itself, or that only a deployment's form has.
BY_HAND = {
    "train": {"more", "out"},
    "preprocess": {"corpus", "more"},
    "pretrain": {"more", "out", "label_column", "test", "unlabelled", "directions"},
    "retrain": {"out"},
}


@pytest.mark.parametrize(
    ("command", "request_type"),
    [("train", TrainRequest), ("preprocess", PreprocessRequest), ("pretrain", PretrainRequest), ("retrain", RetrainRequest)],
)
def test_each_field_of_a_request_is_an_option(command: str, request_type: type[BaseModel]) -> None:
    group = typer.main.get_command(app([]))
    parameters = {parameter.name: parameter for parameter in group.commands[command].params}  # type: ignore[attr-defined]
    for name, field in request_type.model_fields.items():
        if name in BY_HAND[command]:
            continue
        shown = parameters[name]
        assert shown.opts == ["--set" if name == "options" else f"--{name.replace('_', '-')}"]
        assert shown.help.startswith(field.description)
        assert shown.required if field.is_required() else shown.default == field.get_default(call_default_factory=True)
    assert set(parameters) - set(request_type.model_fields) <= {"as_json", "corpora", "direction", "help"}


class Request(BaseModel):
    size: Literal["small", "large"] = Field("small", description="how large")
    file_name: str | None = Field(None, description="a file")
    count: int = Field(1, ge=1, description="how many")
    resume: bool = Field(True, description="continue")
    strict: bool = Field(False, description="be strict")
    options: list[str] = Field(default_factory=list, description="settings")
    hidden: int = Field(3, description="not offered")


class Other(BaseModel):
    size: int


def invoked(run: Callable[..., object], *arguments: str) -> Result:
    """``run(fields)`` as a command with the options of ``Request``."""
    small = typer.Typer()

    @small.command()
    @options_of(Request, omit={"hidden"})
    def command(names: Annotated[list[str], typer.Argument()], *, as_json: AsJson = False, **fields: object) -> None:
        run({**fields, "names": names, "as_json": as_json})

    return CliRunner().invoke(small, list(arguments))


def given(*arguments: str) -> dict[str, object]:
    """What a command with the options of ``Request`` receives."""
    received: dict[str, object] = {}
    ended = invoked(received.update, *arguments)
    assert ended.exit_code == 0, ended.output
    return received


def test_defaults_are_the_requests() -> None:
    received = given("a")
    assert received == {**Request().model_dump(exclude={"hidden"}), "names": ["a"], "as_json": False}


def test_values_arrive_by_the_fields_names_and_with_their_types() -> None:
    options = ["--size", "large", "--file-name", "x.csv", "--count", "4", "--no-resume", "--strict", "--set", "a=1", "--set", "b=2"]
    received = given("a", "b", *options, "--json")
    assert received == {
        "names": ["a", "b"], "size": "large", "file_name": "x.csv", "count": 4, "resume": False, "strict": True, "options": ["a=1", "b=2"], "as_json": True,
    }  # fmt: skip


def test_a_value_that_the_request_refuses_is_an_error_of_its_option() -> None:
    assert given("a", "--size", "huge", "--count", "0")["size"] == "huge", "typer lets it pass"
    ended = invoked(lambda fields: Request(file_name="x", count=fields["count"]), "a", "--count", "0")
    assert isinstance(ended.exception, UserError)
    assert str(ended.exception) == "--count: Input should be greater than or equal to 1 (given: 0)"
    assert isinstance(invoked(lambda fields: Other(size=fields["size"]), "a").exception, ValidationError), "of another model: our own fault"
