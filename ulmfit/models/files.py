"""Models on disk: ``model.safetensors`` and ``config.json``. A tied weight is stored once; nothing is pickled."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save
from torch import nn

from ulmfit.artifacts import write_atomic
from ulmfit.config import Dropouts, ModelConfig
from ulmfit.errors import UserError
from ulmfit.models.classifier import Classifier
from ulmfit.models.language_model import LanguageModel

WEIGHTS, CONFIG = "model.safetensors", "config.json"


def save_model(folder: Path, model: LanguageModel | Classifier, **facts: Any) -> None:
    """Write the weights, and the sizes with ``facts`` (direction, labels, ...) beside them."""
    encoder = model.encoder
    config = {
        "kind": "classifier" if isinstance(model, Classifier) else "language_model",
        "model": encoder.config.model_dump(),
        "dropouts": encoder.dropouts.model_dump(),
        "vocab_size": encoder.vocab_size,
        **facts,
    }
    if isinstance(model, Classifier):
        config |= {"hidden": model.head.linear1.out_features, "head_dropouts": list(model.head.dropouts)}
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in model.state_dict().items()}
    write_atomic(folder / WEIGHTS, save(tensors))
    write_atomic(folder / CONFIG, json.dumps(config, indent=1).encode())


def read_config(folder: Path) -> dict[str, Any]:
    """The facts of a saved model. UserError where the folder holds none."""
    try:
        return json.loads((folder / CONFIG).read_text())
    except FileNotFoundError as error:
        raise UserError(f"{folder}: not a model folder, {CONFIG} is missing; name a folder that this library wrote") from error
    except ValueError as error:
        raise UserError(f"{folder / CONFIG}: damaged ({error}); take the model from the artifact store again") from error


def load_language_model(folder: Path, dropouts: Dropouts | None = None, seed: int = 0) -> LanguageModel:
    """The language model in ``folder``, with other dropouts if given. UserError where files are missing or do not fit."""
    config = read_config(folder)
    model = LanguageModel(config["vocab_size"], ModelConfig(**config["model"]), dropouts or Dropouts(**config["dropouts"]), seed)
    _load_weights(folder, model)
    return model


def load_classifier(folder: Path) -> Classifier:
    """The classifier in ``folder``. UserError where files are missing or do not fit."""
    config = read_config(folder)
    if config["kind"] != "classifier":
        raise UserError(f"{folder}: holds a {config['kind']}, not a classifier; name the folder of a classifier")
    model = Classifier(
        config["vocab_size"],
        len(config["labels"]),
        ModelConfig(**config["model"]),
        Dropouts(**config["dropouts"]),
        config["hidden"],
        tuple(config["head_dropouts"]),
    )
    _load_weights(folder, model)
    return model


def _load_weights(folder: Path, model: nn.Module) -> None:
    try:
        model.load_state_dict(load_file(folder / WEIGHTS))
    except FileNotFoundError as error:
        raise UserError(f"{folder}: not a model folder, {WEIGHTS} is missing; name a folder that this library wrote") from error
    except (RuntimeError, SafetensorError) as error:
        raise UserError(f"{folder / WEIGHTS}: does not fit {CONFIG} ({' '.join(str(error).split())[:200]})") from error
