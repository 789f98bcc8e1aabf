"""Requests: what the command line and a deployment's form ask for. A request reads nothing; ``plan.resolve`` does.

This file is not called requests.py: Prefect puts the folder of a flow on the path, where it would hide the library of that name.
"""

import hashlib
import os
import re
import unicodedata
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator
from pydantic_core import PydanticCustomError

from ulmfit.config import Settings
from ulmfit.corpora.source import CorpusSource
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.presets import override, preset, pretraining
from ulmfit.pretrained.catalog import shipped_for

LONGEST_NAME = 60  # letters of a corpus's name that go into the names of runs, reports and models
SEEDED = ("general", "corpus", "pretrain", "finetune", "labels", "classifier", "evaluate")


class Request(BaseModel):
    """How to read text, and where and how to work on it."""

    model_config = ConfigDict(extra="forbid")

    text_column: str = Field("text", description="column that holds the text")
    label_column: str | None = Field(None, description="column that holds the label; without one the text has none")
    encoding: str = Field("utf-8", description="encoding of the text files")
    preset: Literal["tiny", "small", "base"] = Field(
        "small", description="sizes and rates: tiny (seconds), small (minutes), base (the paper's)"
    )
    options: list[str] = Field(default_factory=list, description="settings of the preset to change, as stage.option=value")
    seed: int | None = Field(None, ge=0, lt=2**63, description="seed of every random choice")
    workspace: str | None = Field(None, description="folder for artifacts, tracking and reports [ULMFIT_HOME, .ulmfit]")
    out: str | None = Field(None, description="where artifacts are kept, if not in the workspace: a folder or s3://BUCKET/FOLDER")
    dask: str | None = Field(None, description="address of a Dask scheduler, or a number of local workers")
    quarantine_crashing: bool = Field(False, description="quarantine a document that crashes the worker which tokenises it")

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: object) -> object:
        """Prefect and MLflow keep requests as UTF-8."""
        for string in value if isinstance(value, list) else [value]:
            if isinstance(string, str) and string != string.encode(errors="replace").decode():
                raise PydanticCustomError("text", "holds bytes that are no UTF-8; rename what it names")
        return value

    def settings(self) -> Settings:
        """The preset with the options applied. Raises UserError for an option that does not exist."""
        seeds = [f"{stage}.seed={self.seed}" for stage in SEEDED] if self.seed is not None else []
        return override(self.recipe(), [*seeds, *self.options])

    def recipe(self) -> Settings:
        """The settings before the options."""
        return preset(self.preset)

    @property
    @abstractmethod
    def reads(self) -> str:
        """What the text is read from, as the user names it."""

    @property
    def name(self) -> str:
        """A short name for that, of which names of runs and reports are made."""
        return short_name(self.reads)


class CorpusFields(BaseModel):
    """The text of a corpus, as fields of a request."""

    corpus: str = Field(
        "imdb", description="name of a known corpus, a file (csv, tsv, jsonl, parquet, txt; .gz, .zst) or a folder, also s3://BUCKET/..."
    )
    more: list[str] = Field(default_factory=list, description="further corpora, files or folders, taken together with the first")
    test: str | None = Field(None, description="file of test documents; without it a share of the corpus is held out")
    unlabelled: str | None = Field(None, description="file of further text of the domain, without labels")


class TextRequest(Request, CorpusFields):
    """A corpus, and where and how to work on it."""

    @property
    def reads(self) -> str:
        return self.corpus

    def source(self) -> CorpusSource:
        """The corpus that is asked for."""
        classifier = self.settings().classifier
        return CorpusSource(
            self.corpus,
            self.text_column,
            self.label_column,
            self.test,
            self.unlabelled,
            self.encoding,
            tuple(self.more),
            classifier.label_separator if classifier.task == "multi-label" else None,
        )


class StagesFields(BaseModel):
    """Where the stages of a job run, as a field of a request."""

    stages: Literal["embedded", "distributed"] = Field(
        "embedded",
        description="embedded: every stage in this run; distributed: each as a run of its own on the work pool that it needs, cpu or gpu",
    )


class PreprocessRequest(TextRequest, StagesFields):
    """A corpus into shards of token ids, by itself."""


class TrainingRequest(Request, StagesFields):
    """What all trainings have in common: the language model to start from, and where to train."""

    pretrained: str | None = Field(
        None, description="language model to start from: small, a folder, s3://... or https://... [train: small, where it fits]"
    )
    pretraining: Literal["ulmfit", "awd-lstm"] = Field(
        "ulmfit", description="how to pretrain: ulmfit (Adam), or awd-lstm (SGD, averaged: for long trainings)"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to train: auto, cpu or cuda")
    devices: int = Field(1, ge=1, description="processes that share each training stage: a GPU each, or a part of the CPU's cores")
    resume: bool = Field(True, description="continue interrupted stages from their checkpoints, or start them again")

    def recipe(self) -> Settings:
        return super().recipe() if self.pretraining == "ulmfit" else pretraining(super().recipe(), self.pretraining)

    def start(self) -> str | None:
        """The name of the language model to start from; None where one is to be pretrained."""
        return self.pretrained

    def trained_directions(self) -> Sequence[Direction]:
        return DIRECTIONS


class PretrainRequest(TrainingRequest, TextRequest):
    """A language model of general text, in one direction or both; from the start, or going on from ``pretrained``."""

    corpus: str = Field("wikitext-103", description="general text: a known corpus, a file or a folder")
    directions: tuple[Direction, ...] = Field(DIRECTIONS, description="directions to train: forward, backward or both", min_length=1)
    export: str | None = Field(None, description="folder or s3://BUCKET/FOLDER for the finished models")

    def trained_directions(self) -> Sequence[Direction]:
        return self.directions


class ClassifierRequest(TrainingRequest):
    """A registered classifier. It starts from the language model that comes with the project, where that fits."""

    label_column: str = Field("label", description="column that holds the label")
    pretrain: str | None = Field(
        None, description="general corpus to pretrain on instead: a known corpus, a file or a folder; for the base preset wikitext-103"
    )

    def start(self) -> str | None:
        if self.pretrained and self.pretrain:
            raise UserError("--pretrained and --pretrain: a language model is taken, or trained; give one of them")
        if self.pretrained or self.pretrain or self.pretraining != "ulmfit":
            return self.pretrained
        return shipped_for(self.preset, self.settings().text, self.options)

    def general(self) -> CorpusSource:
        """The general corpus to pretrain on; its text column and encoding are those of the domain's."""
        name = self.pretrain or ("wikitext-103" if self.preset == "base" else "wikitext-2")
        return CorpusSource(name, self.text_column, None, encoding=self.encoding)

    @property
    @abstractmethod
    def registered_name(self) -> str:
        """The name in the registry."""


class TrainRequest(ClassifierRequest, TextRequest):
    """The main job: from text to a registered classifier."""

    minutes: float | None = Field(
        None, gt=0, description="train less than usual, so that the run ends within so many minutes on this machine"
    )
    model_name: str | None = Field(None, description="name in the registry; ulmfit-<corpus> if left empty")

    @property
    def registered_name(self) -> str:
        return self.model_name or f"ulmfit-{self.name}"


class SuspectsRequest(TrainRequest):
    """Rows whose labels may be wrong. All but columns, encoding, seed and workspace concerns ULMFiT alone."""

    output: str | None = Field(None, description="file for all of them: csv, tsv, jsonl or parquet; without it, the first are shown")
    method: Literal["words", "ulmfit"] = Field(
        "words", description="what judges: TF-IDF + logistic regression (seconds), or ulmfit (a training per fold and direction)"
    )
    reading: Literal["forward", "backward", "both"] = Field("both", description="directions of ulmfit: forward, backward or both")

    def read(self) -> tuple[Direction, ...]:
        """The directions of the networks."""
        return DIRECTIONS if self.reading == "both" else (self.reading,)


class LandingFields(BaseModel):
    """Where new text lands, and for which model, as fields of a request."""

    landing: str = Field(description="folder or s3://BUCKET/FOLDER where files with new text come in")
    model: str = Field(description="name of the model in the registry")
    id_column: str | None = Field(
        None, description="column with the id of a document: a later label replaces the earlier one of the same id"
    )
    test: str | None = Field(
        None, description="file of test documents; without it documents are held out by the hash of their text, for ever"
    )
    policy: str | None = Field(None, description="yaml file that says when to train, how, and what the gate asks for")


class RetrainRequest(ClassifierRequest, LandingFields):
    """A cycle of a model's life: new text is looked at, and if there is reason to, the model is trained, compared and promoted."""

    dry_run: bool = Field(False, description="say what would be done, with the figures; train nothing and record nothing")
    force: bool = Field(False, description="train although there may be no reason to")
    because: str | None = Field(None, description="with force: why; the history shows it")

    @property
    def reads(self) -> str:
        return self.landing

    @property
    def name(self) -> str:
        return short_name(self.model)

    @property
    def registered_name(self) -> str:
        return self.model


class ScoreRequest(BaseModel):
    """A data set of Parquet files, to be scored by a model."""

    model_config = ConfigDict(extra="forbid")

    model: str = Field(description="a model's folder, or models:/NAME@ALIAS, or models:/NAME/VERSION")
    dataset: str = Field(description="a Parquet file, or a folder of them, also s3://BUCKET/FOLDER")
    output: str = Field(description="folder for the scored files, which keep their names; also s3://BUCKET/FOLDER")
    text_column: str = Field("text", description="column that holds the text")
    warn: bool = Field(False, description="add columns that say how strange the text is to the model: perplexity, unknown, warning")
    dask: str | None = Field(None, description="address of a Dask scheduler, or a number of local workers")
    workspace: str | None = Field(None, description="folder for artifacts, tracking and reports [ULMFIT_HOME, .ulmfit]")


def short_name(place: str) -> str:
    """The short name of a file, folder or model. Where letters beyond ASCII, or many letters, are left out, a digest stands for them, so
    that no two names meet."""
    stem = Path(place.rstrip("/")).name.split(".")[0]
    plain = unicodedata.normalize("NFKD", stem.lower())
    slug = re.sub(r"[^a-z0-9]+", "-", "".join(letter for letter in plain if not unicodedata.combining(letter))).strip("-")
    whole = stem.isascii() and 0 < len(slug) <= LONGEST_NAME
    digest = "" if whole else hashlib.sha256(os.fsencode(stem)).hexdigest()[:8]
    return "-".join(filter(None, (slug[:LONGEST_NAME].strip("-") or "corpus", digest)))
