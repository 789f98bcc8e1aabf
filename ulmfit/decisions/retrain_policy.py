"""What a team asks of retraining: when to train, how, and what the gate wants to see. It is written as a yaml file."""

from collections.abc import Mapping
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, Field, ValidationError
from pydantic_core import ErrorDetails

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
    try:
        found = yaml.safe_load(_text(location, named))
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        raise UserError(
            f"{named}{f', line {mark.line + 1}' if mark else ''}: this is no yaml; write a setting a line, as min_labels: 50"
        ) from error
    if not isinstance(found, Mapping | None):
        raise UserError(f"{named}: write settings, as min_labels: 50; there are: {_known(RetrainPolicy)}")
    try:
        return RetrainPolicy.model_validate(found or {})
    except ValidationError as error:
        raise UserError(f"{named}: {_fault(error.errors()[0])}") from error


def _text(location: str, named: str) -> str:
    try:
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
    return f"{'.'.join(where)}: {error['msg']} (given: {error['input']!r})"


def _holder(where: list[str]) -> type[BaseModel]:
    """The settings of which those at ``where`` are part."""
    holder: Any = RetrainPolicy
    for step in where:
        holder = holder.model_fields[step].annotation
    return holder


def _known(settings: type[BaseModel]) -> str:
    return ", ".join(settings.model_fields)
