"""A few real steps before a training, on random weights: how fast this machine does its work, in flops per second.

What was measured is kept in a folder, by machine and shape, so that it is measured once.
"""

import json
import os
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import torch

from ulmfit.compute.pages import keep_pages
from ulmfit.compute.precision import machine, products
from ulmfit.config import ClassifierConfig, LMConfig, ModelConfig
from ulmfit.directions import DIRECTIONS
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.shards.documents import Documents
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.recipe import Recipe
from ulmfit.training.amounts import Amounts, Costs
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.classifying import Classifying
from ulmfit.training.language_modelling import LanguageModelling
from ulmfit.training.loop import Step, Trainable, ahead, freeze
from ulmfit.training.optimizers import Optimizer
from ulmfit.training.placement import Placement
from ulmfit.training.schedules import learning
from ulmfit.training.specs import TrainingText
from ulmfit.training.work import layer_flops

SECONDS = 1.0  # to measure for
PLACES = (0.05, 0.5, 0.9)  # of the steps that are taken, in the plan
BASELINE = 150_000  # tokens that TF-IDF and logistic regression take a second, at the slower end of what was seen
AFTER = 12.0  # seconds for the average of both directions, the registered version and the report
DISK = 2e8  # bytes of a checkpoint that are written and synchronised a second


def lm_task(text: TrainingText, model: ModelConfig, config: LMConfig, place: Placement = Placement()) -> LanguageModelling:
    """The training of a language model of random weights. UserError as of the training itself."""
    return LanguageModelling(
        LanguageModel(len(text.vocab), model, config.dropouts, config.seed), text, config, place, f"language model, {text.direction}"
    )


def classifier_task(text: TrainingText, model: ModelConfig, config: ClassifierConfig, place: Placement = Placement()) -> Classifying:
    """The training of a classifier of random weights."""
    labels = LabelSet.of(text.labels, config)
    head = HeadConfig(config.hidden, config.head_dropouts)
    classifier = Classifier(len(text.vocab), len(labels), model, config.dropouts, head, config.seed)
    return Classifying(classifier, text, Objective(config, labels, text.train.labels), place, f"classifier, {text.direction}")


def estimate(task: Trainable, speed: float) -> float:
    """Seconds for the whole training, its checkpoints included. ``speed``: in flops per second."""
    weights = sum(parameter.numel() for parameter in task.model.parameters())
    return task.work / speed + task.passes * save_seconds(weights)


def save_seconds(weights: int) -> float:
    """For a checkpoint of a model of so many weights: each has two figures of the optimiser."""
    return 12 * weights / DISK


def speed_of(tasks: Sequence[Trainable], threads: int, known: Path | None = None) -> float:
    """Flops per second of each of ``tasks`` (one, or a direction each), trained side by side on so many ``threads``.

    Looked up in the folder ``known`` if it is there, else measured, and kept there.
    """
    file = known / f"{_shape(tasks, threads).key}.json" if known else None
    if file and file.exists():
        return float(json.loads(file.read_bytes())["flops_per_second"])
    with ThreadPoolExecutor(len(tasks)) as pool:
        speed = min(pool.map(lambda task: _measured(task, threads), tasks))
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        write_bytes(file, json.dumps({"flops_per_second": speed}).encode())
    return speed


def _shape(tasks: Sequence[Trainable], threads: int) -> Recipe:
    """All that the speed depends on: the machine, and the sizes of the steps (of documents: about how long they are)."""
    task = tasks[0]
    length = (task.tokens // max(1, task.steps)).bit_length()
    here = [machine(), os.cpu_count(), task.place.device, threads]
    sizes = {"words": task.model.encoder.vocab_size, "model": task.model.encoder.config, "step": length, "side_by_side": len(tasks)}
    config = task.config.model_dump(mode="json", exclude={"epochs", "seed", "lr", "max_tokens"})
    return Recipe("speed", 1, {"machine": here, "training": config, **sizes})


def _measured(task: Trainable, threads: int) -> float:
    """From a few steps of the plan, each taken again and again: the first of a shape also prepares the kernels, and is not timed."""
    torch.set_num_threads(threads)
    keep_pages()
    encoder, device = task.model.to(task.place.device).encoder, task.place.device
    encoder.products = products(task.config.precision, device, encoder.config.hidden)
    encoder.seed(task.config.seed)
    optimizer = Optimizer(task.model.groups(), task.config, max(1, task.steps))
    work, seconds, begun = 0.0, 0.0, time.perf_counter()
    for place in PLACES:
        step = next(ahead(iter([next(task.plan(int(place * task.steps)))]), device))
        _take(task, step, optimizer)
        started = time.perf_counter()
        while time.perf_counter() - started < SECONDS / len(PLACES):
            _take(task, step, optimizer)
            work += step.work
        seconds += time.perf_counter() - started
        if time.perf_counter() - begun > 2 * SECONDS:
            break
    return work / seconds


def _take(task: Trainable, step: Step, optimizer: Optimizer, parts: int = 1) -> None:
    """A step; where memory is too short, in twice as many parts."""
    groups = task.model.groups()
    freeze(groups, learning(len(groups), step.epoch, task.config.unfreeze))
    task.begin(step.epoch)
    task.model.train()
    try:
        float(task.forward_backward(step.batch, parts))
    except torch.OutOfMemoryError:
        if parts >= step.batch.ids.shape[1]:
            raise
        optimizer.rule.zero_grad(set_to_none=True)
        torch.cuda.empty_cache()
        return _take(task, step, optimizer, 2 * parts)
    optimizer.step(step.scale)


def prediction_seconds(task: Classifying, documents: Documents, speed: float) -> float:
    """To predict ``documents`` in both directions, and for the baseline to learn and predict."""
    read = np.minimum(documents.lengths, task.config.max_tokens or np.iinfo(np.int64).max)
    flops = len(DIRECTIONS) * sum(layer_flops(task.sizes)) * float(read.sum())
    return flops / speed + (documents.tokens + task.text.train.tokens) / BASELINE


def costs_of(
    lm: LanguageModelling, classifier: Classifying, speeds: tuple[float, float], judged: Documents | None, turns: int = 1
) -> Costs:
    """What a budget can be spent on. ``speeds``: of the language model's steps and the classifier's. ``judged``: None where nothing is.

    ``turns``: 2 where the directions are trained one after the other.
    """
    lm_speed, speed = speeds
    documents, validation = len(classifier.text.train), classifier.validation_work / speed
    steps = classifier.work / speed - classifier.passes * validation
    save = save_seconds(sum(parameter.numel() for parameter in classifier.model.parameters()))
    fixed = turns * (lm.validation_work / lm_speed + 2 * save + validation) + (AFTER if judged else 0)
    return Costs(
        token=turns * lm.work / max(1, lm.tokens) / lm_speed,
        document=turns * steps / classifier.passes / documents,
        epoch=turns * (validation + save),
        judged=prediction_seconds(classifier, judged, speed) / max(1, len(judged)) if judged else 0.0,
        labelled=classifier.text.train.tokens / documents / BASELINE if judged else 0.0,
        fixed=fixed,
    )


def usual_amounts(lm: LanguageModelling, classifier: Classifying, judged: Documents | None) -> Amounts:
    """What the settings ask for."""
    return Amounts(tokens=lm.tokens, epochs=classifier.passes, labelled=len(classifier.text.train), judged=len(judged or ()))
