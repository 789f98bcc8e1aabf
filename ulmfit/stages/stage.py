"""What a stage is: a recipe, and how to build its artifact. Whether it is found or built is for the store to decide.

A stage is a value, made by a function of typed inputs (``finetune(lm, ids, vocab, config, direction)``). It knows its recipe and
how to build the artifact in a folder; it does not know who runs it. :func:`make` runs it here; a task of an orchestrator does the same.
"""

from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Generic, Literal, TypeVar

from ulmfit.config import PartsConfig
from ulmfit.directions import Direction
from ulmfit.shards.mapping import Mapper, serial
from ulmfit.stages.outputs import Output
from ulmfit.store.artifacts import Built, Store
from ulmfit.store.recipe import Recipe
from ulmfit.training.placement import Placement

Made = TypeVar("Made", bound=Output[Any])

StageKind = Literal[
    "ingest",
    "tokenise",
    "vocabulary",
    "encode",
    "pretrained",
    "pretrain",
    "finetune",
    "classify",
    "scratch",
    "average",
    "average-scratch",
    "evaluate",
    "explain",
    "familiarity",
    "drift-reference",
    "judge",
    "choose",
    "fold",
    "hold-out",
    "words",
    "word-model",
]
CorpusRole = Literal["domain", "general"]


@dataclass(frozen=True)
class StageName:
    """What a stage does in a DAG: its kind, the direction it reads in, and which corpus its text comes from."""

    kind: StageKind
    direction: Direction | None = None
    corpus: CorpusRole = "domain"

    def __str__(self) -> str:
        """``finetune-forward``, ``tokenise-general``: for people, logs and the tracker; nothing is found by it."""
        return "-".join(filter(None, (self.kind, "general" if self.corpus == "general" and not self.direction else None, self.direction)))


@dataclass(frozen=True)
class Context:
    """Where and how stages are built; nothing here changes an artifact, but for rounding. ``parts``: how large they are."""

    store: Store
    downloads: Path
    mapper: Mapper = serial
    parts: PartsConfig = field(default_factory=PartsConfig)
    placement: Placement = Placement()


@dataclass(frozen=True)
class Stage(Generic[Made]):
    """A recipe, and ``build(work, context)``, which writes the artifact into the folder ``work`` and returns what :meth:`Store.make` takes.

    ``inputs``: the artifacts of the recipe's keys, by role. ``trains``: it needs a GPU, or half of the CPU's cores, for itself.
    ``warnings``: what a user should know of the result, also when it is found. ``held`` is closed when the stage has ended.
    """

    output: type[Made]
    recipe: Recipe
    inputs: Mapping[str, Output[Any]]
    build: Callable[[Path, Context], Built]
    trains: bool = False
    warnings: Callable[[Made], list[str]] = lambda made: []
    held: ExitStack = field(default_factory=ExitStack)


def keys_of(inputs: Mapping[str, Output[Any]]) -> dict[str, str]:
    """The inputs of a recipe."""
    return {role: output.key for role, output in inputs.items()}


def make(stage: Stage[Made], context: Context) -> Made:
    """The stage's artifact, found or built in this process."""
    with stage.held:
        found, _ = context.store.make(stage.recipe, lambda work: stage.build(work, context))
        return stage.output(found.location, found.manifest, found.copy)
