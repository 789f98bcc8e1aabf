"""The training stages: pretrain, fine-tune, classify; each a folder of safetensors and JSON, in one direction."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from prefect.concurrency.sync import concurrency
from prefect.states import State

from tasks.stage import Job, Stage, run_stage, stage_task
from tasks.tracking import StageRun
from ulmfit.config import ClassifierConfig, LMConfig, ModelConfig
from ulmfit.directions import Direction
from ulmfit.pipeline import TRAINING_SPLITS
from ulmfit.pretrained.transport import Pretrained
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Built
from ulmfit.store.recipe import Recipe
from ulmfit.training import method
from ulmfit.training.placement import Placement
from ulmfit.training.specs import ClassifySpec, FinetuneSpec, PretrainSpec, TrainingSpec
from ulmfit.training.train import train

GPU_SLOT = "ulmfit-gpu"
CPU_SLOTS = threading.BoundedSemaphore(2)  # the two directions, each on its half of the cores
ALL_CORES = threading.Lock()  # a stage on several processes has them all: the directions then go one after the other


@contextmanager
def _device(job: Job) -> Iterator[str]:
    """The job's device: the GPUs are taken by one stage at a time, CPU cores are shared between the directions."""
    if job.device.startswith("cuda"):
        with concurrency(GPU_SLOT, occupy=1):
            yield job.device
    else:
        with ALL_CORES if job.devices > 1 else CPU_SLOTS:
            torch.set_num_threads(job.threads)
            yield job.device


def _train(job: Job, spec: TrainingSpec, work: Path, run: StageRun) -> dict[str, Any]:
    """The record of the training, run here or on the job's number of processes."""
    with _device(job) as device:
        record = train(spec, work, Placement(device, job.devices, run.observe, resume=job.resume))
    return record.model_dump(exclude_none=True)


def _keys(inputs: dict[str, Stage]) -> dict[str, str]:
    return {role: stage.artifact.key for role, stage in inputs.items()}


def _text(ids: Stage, vocab: Stage, direction: Direction, splits: tuple[str, ...] = TRAINING_SPLITS) -> dict[str, Any]:
    """Where a stage finds its documents, those of ``splits`` to train on, and its words."""
    words = vocab.artifact.path / "vocab.json"
    return {"ids": ids.artifact.path, "train": splits, "valid": ("valid",), "vocab": words, "direction": direction}


@stage_task
def pretrain(job: Job, name: str, ids: Stage, vocab: Stage, model: ModelConfig, config: LMConfig, direction: Direction) -> State:
    """A language model of general text (Howard & Ruder 2018, sec. 3.1)."""
    inputs = {"ids": ids, "vocab": vocab}
    recipe = Recipe("language-model", method.PRETRAIN_VERSION, {"model": model, "training": config, "direction": direction}, _keys(inputs))

    def build(work: Path, run: StageRun) -> Built:
        record = _train(job, PretrainSpec(model=model, config=config, **_text(ids, vocab, direction)), work, run)
        return Built({**record, "model_id": run.output_model(name, recipe, work)})

    return run_stage(job, name, recipe, inputs, build)


@stage_task
def bring(job: Job, name: str, lm: Pretrained, direction: Direction) -> State:
    """A pretrained language model as an artifact, known by the bytes of its files wherever it lies."""
    files = lm.digests(direction)
    recipe = Recipe("language-model", method.PRETRAIN_VERSION, {"files": files, "direction": direction}, {})

    def build(work: Path, run: StageRun) -> Built:
        for file in files:
            filesystem.copy(lm.folders[direction] / file, work / file)
        facts = lm.facts(direction).model_dump(exclude_none=True)
        return Built({**facts, "model_id": run.output_model(name, recipe, work)})

    return run_stage(job, name, recipe, {}, build)


@stage_task
def finetune(job: Job, name: str, lm: Stage, ids: Stage, vocab: Stage, config: LMConfig, direction: Direction) -> State:
    """That language model on the domain's text, with its vocabulary carried over (sec. 3.2)."""
    inputs = {"language_model": lm, "ids": ids, "vocab": vocab}
    recipe = Recipe("language-model", method.FINETUNE_VERSION, {"training": config, "direction": direction}, _keys(inputs))

    def build(work: Path, run: StageRun) -> Built:
        spec = FinetuneSpec(pretrained=lm.artifact.path, config=config, **_text(ids, vocab, direction))
        record = _train(job, spec, work, run)
        return Built({**record, "model_id": run.output_model(name, recipe, work)})

    return run_stage(job, name, recipe, inputs, build)


@stage_task
def classify(
    job: Job,
    name: str,
    lm: Stage | None,
    corpus: Stage,
    ids: Stage,
    vocab: Stage,
    model: ModelConfig,
    config: ClassifierConfig,
    direction: Direction,
) -> State:
    """A classifier on the fine-tuned encoder (sec. 3.3), or from scratch where ``lm`` is None."""
    inputs = {"corpus": corpus, "ids": ids, "vocab": vocab} | ({"language_model": lm} if lm else {})
    settings = {"model": model, "training": config, "direction": direction}
    recipe = Recipe("classifier", method.CLASSIFIER_VERSION, settings, _keys(inputs))
    labels = corpus.artifact.record["labels"]

    def build(work: Path, run: StageRun) -> Built:
        text = _text(ids, vocab, direction, ("train",))
        spec = ClassifySpec(lm=lm.artifact.path if lm else None, labels=tuple(labels), model=model, config=config, **text)
        record = _train(job, spec, work, run)
        return Built({**record, "model_id": run.output_model(name, recipe, work)})

    return run_stage(job, name, recipe, inputs, build)
