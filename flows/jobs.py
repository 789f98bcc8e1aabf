"""What a flow is asked to do: the parameters that the command line takes and a deployment shows as a form."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, Field

from ulmfit.config import Settings, override, preset, pretraining
from ulmfit.corpora.ingest import CorpusSource, peek


class TextJob(BaseModel):
    """A corpus, and where and how to work on it: preprocessing by itself."""

    model_config = ConfigDict(extra="forbid")

    corpus: str = Field(
        "imdb", description="name of a known corpus, a file (csv, tsv, jsonl, parquet, txt; .gz, .zst) or a folder, also s3://BUCKET/..."
    )
    more: list[str] = Field(default_factory=list, description="further corpora, files or folders, taken together with the first")
    text_column: str = Field("text", description="column that holds the text")
    label_column: str | None = Field(None, description="column that holds the label; without one the text has none")
    test: str | None = Field(None, description="file of test documents; without it a share of the corpus is held out")
    unlabelled: str | None = Field(None, description="file of further text of the domain, without labels")
    encoding: str = Field("utf-8", description="encoding of the text files")
    preset: Literal["tiny", "small", "base"] = Field(
        "small", description="sizes and rates: tiny (seconds), small (minutes), base (the paper's)"
    )
    options: list[str] = Field(default_factory=list, description="settings of the preset to change, as stage.option=value")
    seed: int | None = Field(None, description="seed of every random choice")
    workspace: str | None = Field(None, description="folder for artifacts, tracking and reports")
    out: str | None = Field(None, description="where artifacts are kept, if not in the workspace: a folder or s3://BUCKET/FOLDER")
    dask: str | None = Field(None, description="address of a Dask scheduler, or a number of local workers")
    quarantine_poison: bool = Field(False, description="set a document aside that kills the worker which tokenises it")

    def settings(self) -> Settings:
        """The preset with the options applied. Raises UserError for an option that is none."""
        seeds = [f"{stage}.seed={self.seed}" for stage in ("general", "corpus", "pretrain", "finetune", "classifier", "evaluate")]
        return override(self.recipe(), (seeds if self.seed is not None else []) + list(self.options))

    def recipe(self) -> Settings:
        """The settings before the options."""
        return preset(self.preset)

    def source(self) -> CorpusSource:
        """The corpus of the domain."""
        source = CorpusSource(self.corpus, self.text_column, self.label_column, self.test, self.unlabelled, self.encoding)
        classifier = self.settings().classifier
        return replace(
            source, more=tuple(self.more), label_separator=classifier.label_separator if classifier.task == "multi-label" else None
        )

    def check(self) -> None:
        """Raise UserError now for what would be found at fault after minutes: options, files, columns."""
        self.settings()
        peek(self.source())

    @property
    def name(self) -> str:
        """The corpus's short name, from which the registered model's is made."""
        stem = Path(self.corpus.rstrip("/")).name.split(".")[0]
        return re.sub(r"[^a-z0-9]+", "-", stem.lower()).strip("-") or "corpus"


class TrainJob(TextJob):
    """The main job: from text to a registered classifier."""

    label_column: str = Field("label", description="column that holds the label")
    pretrain: str | None = Field(
        None,
        description="general corpus for pretraining: a known corpus, a file or a folder; wikitext-103 for the base preset, else wikitext-2",
    )
    pretraining: Literal["ulmfit", "awd-lstm"] = Field(
        "ulmfit", description="how to pretrain: ulmfit (Adam), or awd-lstm (SGD, averaged: for long trainings)"
    )
    device: Literal["auto", "cpu", "cuda"] = Field("auto", description="where to train")
    devices: int = Field(1, ge=1, description="processes that share each training stage: a GPU each, or a part of the CPU's cores")
    resume: bool = Field(True, description="go on from the checkpoints of stages that were interrupted; else begin those stages anew")
    model_name: str | None = Field(None, description="name in the registry; ulmfit-<corpus> if left empty")

    def check(self) -> None:
        super().check()
        peek(self.general())

    def recipe(self) -> Settings:
        return super().recipe() if self.pretraining == "ulmfit" else pretraining(super().recipe(), self.pretraining)

    def general(self) -> CorpusSource:
        """The general corpus; its text column and encoding are those of the domain's."""
        name = self.pretrain or ("wikitext-103" if self.preset == "base" else "wikitext-2")
        return CorpusSource(name, self.text_column, None, encoding=self.encoding)

    @property
    def registered_name(self) -> str:
        return self.model_name or f"ulmfit-{self.name}"
