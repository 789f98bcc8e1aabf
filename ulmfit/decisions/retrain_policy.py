"""What a team asks of retraining: when to train, how, and what the gate wants to see. It is written as a yaml file."""

import os
import reprlib
from collections.abc import Hashable, Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails
from yaml.constructor import ConstructorError

from ulmfit.config import Stage, WarmConfig
from ulmfit.errors import UserError
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.monitoring.policy import DriftPolicy
from ulmfit.store import filesystem

LARGEST = 1 << 20  # bytes of the file
Count = Annotated[int, Field(ge=1, le=10**9)]


class RetrainPolicy(Stage):
    """When to train, how, and what the gate wants to see.

    One reason of ``min_documents``, ``min_labels``, ``max_age_days`` and ``drift`` is enough to train.
    """

    min_documents: Count = Field(200, description="new documents that are reason enough to train")
    min_labels: Count = Field(50, description="new or corrected labels that are reason enough to train")
    max_age_days: float | None = Field(
        30.0, gt=0, le=36_500, description="train on whatever is new once the last training is so old; null: never for its age"
    )
    drift: DriftPolicy = Field(DriftPolicy(), description="when new text counts as drifted away, which is reason enough to train")
    cold_every: int = Field(
        5, ge=1, le=1000, description="every so manyth training starts anew, the others go on from the champion; 1: all do"
    )
    warm: WarmConfig = Field(WarmConfig(), description="how a training goes on from the champion")
    gate: GatePolicy = Field(GatePolicy(), description="what is asked of a challenger before it becomes champion")
    settle_seconds: float = Field(5.0, ge=0, le=3600, description="a file that changes within so many seconds is still being written")
    when_busy: Literal["wait", "refuse"] = Field("wait", description="what a second retraining of the same model does meanwhile")


def read_policy(location: str | None) -> RetrainPolicy:
    """The policy in a yaml file, local or on S3; the defaults without one. UserError, in one line, where it cannot be read or used."""
    if location is None:
        return RetrainPolicy()
    named = f"--policy {location}"
    found = _parsed(_text(location, named), named)
    if not isinstance(found, Mapping | None):
        raise UserError(f"{named}: write settings, as min_labels: 50; there are: {_known(RetrainPolicy)}")
    try:
        return RetrainPolicy.model_validate(found or {})
    except ValidationError as error:
        raise UserError(f"{named}: {_fault(error.errors()[0])}") from error


class _Loader(yaml.SafeLoader):
    """Values as yaml has them, but for two that would be taken for others without a word: a setting given twice, and yes or no for a number."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Hashable, Any]:
        found: dict[Hashable, Any] = super().construct_mapping(node, deep)
        if len(found) < len(node.value):
            raise ConstructorError(None, None, "a setting is given twice", node.start_mark)
        switches = [key.value for key, value in node.value if value.tag == "tag:yaml.org,2002:bool"]
        if switches:
            raise ConstructorError(None, None, f"{switches[0]}: no setting is a yes or no", node.start_mark)
        return found


def _parsed(text: str, named: str) -> object:
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError as error:
        mark, problem = getattr(error, "problem_mark", None), getattr(error, "problem", None)
        where = f"{named}, line {mark.line + 1}" if mark else named
        raise UserError(
            f"{where}: this is no yaml that can be used ({problem or error}); write a setting a line, as min_labels: 50"
        ) from error
    except (ValueError, RecursionError) as error:  # a day that is none, a number of thousands of digits, thousands of brackets
        raise UserError(f"{named}: a value cannot be read; write a setting a line, as min_labels: 50") from error


def _text(location: str, named: str) -> str:
    if "\0" in location:
        raise UserError(f"--policy {location!a}: this cannot be the name of a file")
    try:
        if not filesystem.is_remote(location) and filesystem.exists(location) and not os.path.isfile(location):
            raise UserError(f"{named}: this is no file")
        if filesystem.size(location) > LARGEST:
            raise UserError(f"{named}: a policy is a few lines of yaml, and this file has more than {LARGEST:,} bytes")
        return filesystem.read_bytes(location).decode()
    except FileNotFoundError as error:
        raise UserError(f"{named}: there is no such file") from error
    except UnicodeDecodeError as error:
        raise UserError(f"{named}: this is no text in UTF-8") from error
    except OSError as error:
        raise UserError(f"{named}: cannot be read ({error.strerror or error})") from error


def _fault(error: ErrorDetails) -> str:
    where = [str(step) for step in error["loc"]]
    if error["type"] in ("extra_forbidden", "invalid_key"):
        return f"there is no setting {'.'.join(where)!r}; there are: {_known(_holder(where[:-1]))}"
    return f"{'.'.join(where) or 'the name of a setting'}: {error['msg']} (given: {reprlib.repr(error['input'])})"


def _holder(where: list[str]) -> type[BaseModel]:
    """The settings of which those at ``where`` are part."""
    holder: Any = RetrainPolicy
    for step in where:
        holder = holder.model_fields[step].annotation
    return holder


def _known(settings: type[BaseModel]) -> str:
    return ", ".join(settings.model_fields)
