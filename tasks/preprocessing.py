"""From a Corpus to TokenShards, Vocab and IdShards; the work on a part is done by Dask workers."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, cast

from prefect.states import State

from tasks.cluster import Cluster
from tasks.poison import tokenise_parts
from tasks.stage import Job, Stage, run_stage, stage_task
from tasks.tracking import StageRun
from ulmfit import pipeline
from ulmfit.config import QualityConfig, TextConfig, VocabConfig
from ulmfit.corpora.quality.summary import OutOfVocabulary
from ulmfit.corpora.quality.thresholds import check_language, check_vocabulary
from ulmfit.corpora.record import CorpusRecord
from ulmfit.shards.crashing import CrashingDocument
from ulmfit.shards.part_record import PartRecord
from ulmfit.shards.tokenise import TokenizeSpec
from ulmfit.store.artifacts import Built

log = logging.getLogger(__name__)


@stage_task
def tokenise(job: Job, name: str, cluster: Cluster, corpus: Stage, config: TextConfig, quarantine_poison: bool = False) -> State:
    """Corpus -> TokenShards. ``quarantine_poison``: a document that kills the worker which tokenises it gets no tokens."""
    quality = CorpusRecord.model_validate(corpus.artifact.record).quality
    for warning in check_language(quality, config.lang) if quality else ():
        log.warning("%s: %s", name, warning)

    def run(specs: Sequence[TokenizeSpec]) -> tuple[list[PartRecord], list[CrashingDocument]]:
        return tokenise_parts(cluster, name, specs, quarantine_poison)

    step = pipeline.tokenise(job.workspace.store, corpus.artifact, config, run, quarantine_poison)
    return run_stage(job, name, step.recipe, {"corpus": corpus}, untracked(step.build))


def untracked(build: Callable[[Path], Built]) -> Callable[[Path, StageRun], Built]:
    """A build that has nothing to tell its run but the record."""
    return lambda work, run: build(work)


@stage_task
def build_vocabulary(
    job: Job, name: str, cluster: Cluster, corpus: Stage, tokens: Stage, config: VocabConfig, quality: QualityConfig
) -> State:
    """TokenShards -> Vocab. ``quality`` says how much of the text may lie outside it."""
    step = pipeline.vocabulary(job.workspace.store, corpus.artifact, tokens.artifact, config, cluster.map)
    state = run_stage(job, name, step.recipe, {"corpus": corpus, "tokens": tokens}, untracked(step.build))
    found = cast(Stage, state.data).artifact.record["out_of_vocabulary"]
    for role, splits in pipeline.COUNTED.items():
        for warning in check_vocabulary(OutOfVocabulary.model_validate(found[role]), quality, f"{name}, {' and '.join(splits)} text"):
            log.warning("%s: %s", name, warning)
    return state


@stage_task
def encode(job: Job, name: str, cluster: Cluster, corpus: Stage, tokens: Stage, vocab: Stage) -> State:
    """TokenShards through a Vocab -> IdShards."""
    step = pipeline.encode(job.workspace.store, corpus.artifact, tokens.artifact, vocab.artifact, cluster.map)
    return run_stage(job, name, step.recipe, {"corpus": corpus, "tokens": tokens, "vocab": vocab}, untracked(step.build))


def tokenizer_definition(tokens: Stage) -> dict[str, Any]:
    """The definition of the tokenizer that made these shards, for whoever serves the model."""
    definition = json.loads(json.dumps(tokens.artifact.manifest.config))
    definition.pop("quarantine_poison", None)
    return definition
