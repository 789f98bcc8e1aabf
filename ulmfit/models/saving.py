"""Models on disk: ``model.safetensors`` and ``config.json``. A tied weight is stored once; nothing is pickled."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Literal, Self

from pydantic import ValidationError, model_validator
from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ulmfit.config import Dropouts, ModelConfig, Part
from ulmfit.directions import Direction
from ulmfit.errors import UserError
from ulmfit.labels.label_set import Task, Temperature
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.quantised import quantise, restore
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.json import Facts, JsonObject

WEIGHTS, CONFIG = "model.safetensors", "config.json"
Kind = Literal["language_model", "classifier"]


class Calibration(Facts):
    """How a classifier's logits become probabilities and decisions; found on validation documents.

    ``thresholds`` [L]: the probability from which each label is predicted, None for classes. ``ece_before`` and ``ece_after``:
    the expected calibration errors without and with the temperature, None where there were no documents.
    """

    task: Task = "multi-class"
    label_separator: str = "|"
    temperature: Temperature = 1.0
    thresholds: tuple[Part, ...] | None = None
    ece_before: float | None = None
    ece_after: float | None = None


class ModelFacts(Facts):
    """What a model's weights do not tell. All but ``direction`` concern a classifier: its labels, and how it reads a document."""

    direction: Direction | None = None
    labels: tuple[str, ...] = ()
    bptt: int = 70
    max_tokens: int | None = None
    calibration: Calibration | None = None  # None for a model that was never calibrated, as one of fastai's


class SavedModel(ModelFacts):
    """The content of ``config.json``. On disk the fields of ``calibration`` stand beside the others."""

    kind: Kind
    model: ModelConfig
    dropouts: Dropouts
    vocab_size: int
    hidden: int | None = None  # the classifier's head: units of its hidden layer, dropouts of its two blocks
    head_dropouts: tuple[float, float] | None = None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        missing = [name for name in ("labels", "hidden", "head_dropouts") if self.kind == "classifier" and not getattr(self, name)]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        return self


def save_model(folder: Path, model: LanguageModel | Classifier, facts: ModelFacts, small: bool = False) -> None:
    """Write the weights, and the sizes with ``facts`` beside them; ``small``: in 8 bits per weight."""
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_bytes(folder / WEIGHTS, save(quantise(tensors) if small else tensors))
    write_bytes(folder / CONFIG, _config_json(model, facts))


def _config_json(model: LanguageModel | Classifier, facts: ModelFacts) -> bytes:
    encoder = model.encoder
    body: JsonObject = {
        "kind": model.kind,
        "model": encoder.config.model_dump(),
        "dropouts": encoder.dropouts.model_dump(),
        "vocab_size": encoder.vocab_size,
    }
    if facts.direction:
        body["direction"] = facts.direction
    if isinstance(model, Classifier):
        body |= facts.model_dump(mode="json", include={"labels", "bptt", "max_tokens"})
        body |= facts.calibration.model_dump(mode="json") if facts.calibration else {}
        body |= {"hidden": model.head.linear1.out_features, "head_dropouts": list(model.head.dropouts)}
    return json.dumps(body, indent=1).encode()


def read_saved_model(folder: Path, kind: Kind | None = None) -> SavedModel:
    """The facts of the model in ``folder``. UserError where the folder holds none, or one of another ``kind`` than is asked for."""
    try:
        body = json.loads((folder / CONFIG).read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder}: not a model folder, {CONFIG} is missing; name a folder that this library wrote") from error
    except ValueError as error:
        raise UserError(f"{folder / CONFIG}: damaged ({error}); take the model from the artifact store again") from error
    try:
        calibration = {name: body[name] for name in Calibration.model_fields if name in body}
        saved = SavedModel.model_validate(body | ({"calibration": calibration} if calibration else {}))
    except (TypeError, ValidationError) as error:
        raise UserError(f"{folder / CONFIG}: not a model's settings ({_reason(error)}); name a folder that this library wrote") from error
    if kind and saved.kind != kind:
        raise UserError(f"{folder}: holds a {saved.kind}, not a {kind}; name the folder of a {kind}")
    return saved


def _reason(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "no JSON object"
    first = error.errors()[0]
    return ": ".join(filter(None, [".".join(map(str, first["loc"])), first["msg"]]))


def load_language_model(folder: Path, dropouts: Dropouts | None = None, seed: int = 0) -> LanguageModel:
    """The language model in ``folder``, with other dropouts if given. UserError where files are missing or do not fit."""
    saved = read_saved_model(folder, "language_model")
    with _fitting(folder):
        model = LanguageModel(saved.vocab_size, saved.model, dropouts or saved.dropouts, seed)
        model.load_state_dict(restore(load_file(folder / WEIGHTS)))
    return model


def load_classifier(folder: Path) -> Classifier:
    """The classifier in ``folder``. UserError where files are missing or do not fit."""
    saved = read_saved_model(folder, "classifier")
    assert saved.hidden and saved.head_dropouts, "a classifier's settings are whole"
    with _fitting(folder):
        labels = len(saved.labels)
        model = Classifier(saved.vocab_size, labels, saved.model, saved.dropouts, HeadConfig(saved.hidden, saved.head_dropouts))
        model.load_state_dict(restore(load_file(folder / WEIGHTS)))
    return model


@contextmanager
def _fitting(folder: Path) -> Iterator[None]:
    """What a missing, damaged or foreign file raises, as one line for the user."""
    try:
        yield
    except FileNotFoundError as error:
        raise UserError(f"{folder}: not a model folder, {WEIGHTS} is missing; name a folder that this library wrote") from error
    except (KeyError, TypeError, ValueError, RuntimeError, SafetensorError) as error:
        reason = f"{type(error).__name__}: {' '.join(str(error).split())[:200]}"
        raise UserError(f"{folder / WEIGHTS}: damaged, or no fit for {CONFIG} ({reason}); take the model from the store again") from error
