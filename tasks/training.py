"""The training stages: pretrain, fine-tune, classify; each a folder of safetensors and JSON, in one direction."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
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
from ulmfit.errors import UserError
from ulmfit.pipeline import TRAINING_SPLITS
from ulmfit.pretrained.transport import Pretrained
from ulmfit.store import filesystem
from ulmfit.store.artifacts import Built
from ulmfit.store.recipe import Recipe
from ulmfit.training import trainings
from ulmfit.training.loop import Run
from ulmfit.training.processes.launcher import check_devices, run_on
from ulmfit.training.processes.rank import call

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


def _train(job: Job, stage: str, arguments: dict[str, Any], work: Path, run: StageRun) -> dict[str, Any]:
    """The record of ``stages.<stage>``, run here or on the job's number of processes."""
    if not job.resume:
        filesystem.remove(work / trainings.CHECKPOINTS)
    with _device(job) as device:
        if job.devices > 1:
            return run_on(job.devices, device, stage, arguments, work, run.observe)
        return call(stage, arguments, work, Run(device, run.observe))


def _keys(inputs: dict[str, Stage]) -> dict[str, str]:
    return {role: stage.artifact.key for role, stage in inputs.items()}


def _text(ids: Stage, vocab: Stage, train: Sequence[str]) -> dict[str, Any]:
    """Where a stage finds its documents, those of the splits ``train`` to train on, and its words."""
    return {"ids": ids.artifact.path, "train": train, "valid": ("valid",), "vocab": vocab.artifact.path / "vocab.json"}


@stage_task
def pretrain(job: Job, name: str, ids: Stage, vocab: Stage, model: ModelConfig, config: LMConfig, direction: Direction) -> State:
    """A language model of general text (Howard & Ruder 2018, sec. 3.1)."""
    inputs = {"ids": ids, "vocab": vocab}
    recipe = Recipe(
        "language-model", trainings.PRETRAIN_VERSION, {"model": model, "training": config, "direction": direction}, _keys(inputs)
    )

    def build(work: Path, run: StageRun) -> Built:
        arguments = _text(ids, vocab, TRAINING_SPLITS) | {"model": model, "config": config, "direction": direction}
        record = _train(job, "pretrain", arguments, work, run)
        return Built({**record, "model_id": run.output_model(name, recipe, work)})

    return run_stage(job, name, recipe, inputs, build)


@stage_task
def bring(job: Job, name: str, lm: Pretrained, direction: Direction) -> State:
    """A pretrained language model as an artifact, known by the bytes of its files wherever it lies."""
    files = lm.digests(direction)
    recipe = Recipe("language-model", trainings.PRETRAIN_VERSION, {"files": files, "direction": direction}, {})

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
    recipe = Recipe("language-model", trainings.FINETUNE_VERSION, {"training": config, "direction": direction}, _keys(inputs))

    def build(work: Path, run: StageRun) -> Built:
        arguments = _text(ids, vocab, TRAINING_SPLITS) | {"pretrained": lm.artifact.path, "config": config, "direction": direction}
        record = _train(job, "finetune", arguments, work, run)
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
    recipe = Recipe("classifier", trainings.CLASSIFIER_VERSION, settings, _keys(inputs))
    labels = corpus.artifact.record["labels"]

    def build(work: Path, run: StageRun) -> Built:
        arguments = _text(ids, vocab, ("train",)) | {"model": model, "config": config, "direction": direction}
        arguments |= {"lm": lm.artifact.path if lm else None, "labels": labels}
        record = _train(job, "train_classifier", arguments, work, run)
        return Built({**record, "model_id": run.output_model(name, recipe, work)})

    return run_stage(job, name, recipe, inputs, build)


def resolve_device(name: str, devices: int = 1) -> str:
    """``auto`` as ``cuda`` where there is one, else ``cpu``; UserError where ``cuda`` is asked for and there are no ``devices`` of it."""
    if name == "cuda" and not torch.cuda.is_available():
        raise UserError("--device cuda: no CUDA device is available to torch; use --device cpu, or install a CUDA build of torch")
    device = ("cuda" if torch.cuda.is_available() else "cpu") if name == "auto" else name
    check_devices(devices, device)
    return device
