"""An artifact's identity: what it is made of, and the SHA-256 that names it."""

import hashlib
import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, JsonValue


def canonical_json(value: Any) -> bytes:
    """The one byte form of ``value``; TypeError for what has no stable form (objects, sets, NaN)."""
    return json.dumps(stable(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def stable(value: Any) -> Any:
    """``value`` as plain JSON types, settings models included; TypeError for what has no stable form."""
    if isinstance(value, BaseModel):
        return stable(value.model_dump(mode="json"))
    if isinstance(value, Mapping):
        if not all(isinstance(name, str) for name in value):
            raise TypeError(f"no stable form: the names of {value!r} are not all strings")
        return {name: stable(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [stable(item) for item in value]
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float) and math.isfinite(value):
        return value
    raise TypeError(f"no stable form: {value!r} of type {type(value).__name__}")


def flatten(tree: Mapping[str, JsonValue], prefix: str = "") -> dict[str, JsonValue]:
    """``{"a": {"b": 1}}`` as ``{"a.b": 1}``; lists are left whole."""
    flat: dict[str, JsonValue] = {}
    for name, value in tree.items():
        flat |= flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else {f"{prefix}{name}": value}
    return flat


@dataclass(frozen=True)
class Recipe:
    """What an artifact is made of; its ``key`` is the artifact's identity.

    ``version`` is the recipe version, an integer in the stage's module, raised when the stage's result changes.
    ``inputs`` maps a role to the key of the artifact that plays it.
    """

    kind: str
    version: int
    config: Mapping[str, Any] | BaseModel
    inputs: Mapping[str, str] = field(default_factory=dict)

    @property
    def key(self) -> str:
        """SHA-256 of the canonical JSON, in hex."""
        body = {"kind": self.kind, "version": self.version, "config": self.config, "inputs": dict(self.inputs)}
        return hashlib.sha256(canonical_json(body)).hexdigest()
