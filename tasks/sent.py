"""A stage that travels: its function by name and its arguments as JSON, from the run that needs it to a worker of the pool that it needs.

What a function's arguments are is said by its types: an artifact travels as ``KIND/KEY`` and is found in the store, which both sides see;
settings travel as they are. Nothing is pickled, and only the functions that are listed here can be named.
"""

from collections.abc import Callable, Mapping
from inspect import signature
from typing import Any, Literal, get_args, get_type_hints

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from ulmfit.config import PartsConfig
from ulmfit.directions import Direction
from ulmfit.errors import RunFailed
from ulmfit.stages.corpus import ingest
from ulmfit.stages.evaluation import measure
from ulmfit.stages.explaining import familiarity, reasons
from ulmfit.stages.models import average, classify, finetune, pretrain, warm_finetune, word_model
from ulmfit.stages.outputs import Output
from ulmfit.stages.shards import encode, grow_vocabulary, tokenise, vocabulary
from ulmfit.stages.stage import Context, CorpusRole, Stage, StageKind, StageName
from ulmfit.store.artifacts import Store
from ulmfit.store.json import JsonObject

Pool = Literal["cpu", "gpu"]
Make = Callable[..., Stage[Any]]

# Stages that use the device go to ``gpu``. Two kinds are made by the run itself: a pretrained model is copied from its downloads, and what
# has landed is read from the ledger that it holds.
POOLS: Mapping[Make, Pool] = {
    ingest: "cpu",
    tokenise: "cpu",
    vocabulary: "cpu",
    grow_vocabulary: "cpu",
    encode: "cpu",
    average: "cpu",
    word_model: "cpu",
    pretrain: "gpu",
    finetune: "gpu",
    warm_finetune: "gpu",
    classify: "gpu",
    measure: "gpu",
    reasons: "gpu",
    familiarity: "gpu",
}
NAMED: Mapping[str, Make] = {make.__name__: make for make in POOLS}


class SentStage(BaseModel):
    """A stage, as the parameter of the run that makes it, and where and how it is made."""

    model_config = ConfigDict(extra="forbid")

    stage: str = Field(description="name of the stage's function")
    kind: StageKind = Field(description="what the stage does")
    direction: Direction | None = Field(None, description="the direction it reads in")
    corpus: CorpusRole = Field("domain", description="whose text it is")
    arguments: JsonObject = Field(description="its arguments by name; an artifact as KIND/KEY")
    key: str | None = Field(None, description="the key that its artifact must have, where that is known before")
    artifacts: str = Field(description="the store: a folder that all machines see under this name, or s3://BUCKET/FOLDER")
    workspace: str = Field(description="folder for locks, downloads and copies, where the worker has no ULMFIT_HOME")
    experiment: str = Field(description="id of the experiment in MLflow")
    run: str = Field(description="id of the tracked run that the stage belongs to")
    dask: str | None = Field(None, description="address of a Dask scheduler, or a number of local workers")
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to train: auto, cpu or cuda")
    devices: int = Field(1, ge=1, description="processes that share the training")
    resume: bool = Field(True, description="continue from a checkpoint")
    parts: PartsConfig = Field(default_factory=PartsConfig, description="how text is divided for workers")

    @property
    def name(self) -> StageName:
        return StageName(self.kind, self.direction, self.corpus)

    @property
    def make(self) -> Make:
        """The stage's function. RunFailed where this version of the code has none of that name."""
        if self.stage not in NAMED:
            raise RunFailed(f"stage {self.stage!r}: this worker's version knows no such stage; bring its checkout to the same version")
        return NAMED[self.stage]


def packed(make: Make, arguments: Mapping[str, object]) -> JsonObject:
    """The arguments of a stage's function as JSON, without its context."""
    hints = get_type_hints(make)
    return {name: _packed(hints[name], value) for name, value in arguments.items() if hints[name] is not Context}


def _packed(hint: Any, value: object) -> Any:
    return f"{value.kind}/{value.key}" if isinstance(value, Output) else TypeAdapter(hint).dump_python(value, mode="json")


def unpacked(make: Make, arguments: Mapping[str, Any], context: Context) -> dict[str, Any]:
    """What :func:`packed` packed. RunFailed where an artifact is not in this store, or the arguments are not those of this function."""
    hints = get_type_hints(make)
    given = {**arguments, **{name: context for name, hint in hints.items() if hint is Context}}
    try:
        bound = signature(make).bind(**given).arguments
        return {name: _unpacked(hints[name], value, context.store) for name, value in bound.items()}
    except (TypeError, ValidationError) as error:
        raise RunFailed(
            f"stage {make.__name__}: what was sent does not fit it here; bring both checkouts to the same version ({error})"
        ) from error


def _unpacked(hint: Any, value: Any, store: Store) -> Any:
    output = next((kind for kind in (hint, *get_args(hint)) if isinstance(kind, type) and issubclass(kind, Output)), None)
    if isinstance(value, Context) or (output and value is None):
        return value
    return artifact(output, str(value), store) if output else TypeAdapter(hint).validate_python(value)


def artifact(output: type[Output[Any]], location: str, store: Store) -> Output[Any]:
    """The artifact ``KIND/KEY`` of the store; RunFailed where it is not there."""
    kind, _, key = location.partition("/")
    found = store.find(kind, key) if key.isalnum() and kind.replace("-", "").isalnum() else None
    if found is None:
        raise RunFailed(
            f"{location}: is not in {store.root} as this machine sees it; every machine needs the same store: a shared folder, or s3://, in ULMFIT_ARTIFACTS"
        )
    return output(found.location, found.manifest, found.copy)
