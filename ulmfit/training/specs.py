"""A training as data: which text, which settings. A spec can be written as JSON and carried out by another process."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from ulmfit.config import ClassifierConfig, LabelsConfig, LMConfig, ModelConfig
from ulmfit.directions import Direction
from ulmfit.labels.drawing import draw
from ulmfit.labels.label_set import LabelSet
from ulmfit.shards.documents import Documents
from ulmfit.text.vocab import Vocab


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


class ClassifySpec(TextSpec):
    """A classifier on the encoder of the language model in ``lm``, or from random weights where that is None (sec. 3.3).

    ``drawn``: which of the labelled documents it learns from.
    """

    training: Literal["classify"] = "classify"
    lm: Path | None
    model: ModelConfig
    config: ClassifierConfig
    drawn: LabelsConfig = LabelsConfig()

    def text(self) -> TrainingText:
        """As of any training, but only the documents drawn to train on."""
        found = super().text()
        if self.drawn.number is None:
            return found
        strata = LabelSet.of(self.labels, self.config).strata_of(found.train.labels)
        return replace(found, train=found.train.take(draw(strata, self.drawn)))


TrainingSpec = Annotated[PretrainSpec | FinetuneSpec | ClassifySpec, Field(discriminator="training")]
