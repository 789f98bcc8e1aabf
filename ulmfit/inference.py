"""A trained model at work: the bundle folder on disk, and the average of both directions (Howard & Ruder 2018, sec. 3.3).

A bundle holds ``forward/`` and ``backward/`` (``model.safetensors``, ``config.json``), ``vocab.json``, ``tokenizer.json``,
``labels.json`` and, where the model came out of a workflow, ``lineage.json``.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ulmfit.artifacts import write_atomic
from ulmfit.errors import UserError
from ulmfit.models.files import CONFIG, WEIGHTS, load_classifier, read_config
from ulmfit.shards import Documents
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab
from ulmfit.training.classifier import predict_logits

DIRECTIONS = ("forward", "backward")


def write_bundle(folder: Path, forward: Path, backward: Path, vocab: Path, tokenizer: dict[str, Any], labels: Sequence[str]) -> None:
    """Put two classifiers and what they need into one folder. ValueError where a part reads in the wrong direction."""
    for direction, part in zip(DIRECTIONS, (forward, backward), strict=True):
        found = read_config(part)["direction"]
        if found != direction:
            raise ValueError(f"{part} reads {found}, and was given as the {direction} classifier")
        (folder / direction).mkdir(parents=True, exist_ok=True)
        for name in (WEIGHTS, CONFIG):
            shutil.copyfile(part / name, folder / direction / name)
    shutil.copyfile(vocab, folder / "vocab.json")
    write_atomic(folder / "tokenizer.json", json.dumps(tokenizer, indent=1).encode())
    write_atomic(folder / "labels.json", json.dumps(list(labels), ensure_ascii=False).encode())


class Predictor:
    """A loaded bundle. ``labels`` are the classes in the order of the probabilities' columns."""

    def __init__(self, folder: Path, device: str = "cpu"):
        self.folder, self.device = folder, device
        self.labels: list[str] = _read_json(folder, "labels.json")
        self.tokenizer = Tokenizer.from_definition(_read_json(folder, "tokenizer.json"))
        self.vocab = Vocab.load(folder / "vocab.json")
        self._parts = {direction: (load_classifier(folder / direction).to(device).eval(), read_config(folder / direction)) for direction in DIRECTIONS}
        for direction, (model, _) in self._parts.items():
            if model.encoder.vocab_size != len(self.vocab):
                raise UserError(f"{folder}: the {direction} classifier has {model.encoder.vocab_size} rows, vocab.json {len(self.vocab)} tokens; they do not belong together")

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu") -> Predictor:
        """The model in ``folder``. UserError where the folder is none, naming what is missing."""
        return cls(Path(folder), device)

    def probabilities(self, texts: Sequence[str]) -> np.ndarray:
        """float32 [N, L]: the mean of both directions' probabilities, in the order of ``texts``."""
        return average(self.directions(texts))

    def directions(self, texts: Sequence[str]) -> dict[str, np.ndarray]:
        """float32 [N, L] a direction."""
        return self.directions_of(self.encode(texts))

    def directions_of(self, documents: Documents) -> dict[str, np.ndarray]:
        """The same for documents that are encoded through this model's vocabulary."""
        found = {}
        for direction, (model, config) in self._parts.items():
            logits = predict_logits(model, documents, direction, config["bptt"], config["max_tokens"], self.device)
            found[direction] = logits.softmax(1).numpy()
        return found

    def encode(self, texts: Sequence[str]) -> Documents:
        """Texts as the classifiers read them."""
        ids = [self.vocab.encode(tokens).astype(self.vocab.dtype) for tokens in self.tokenizer(texts)]
        return Documents.of(ids)


def average(directions: dict[str, np.ndarray]) -> np.ndarray:
    """The ensemble: the mean of the directions' probabilities."""
    return (directions["forward"] + directions["backward"]) / 2


def _read_json(folder: Path, name: str) -> Any:
    if not folder.is_dir():
        raise UserError(f"{folder}: there is no such model folder; give a folder that ulmfit wrote, or models:/NAME@ALIAS")
    try:
        return json.loads((folder / name).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(f"{folder}: not a model folder, {name} is missing; give a folder that ulmfit wrote, or models:/NAME@ALIAS") from error
    except ValueError as error:
        raise UserError(f"{folder / name}: damaged ({error}); take the model from where it was made again") from error
