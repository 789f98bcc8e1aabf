"""The folder of a trained model: ``forward/`` and ``backward/`` and what both need, written and read.

Each direction has ``model.safetensors`` and ``config.json``; beside them are ``vocab.json``, ``tokenizer.json``, ``labels.json`` and,
where the model came out of a workflow, ``lineage.json``, and ``abstention.json`` and ``familiarity.json`` where it was registered by one.
Where words are a member of the ensemble there are ``words/`` and ``ensemble.json``.
"""

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.evaluation.abstention import Abstention, read_abstention, write_abstention
from ulmfit.evaluation.mixture import EQUAL, Mixture, read_mixture, write_mixture
from ulmfit.evaluation.mixture import FILE as MIXTURE
from ulmfit.models.saving import CONFIG, WEIGHTS, Calibration, SavedModel, read_saved_model
from ulmfit.models.words import TERMS
from ulmfit.prediction.familiar import Familiar, read_familiar, write_familiar
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.json import JsonObject
from ulmfit.text.tokenizer import Definition
from ulmfit.text.vocab import Vocab

FILES = ("labels.json", "tokenizer.json", "vocab.json", *(f"{direction}/{name}" for direction in DIRECTIONS for name in (CONFIG, WEIGHTS)))
LINEAGE, WORDS = "lineage.json", "words"
WITH_WORDS = (f"{WORDS}/{TERMS}", f"{WORDS}/{WEIGHTS}", MIXTURE)  # where words are a member
AGAIN = "take the model from where it was made again"


def write_bundle(folder: Path, forward: Path, backward: Path, vocab: Path, tokenizer: Mapping[str, Any]) -> list[str]:
    """Put two classifiers and what they need into one folder; their labels. ValueError where one reads in the wrong direction."""
    for direction, part in zip(DIRECTIONS, (forward, backward), strict=True):
        saved = read_saved_model(part, "classifier")
        if saved.direction != direction:
            raise ValueError(f"{part} reads {saved.direction}, and was given as the {direction} classifier")
        (folder / direction).mkdir(parents=True, exist_ok=True)
        for name in (WEIGHTS, CONFIG):
            shutil.copyfile(part / name, folder / direction / name)
    labels = list(saved.labels)  # the same in both, see Bundle.read
    shutil.copyfile(vocab, folder / "vocab.json")
    write_bytes(folder / "tokenizer.json", json.dumps(dict(tokenizer), indent=1).encode())
    write_bytes(folder / "labels.json", json.dumps(labels, ensure_ascii=False).encode())
    return labels


def missing(folder: Path) -> list[str]:
    """The files that ``folder`` lacks to be a bundle; none where it is one."""
    return [name for name in FILES if not (folder / name).is_file()]


@dataclass(frozen=True)
class Bundle:
    """All of a bundle but its weights. ``labels`` [L]; ``tokenizer``: see ``Tokenizer.definition``; ``parts``: the model per direction; ``mixture``: how much each member counts."""

    labels: list[str]
    tokenizer: Definition
    vocab: Vocab
    lineage: JsonObject | None
    parts: Mapping[Direction, SavedModel]
    abstention: Abstention | None = None
    mixture: Mixture = EQUAL
    familiar: Familiar | None = None

    @classmethod
    def read(cls, folder: Path) -> Self:
        """The bundle in ``folder``. UserError where there is none, it is not whole, or its parts do not belong together."""
        _check_whole(folder)
        parts = {direction: read_saved_model(folder / direction, "classifier") for direction in DIRECTIONS}
        lineage = _read_json(folder / LINEAGE) if (folder / LINEAGE).exists() else None
        bundle = cls(
            _labels(folder, parts),
            _definition(folder),
            Vocab.load(folder / "vocab.json"),
            lineage,
            parts,
            read_abstention(folder),
            read_mixture(folder) or EQUAL,
            read_familiar(folder),
        )
        for direction in DIRECTIONS:
            bundle._check_part(folder / direction, direction)
        bundle._check_mixture(folder)
        return bundle

    def calibration(self, direction: Direction) -> Calibration:
        """How the logits of ``direction`` are read."""
        return self.parts[direction].calibration or Calibration()

    def save(self, folder: Path) -> None:
        """Write the files that both directions share into ``folder``."""
        self.vocab.save(folder / "vocab.json")
        named = {"tokenizer.json": self.tokenizer, "labels.json": self.labels} | ({LINEAGE: self.lineage} if self.lineage else {})
        for name, value in named.items():
            write_bytes(folder / name, json.dumps(value, indent=1, ensure_ascii=False).encode())
        if self.abstention:
            write_abstention(folder, self.abstention)
        if self.mixture != EQUAL:
            write_mixture(folder, self.mixture)
        if self.familiar:
            write_familiar(folder, self.familiar)

    def _check_part(self, folder: Path, direction: Direction) -> None:
        saved, calibration = self.parts[direction], self.calibration(direction)
        facts = {
            "direction": (saved.direction, direction),
            "task": (calibration.task, self.calibration(DIRECTIONS[0]).task),
            "labels": (list(saved.labels), self.labels),
            "number of thresholds": (len(calibration.thresholds or self.labels), len(self.labels)),
            "vocabulary size": (saved.vocab_size, len(self.vocab)),
        }
        for fact, (has, due) in facts.items():
            if has != due:
                raise UserError(f"{folder}: its {fact} is {_short(has)}, the model's {_short(due)}; take all files from one training")

    def _check_mixture(self, folder: Path) -> None:
        weights, thresholds = self.mixture.weights, self.mixture.thresholds
        if not {*DIRECTIONS} <= weights.keys() or len(thresholds or self.labels) != len(self.labels):
            raise UserError(f"{folder / MIXTURE}: no fit for the model's members and its {len(self.labels)} labels; {AGAIN}")


def _check_whole(folder: Path) -> None:
    remedy = "give a folder that ulmfit wrote"
    if not folder.is_dir():
        raise UserError(f"{folder}: {'not a folder' if folder.exists() else 'there is no such folder'}; {remedy}")
    lacking = missing(folder)
    if lacking:
        others = f" (and {len(lacking) - 1} other file{'s' if len(lacking) > 2 else ''})" if len(lacking) > 1 else ""
        raise UserError(f"{folder}: not a model, {lacking[0]} is missing{others}; {remedy}")


def _short(value: object) -> str:
    text = str(value)
    return text if len(text) <= 60 else f"{text[:60]}…"


def _labels(folder: Path, parts: Mapping[Direction, SavedModel]) -> list[str]:
    labels, calibration = _read_json(folder / "labels.json"), parts[DIRECTIONS[0]].calibration or Calibration()
    least, number = (2, "two") if calibration.task == "multi-class" else (1, "one")
    if not isinstance(labels, list) or len(labels) < least or not all(isinstance(label, str) for label in labels):
        raise UserError(f"{folder / 'labels.json'}: not a list of {number} or more labels; {AGAIN}")
    return labels


def _definition(folder: Path) -> Definition:
    definition = _read_json(folder / "tokenizer.json")
    if not isinstance(definition, dict) or not {"lang", "rules", "rules_version"} <= definition.keys():
        raise UserError(f"{folder / 'tokenizer.json'}: not a tokenizer's definition; {AGAIN}")
    return cast(Definition, definition)


def _read_json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path}: damaged ({error}); {AGAIN}") from error
