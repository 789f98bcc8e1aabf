"""Lineage: everything that stands behind an artifact, in one value that can be written beside it."""

from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Self

from pydantic import Field

from ulmfit.store.artifacts import Manifest, Store
from ulmfit.store.json import Facts, JsonObject
from ulmfit.store.recipe import Recipe

FILE = "lineage.json"


class Ancestor(Facts):
    """What ``artifact.json`` says of an artifact. The one whose lineage it is has no record yet."""

    kind: str
    version: int
    config: JsonObject
    inputs: dict[str, str]
    record: JsonObject = Field(default_factory=dict)
    run_id: str | None = None
    finished: str | None = None
    libraries: dict[str, str] = Field(default_factory=dict)


class Lineage(Facts):
    """The artifact ``key`` and everything behind it, by key."""

    key: str
    artifacts: dict[str, Ancestor]

    @classmethod
    def of(cls, recipe: Recipe, store: Store) -> Self:
        """The lineage of what ``recipe`` makes. Its inputs are artifacts of ``store``, finished or removed since."""
        chain = {recipe.key: Ancestor(kind=recipe.kind, version=recipe.version, config=dict(recipe.config), inputs=dict(recipe.inputs))}
        waiting = list(recipe.inputs.values())
        while waiting:
            key = waiting.pop()
            if key not in chain:
                manifest = store.facts(key)
                assert manifest is not None, f"nothing is known of an input of a finished artifact: {key}"
                chain[key] = Ancestor.model_validate(manifest, from_attributes=True)
                waiting += chain[key].inputs.values()
        return cls(key=recipe.key, artifacts=chain)

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The lineage in a model's folder; FileNotFoundError where there is none."""
        return cls.model_validate_json((folder / FILE).read_bytes())

    def to_json(self) -> bytes:
        """The content of ``lineage.json``."""
        return self.model_dump_json(indent=1, exclude_unset=True).encode()


def behind(key: str, known: Mapping[str, Manifest]) -> set[str]:
    """``key`` and the keys of all that the artifact is made of; of those that are not ``known``, their own."""
    found: set[str] = set()
    waiting = [key]
    while waiting:
        key = waiting.pop()
        if key not in found:
            found.add(key)
            waiting += known[key].inputs.values() if key in known else ()
    return found


def made_of(keys: Iterable[str], known: Mapping[str, Manifest]) -> Set[str]:
    """``keys`` and the keys of all that is made of one of them."""
    found = set(keys)
    while more := {key for key, manifest in known.items() if key not in found and not found.isdisjoint(manifest.inputs.values())}:
        found |= more
    return found
