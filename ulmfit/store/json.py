"""JSON that is stored: the base of typed facts, and the type of an object whose fields only its writer and its reader know."""

from typing import Any

from pydantic import BaseModel, ConfigDict

JsonObject = dict[str, Any]


class Facts(BaseModel):
    """Base of stored facts: immutable; fields that a later version adds are ignored."""

    model_config = ConfigDict(frozen=True)
