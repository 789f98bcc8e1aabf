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
from ulmfit.artifacts import Recipe
from ulmfit.config import ClassifierConfig, LMConfig, ModelConfig
from ulmfit.errors import UserError
from ulmfit.pipeline import TRAINING_SPLITS
from ulmfit.shards import Documents
from ulmfit.text.vocab import Vocab
from ulmfit.training import stages
from ulmfit.training.loop import Run

GPU_SLOT = "ulmfit-gpu"
CPU_SLOTS = threading.BoundedSemaphore(2)  # the two directions, each on its half of the cores


@contextmanager
def _device(job: Job) -> Iterator[str]:
    """The job's device: a GPU is taken by one stage at a time, CPU cores are shared between the directions."""
    if job.device.startswith("cuda"):
        with concurrency(GPU_SLOT, occupy=1):
            yield job.device
    else:
        with CPU_SLOTS:
            torch.set_num_threads(job.threads)
            yield job.device


def _keys(inputs: dict[str, Stage]) -> dict[str, str]:
    return {role: stage.artifact.key for role, stage in inputs.items()}


def _documents(ids: Stage, *splits: str) -> Documents:
    return Documents.open(ids.artifact.path, splits)


@stage_task
def pretrain(job: Job, name: str, ids: Stage, vocab: Stage, model: ModelConfig, config: LMConfig, direction: str) -> State:
    """A language model of general text (Howard & Ruder 2018, sec. 3.1)."""
    inputs = {"ids": ids, "vocab": vocab}
    recipe = Recipe("language-model", stages.PRETRAIN_VERSION, {"model": model, "training": config, "direction": direction}, _keys(inputs))

    def build(work: Path, run: StageRun) -> dict[str, Any]:
        train, valid = _documents(ids, *TRAINING_SPLITS), _documents(ids, "valid")
        with _device(job) as device:
            record = stages.pretrain(train, valid, _vocab(vocab), model, config, direction, work, Run(device, run.observe))
        return {**record, "model_id": run.output_model(name, recipe, work)}

    return run_stage(job, name, recipe, inputs, build)


@stage_task
def finetune(job: Job, name: str, lm: Stage, ids: Stage, vocab: Stage, config: LMConfig, direction: str) -> State:
    """That language model on the domain's text, with its vocabulary carried over (sec. 3.2)."""
    inputs = {"language_model": lm, "ids": ids, "vocab": vocab}
    recipe = Recipe("language-model", stages.FINETUNE_VERSION, {"training": config, "direction": direction}, _keys(inputs))

    def build(work: Path, run: StageRun) -> dict[str, Any]:
        train, valid = _documents(ids, *TRAINING_SPLITS), _documents(ids, "valid")
        with _device(job) as device:
            record = stages.finetune(lm.artifact.path, train, valid, _vocab(vocab), config, direction, work, Run(device, run.observe))
        return {**record, "model_id": run.output_model(name, recipe, work)}

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
    direction: str,
) -> State:
    """A classifier on the fine-tuned encoder (sec. 3.3), or from scratch where ``lm`` is None."""
    inputs = {"corpus": corpus, "ids": ids, "vocab": vocab} | ({"language_model": lm} if lm else {})
    settings = {"model": model, "training": config, "direction": direction}
    recipe = Recipe("classifier", stages.CLASSIFIER_VERSION, settings, _keys(inputs))
    labels = corpus.artifact.record["labels"]

    def build(work: Path, run: StageRun) -> dict[str, Any]:
        train, valid = _documents(ids, "train"), _documents(ids, "valid")
        source = lm.artifact.path if lm else None
        with _device(job) as device:
            record = stages.train_classifier(
                source, train, valid, _vocab(vocab), labels, model, config, direction, work, Run(device, run.observe)
            )
        return {**record, "model_id": run.output_model(name, recipe, work)}

    return run_stage(job, name, recipe, inputs, build)


def _vocab(stage: Stage) -> Vocab:
    return Vocab.load(stage.artifact.path / "vocab.json")


def resolve_device(name: str) -> str:
    """``auto`` as ``cuda`` where there is one, else ``cpu``; UserError where ``cuda`` is asked for and is not there."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is available to torch; use --device cpu, or install a CUDA build of torch")
    return ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
