"""A trained model at work: the bundle folder on disk, and the average of both directions (Howard & Ruder 2018, sec. 3.3).

A bundle holds ``forward/`` and ``backward/`` (``model.safetensors``, ``config.json``), ``vocab.json``, ``tokenizer.json``,
``labels.json`` and, where the model came out of a workflow, ``lineage.json``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ulmfit.compute.pages import keep_pages
from ulmfit.compute.precision import inference_products
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.evaluation.metrics import decisions
from ulmfit.labels.label_set import THRESHOLD, Task, probabilities
from ulmfit.models.classifier import Classifier
from ulmfit.models.saving import load_classifier, read_config, save_model
from ulmfit.prediction.bundle import LINEAGE, missing
from ulmfit.prediction.folded import FoldedClassifier
from ulmfit.prediction.logits import predict_logits
from ulmfit.progress import Bar, progress
from ulmfit.shards.documents import Documents
from ulmfit.store.filesystem import write_bytes
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab

# Of a part's config.json: how its logits are read (see ``calibration.calibrate``).
SURENESS = ("task", "label_separator", "temperature", "thresholds", "ece_before", "ece_after")

TEXTS = 1_000  # texts whose tokens are held as strings at a time
LONG = 500  # documents from which on progress is shown

Probabilities = NDArray[np.float32]


class Predictor:
    """A loaded bundle. ``labels`` are the classes in the order of the probabilities' columns.

    ``task``: "multi-class", or "multi-label" with the ``separator`` of its label strings.
    """

    def __init__(self, folder: Path, device: str = "cpu", precision: str = "auto"):
        _check_whole(folder)
        keep_pages()
        self.device, self.precision = device, precision
        sureness = read_config(folder / DIRECTIONS[0], "classifier")
        self.task: Task = sureness.get("task", "multi-class")
        self.separator: str = sureness.get("label_separator", "|")
        self.labels: list[str] = _labels(folder, 2 if self.task == "multi-class" else 1)
        self.definition = _definition(folder)
        self.tokenizer = _tokenizer(json.dumps(self.definition, sort_keys=True))
        self.vocab = Vocab.load(folder / "vocab.json")
        self.lineage = _read_json(folder / LINEAGE) if (folder / LINEAGE).exists() else None
        self._parts = {direction: self._part(folder / direction, direction) for direction in DIRECTIONS}
        self._folded = {direction: self._fold(model) for direction, (model, _) in self._parts.items()}

    @classmethod
    def load(cls, folder: str | Path, device: str = "cpu", precision: str = "auto") -> Predictor:
        """The model in ``folder``. UserError where the folder holds none, is not whole or its parts do not belong together.

        ``precision``: of the matrix products: "fp32", "bf16", or "auto" (``hardware.inference_products``).
        """
        return cls(Path(folder), device, precision)

    def save(self, folder: Path) -> None:
        """Write the bundle into ``folder``, which is made if need be."""
        for direction, (model, reading) in self._parts.items():
            (folder / direction).mkdir(parents=True, exist_ok=True)
            save_model(folder / direction, model, direction=direction, labels=self.labels, **reading)
        self.vocab.save(folder / "vocab.json")
        named = {"tokenizer.json": self.definition, "labels.json": self.labels} | ({LINEAGE: self.lineage} if self.lineage else {})
        for name, value in named.items():
            write_bytes(folder / name, json.dumps(value, indent=1, ensure_ascii=False).encode())

    def probabilities(self, texts: Sequence[str]) -> Probabilities:
        """float32 [N, L]: the mean of both directions' probabilities, in the order of ``texts``."""
        return average(self.directions(texts))

    def directions(self, texts: Sequence[str]) -> dict[Direction, Probabilities]:
        """float32 [N, L] a direction."""
        return self.directions_of(self.encode(texts))

    def probabilities_of(self, documents: Documents) -> Probabilities:
        """``probabilities`` of documents that are encoded through this model's vocabulary."""
        return average(self.directions_of(documents))

    def directions_of(self, documents: Documents) -> dict[Direction, Probabilities]:
        """``directions`` of documents that are encoded through this model's vocabulary."""
        return self.read(self.logits_of(documents))

    def logits_of(self, documents: Documents) -> dict[Direction, Tensor]:
        """Logits float32 [N, L] a direction, of documents that are encoded through this model's vocabulary."""
        if len(documents) < LONG:
            return {direction: self._predict(documents, direction) for direction in DIRECTIONS}
        found = {}
        for direction in DIRECTIONS:
            with progress(f"predict {direction}", len(documents), "documents") as bar:
                found[direction] = self._predict(documents, direction, bar)
        return found

    def read(self, logits: Mapping[Direction, Tensor], calibrated: bool = True) -> dict[Direction, Probabilities]:
        """Probabilities of ``logits_of`` documents; each direction has its own temperature, 1 where not ``calibrated``."""
        return {
            direction: probabilities(logits[direction], self.task, reading.get("temperature") or 1.0 if calibrated else 1.0).numpy()
            for direction, (_, reading) in self._parts.items()
        }

    @property
    def thresholds(self) -> NDArray[np.float64] | None:
        """``thresholds_of`` the average of both directions: the mean of theirs."""
        each = [limits for limits in map(self.thresholds_of, DIRECTIONS) if limits is not None]
        return np.mean(each, axis=0) if each else None

    def decide(self, probabilities: Probabilities) -> list[list[str]]:
        """The labels of each document by its ``probabilities`` [N, L]: the likeliest class, or those that reach their thresholds."""
        if self.task == "multi-class":
            return [[self.labels[code]] for code in probabilities.argmax(1)]
        return [[self.labels[code] for code in np.flatnonzero(row)] for row in decisions(probabilities, self.thresholds)]

    def encode(self, texts: Sequence[str]) -> Documents:
        """Texts as the classifiers read them; every document has at least its first token, ``xxbos``."""
        ids: list[np.ndarray] = []
        for start in range(0, len(texts), TEXTS):
            ids += [self.vocab.encode(tokens).astype(self.vocab.dtype) for tokens in self.tokenizer(texts[start : start + TEXTS])]
        return Documents.of(ids)

    def _predict(self, documents: Documents, direction: Direction, bar: Bar | None = None) -> Tensor:
        return predict_logits(self._folded[direction], documents, direction, self._parts[direction][1]["max_tokens"], bar)

    def _fold(self, model: Classifier) -> FoldedClassifier:
        width = model.encoder.config.hidden
        return FoldedClassifier(model.to(self.device), inference_products(self.precision, self.device, width))

    def thresholds_of(self, direction: Direction) -> NDArray[np.float64] | None:
        """[L]: from which probability of one direction on a label is predicted, where a text has any number of them."""
        if self.task == "multi-class":
            return None
        return np.asarray(self._parts[direction][1].get("thresholds") or [THRESHOLD] * len(self.labels), dtype=np.float64)

    def _part(self, folder: Path, direction: Direction) -> tuple[Classifier, dict[str, Any]]:
        config = read_config(folder, "classifier")
        facts = {
            "direction": (config.get("direction"), direction),
            "task": (config.get("task", "multi-class"), self.task),
            "labels": (config.get("labels"), self.labels),
            "number of thresholds": (len(config.get("thresholds") or self.labels), len(self.labels)),
            "vocabulary size": (config["vocab_size"], len(self.vocab)),
        }
        for fact, (has, due) in facts.items():
            if has != due:
                raise UserError(f"{folder}: its {fact} is {_short(has)}, the model's {_short(due)}; take all files from one training")
        reading = {"bptt": config.get("bptt", 70), "max_tokens": config.get("max_tokens")}
        return load_classifier(folder), reading | {name: config[name] for name in SURENESS if name in config}


def average(directions: Mapping[Direction, Probabilities]) -> Probabilities:
    """The ensemble: the mean of the directions' probabilities."""
    return np.mean([directions[direction] for direction in DIRECTIONS], axis=0, dtype=np.float32)


def _check_whole(folder: Path) -> None:
    remedy = "give a folder that ulmfit wrote"
    if not folder.is_dir():
        raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'there is no such folder'}; {remedy}")
    lacking = missing(folder)
    if lacking:
        raise UserError(f"{folder}: not a model, {lacking[0]} is missing{_others(len(lacking) - 1)}; {remedy}")


def _others(number: int) -> str:
    return f" (and {number} other file{'s' if number > 1 else ''})" if number else ""


def _short(value: Any) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _labels(folder: Path, least: int) -> list[str]:
    labels = _read_json(folder / "labels.json")
    if not isinstance(labels, list) or len(labels) < least or not all(isinstance(label, str) for label in labels):
        number = ("one", "two")[least - 1]
        raise UserError(f"{folder / 'labels.json'}: not a list of {number} or more labels; take the model from where it was made again")
    return labels


def _definition(folder: Path) -> dict[str, Any]:
    definition = _read_json(folder / "tokenizer.json")
    if not isinstance(definition, dict) or not {"lang", "rules", "rules_version"} <= definition.keys():
        raise UserError(f"{folder / 'tokenizer.json'}: not a tokenizer's definition; take the model from where it was made again")
    return definition


@lru_cache(maxsize=4)
def _tokenizer(definition: str) -> Tokenizer:
    """One tokenizer for all models of a process that define it alike: it remembers the words that it has split."""
    return Tokenizer.from_definition(json.loads(definition))


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); take the model from where it was made again") from error
