"""What stages make: an artifact each, with its facts as a type. A function that wants id shards cannot be given a vocabulary."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Generic, TypeVar, cast

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel

from ulmfit.corpora.corpus_record import CorpusRecord
from ulmfit.corpora.quality.quality_record import OutOfVocabulary, Quality
from ulmfit.evaluation.results import EvaluationRecord
from ulmfit.labels.drawing import read_chosen
from ulmfit.monitoring.drift_figures import FILE, TextFigures
from ulmfit.shards.crashing import CrashingDocument
from ulmfit.store.artifacts import Artifact
from ulmfit.store.json import Facts, JsonObject, SparseFacts
from ulmfit.training.specs import TrainingRecord

QUARANTINES = "quarantine_poison"  # in the settings of token shards, beside the tokenizer's: documents that crash it are left out

Record = TypeVar("Record", bound=BaseModel, covariant=True)


class ShardsRecord(Facts):
    """Of token or id shards: sums over all parts. ``poisoned``: documents without tokens, as they kill the worker that tokenises them."""

    parts: int
    documents: int
    tokens: int
    poisoned: tuple[CrashingDocument, ...] = ()


class Growth(Facts):
    """Tokens of the ``earlier`` vocabulary, tokens ``added``, and the ``share`` of these in a vocabulary chosen anew."""

    earlier: int
    added: int
    share: float


class VocabularyRecord(SparseFacts):
    """``tokens``: its size. ``out_of_vocabulary``: of the text it was counted on (``train``), and of the ``held_out`` text.

    ``growth``: None for one that was chosen anew.
    """

    tokens: int
    out_of_vocabulary: dict[str, OutOfVocabulary]
    growth: Growth | None = None


class ModelRecord(SparseFacts):
    """``labels``: names of the classes. ``artifacts``: how many stand behind the model. ``words``: their weight, where they are a member."""

    labels: tuple[str, ...]
    artifacts: int
    words: float | None = None


class WordsRecord(Facts):
    """``terms``: words, pairs and pieces that the model knows; ``documents``: that it learnt from."""

    terms: int
    documents: int


class ReasonsRecord(Facts):
    """How many mistakes were explained."""

    explained: int


class FamiliarityRecord(Facts):
    """How many documents were measured."""

    documents: int


class ChosenRecord(Facts):
    """``rows``: how many were chosen in all, of the documents of ``splits``. ``rest_validates``: the others are to validate on."""

    rows: int
    splits: tuple[str, ...] = ("train",)
    rest_validates: bool = False


class FoldRecord(Facts):
    """How many documents there were."""

    documents: int


class DriftReferenceRecord(Facts):
    """How many documents were measured, and how many had a label."""

    documents: int
    labelled: int


@dataclass(frozen=True)
class Output(Artifact, Generic[Record]):
    """A finished artifact of one kind."""

    facts: ClassVar[type[BaseModel]]

    @cached_property
    def record(self) -> Record:
        """What the stage reports of its result."""
        return cast(Record, self.facts.model_validate(self.manifest.record))


class Corpus(Output[CorpusRecord]):
    """Documents made uniform, in Parquet parts."""

    facts = CorpusRecord

    @property
    def quality(self) -> Quality:
        """What ``quality.json`` holds."""
        assert self.record.quality is not None, "the ingest stage records it"
        return self.record.quality


class TokenShards(Output[ShardsRecord]):
    """Tokens of a corpus, a shard per part; they serve every vocabulary."""

    facts = ShardsRecord

    @property
    def tokenizer(self) -> JsonObject:
        """The definition of the tokenizer that made them."""
        return {name: value for name, value in self.manifest.config.items() if name != QUARANTINES}


class Vocabulary(Output[VocabularyRecord]):
    """The tokens that have an id."""

    facts = VocabularyRecord

    @property
    def file(self) -> Path:
        return self.path / "vocab.json"


class IdShards(Output[ShardsRecord]):
    """Token shards through a vocabulary."""

    facts = ShardsRecord


class ChosenRows(Output[ChosenRecord]):
    """The rows that a classifier is to learn from: chosen by an earlier one, or all but those of a fold."""

    facts = ChosenRecord

    @property
    def file(self) -> Path:
        return self.path / "rows.json"

    @property
    def rows(self) -> NDArray[np.int64]:
        """int64 [M], rising."""
        return read_chosen(self.file)


class FoldPredictions(Output[FoldRecord]):
    """What classifiers say of the documents of a fold, which they have not learnt from: ``predictions.parquet``."""

    facts = FoldRecord


class LanguageModel(Output[TrainingRecord]):
    """A language model of one direction: weights, sizes, vocabulary, history."""

    facts = TrainingRecord


class Classifier(Output[TrainingRecord]):
    """A classifier of one direction: weights, sizes, labels, calibration, history."""

    facts = TrainingRecord


class Words(Output[WordsRecord]):
    """A model of words."""

    facts = WordsRecord


class Model(Output[ModelRecord]):
    """Both directions, and words where they are a member, in one folder, with all that prediction needs, and the lineage."""

    facts = ModelRecord


class Evaluation(Output[EvaluationRecord]):
    """Scores on the test rows, beside the baseline."""

    facts = EvaluationRecord


class Reasons(Output[ReasonsRecord]):
    """Explanations of the most confident mistakes."""

    facts = ReasonsRecord


class Familiarity(Output[FamiliarityRecord]):
    """How strange held-out documents are to a model."""

    facts = FamiliarityRecord


class DriftReference(Output[DriftReferenceRecord]):
    """Figures of a model's held-out documents, beside which new text is looked at."""

    facts = DriftReferenceRecord

    @property
    def figures(self) -> TextFigures:
        return TextFigures.model_validate_json((self.path / FILE).read_bytes())
