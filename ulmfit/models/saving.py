"""Models on disk: ``model.safetensors`` and ``config.json``. A tied weight is stored once; nothing is pickled."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save

from ulmfit.config import Dropouts, ModelConfig
from ulmfit.errors import UserError
from ulmfit.models.classifier import Classifier
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.quantised import quantise, restore
from ulmfit.store.filesystem import write_bytes

WEIGHTS, CONFIG = "model.safetensors", "config.json"
FACTS = ("kind", "model", "dropouts", "vocab_size")  # what every config.json says


def save_model(folder: Path, model: LanguageModel | Classifier, small: bool = False, **facts: Any) -> None:
    """Write the weights, and the sizes with ``facts`` (direction, labels, ...) beside them; ``small``: in 8 bits a weight."""
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
    write_bytes(folder / WEIGHTS, save(quantise(tensors) if small else tensors))
    write_bytes(folder / CONFIG, json.dumps(config, indent=1).encode())


def read_config(folder: Path, kind: str | None = None) -> dict[str, Any]:
    """The facts of a saved model. UserError where the folder holds none, or one of another ``kind`` than is asked for."""
    try:
        config = json.loads((folder / CONFIG).read_text())
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{folder}: not a model folder, {CONFIG} is missing; name a folder that this library wrote") from error
    except ValueError as error:
        raise UserError(f"{folder / CONFIG}: damaged ({error}); take the model from the artifact store again") from error
    if not isinstance(config, dict) or not all(fact in config for fact in FACTS):
        raise UserError(f"{folder / CONFIG}: not a model's settings ({', '.join(FACTS)}); name a folder that this library wrote")
    if kind and config["kind"] != kind:
        raise UserError(f"{folder}: holds a {config['kind']}, not a {kind}; name the folder of a {kind}")
    return config


def load_language_model(folder: Path, dropouts: Dropouts | None = None, seed: int = 0) -> LanguageModel:
    """The language model in ``folder``, with other dropouts if given. UserError where files are missing or do not fit."""
    config = read_config(folder, "language_model")
    with _fitting(folder):
        model = LanguageModel(config["vocab_size"], ModelConfig(**config["model"]), dropouts or Dropouts(**config["dropouts"]), seed)
        model.load_state_dict(restore(load_file(folder / WEIGHTS)))
    return model


def load_classifier(folder: Path) -> Classifier:
    """The classifier in ``folder``. UserError where files are missing or do not fit."""
    config = read_config(folder, "classifier")
    with _fitting(folder):
        model = Classifier(
            config["vocab_size"],
            len(config["labels"]),
            ModelConfig(**config["model"]),
            Dropouts(**config["dropouts"]),
            config["hidden"],
            tuple(config["head_dropouts"]),
        )
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
