"""JSON that is stored: the base of typed facts, and the type of an object whose fields only its writer and its reader know."""

from typing import Any

from pydantic import BaseModel, ConfigDict, SerializerFunctionWrapHandler, model_serializer

JsonObject = dict[str, Any]


class Facts(BaseModel):
    """Base of stored facts: immutable; fields that a later version adds are ignored."""

    model_config = ConfigDict(frozen=True)


class SparseFacts(Facts):
    """Facts of which the JSON leaves out those that are None."""

    @model_serializer(mode="wrap")
    def _known(self, serialise: SerializerFunctionWrapHandler) -> JsonObject:
        return {name: value for name, value in serialise(self).items() if value is not None}
