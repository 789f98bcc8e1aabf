"""A training as data: its text and settings, and what it reports. A spec can be written as JSON and carried out by another process."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field

from ulmfit.config import ClassifierConfig, LabelsConfig, LMConfig, ModelConfig
from ulmfit.directions import Direction
from ulmfit.labels.drawing import read_chosen, rows_to_learn
from ulmfit.labels.label_set import LabelSet
from ulmfit.shards.arrow import IDS_SUFFIX
from ulmfit.shards.documents import Documents
from ulmfit.store.json import Facts
from ulmfit.text.vocab import Vocab
from ulmfit.training.mixing import mixed


@dataclass(frozen=True)
class TrainingText:
    """The documents of a training, encoded through ``vocab``, and the direction in which they are read.

    ``labels``: the label strings that the documents' label codes stand for; only a classifier needs them.
    """

    train: Documents
    valid: Documents
    vocab: Vocab
    direction: Direction
    labels: tuple[str, ...] = ()


class TextSpec(BaseModel):
    """Where a training finds its text: the folder ``ids`` of id shards, the splits to train and validate on, the file ``vocab``."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: Path
    train: tuple[str, ...]
    valid: tuple[str, ...]
    vocab: Path
    direction: Direction
    labels: tuple[str, ...] = ()

    def text(self) -> TrainingText:
        """The documents, memory-mapped, and the vocabulary."""
        train, valid = Documents.open(self.ids, self.train), Documents.open(self.ids, self.valid)
        return TrainingText(train, valid, Vocab.load(self.vocab), self.direction, self.labels)


class PretrainSpec(TextSpec):
    """A language model from random weights (Howard & Ruder 2018, sec. 3.1)."""

    training: Literal["pretrain"] = "pretrain"
    model: ModelConfig
    config: LMConfig


class FinetuneSpec(TextSpec):
    """The language model in the folder ``pretrained``, trained further on the text of the domain (sec. 3.2)."""

    training: Literal["finetune"] = "finetune"
    pretrained: Path
    config: LMConfig


class WarmSpec(TextSpec):
    """The earlier language model in the folder ``earlier``, which goes on with the documents of ``new_parts`` and a sample of the others.

    ``replay``: tokens of that sample for each token of new text; ``seed``: of the draw; ``keep``: see ``go_on``. ValueError where a part has no shard.
    """

    training: Literal["warm"] = "warm"
    earlier: Path
    new_parts: tuple[str, ...]
    replay: float
    seed: int
    keep: float
    config: LMConfig

    def text(self) -> TrainingText:
        """As of any training, but only the documents to go on with."""
        found = super().text()
        return replace(found, train=mixed(found.train, self._new(found.train), self.replay, self.seed))

    def held_out(self) -> tuple[Documents, Documents]:
        """The documents to validate on, old and new."""
        valid = Documents.open(self.ids, self.valid)
        new = self._new(valid)
        return valid.take(np.flatnonzero(~new)), valid.take(np.flatnonzero(new))

    def _new(self, documents: Documents) -> np.ndarray:
        numbers = {path.name.removesuffix(IDS_SUFFIX): number for number, path in enumerate(sorted(self.ids.glob(f"*{IDS_SUFFIX}")))}
        if strangers := set(self.new_parts) - set(numbers):
            raise ValueError(f"{self.ids} has no part {min(strangers)!r}")
        return documents.within([numbers[part] for part in self.new_parts])


class ClassifySpec(TextSpec):
    """A classifier on the encoder of the language model in ``lm``, or from random weights where that is None (sec. 3.3).

    ``drawn``: which of the labelled documents it learns from; ``chosen``: a file that names them instead (``write_chosen``), where
    ``rest_validates`` says that the other labelled documents are those to validate on.
    """

    training: Literal["classify"] = "classify"
    lm: Path | None
    model: ModelConfig
    config: ClassifierConfig
    drawn: LabelsConfig = LabelsConfig()
    chosen: Path | None = None
    rest_validates: bool = False

    def text(self) -> TrainingText:
        """As of any training, but only the documents drawn to train on."""
        found = super().text()
        if not self.drawn.keyed() and not self.chosen:
            return found
        strata = LabelSet.of(self.labels, self.config).strata_of(found.train.labels)
        rows = rows_to_learn(strata, self.drawn, read_chosen(self.chosen) if self.chosen else None)
        rest = found.train.take(np.setdiff1d(np.arange(len(found.train)), rows)) if self.rest_validates else found.valid
        return replace(found, train=found.train.take(rows), valid=rest)


TrainingSpec = Annotated[PretrainSpec | FinetuneSpec | WarmSpec | ClassifySpec, Field(discriminator="training")]


class HeldOutPerplexities(Facts):
    """Perplexity a token of held-out text, old and new, before and after a language model went on; None where there is too little of it."""

    old_before: float | None
    old: float | None
    new_before: float | None
    new: float | None


class TrainingRecord(Facts):
    """Facts of a finished training; None where a fact does not apply.

    ``model_dump(exclude_none=True)`` gives the names under which an artifact's record stores them; a reader ignores other names.
    """

    steps: int | None = None
    trained_tokens: int | None = None
    training_seconds: float | None = None
    tokens_per_second: float | None = None
    valid_loss: float | None = None  # nats
    valid_perplexity: float | None = None
    valid_accuracy: float | None = None
    valid_macro_f1: float | None = None
    products: str | None = None  # dtype of the matrix products: float32 or bfloat16
    best_step: int | None = None  # the step whose weights were kept
    parts: int | None = None  # parts in which each batch was worked on, where memory was short
    processes: int | None = None  # where there was more than one
    lr_suggested: float | None = None  # by the range test
    rows_kept: int | None = None  # embedding rows taken from the pretrained vocabulary
    rows_new: int | None = None
    held_out: HeldOutPerplexities | None = None
    temperature: float | None = None
    ece_before: float | None = None
    ece_after: float | None = None
