"""Average the directions into one model, and measure it beside the honest baseline."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import torch
from prefect.states import State

from tasks.preprocessing import tokenizer_definition
from tasks.stage import Job, Stage, run_stage, stage_task
from tasks.tracking import StageRun
from ulmfit.config import ClassifierConfig, EvaluateConfig
from ulmfit.directions import DIRECTIONS, ENSEMBLE
from ulmfit.evaluation import baseline
from ulmfit.evaluation.calibration import fit_thresholds
from ulmfit.evaluation.evaluate import evaluate
from ulmfit.evaluation.predictions import HeldOut, Predictions, write_predictions
from ulmfit.evaluation.results import FILE
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.saving import read_saved_model
from ulmfit.prediction.bundle import write_bundle
from ulmfit.prediction.ensemble import average
from ulmfit.prediction.predictor import Predictor
from ulmfit.shards.documents import Documents
from ulmfit.store.artifacts import Artifact, Built, Store
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.recipe import Recipe

BUNDLE_VERSION = 1
EVALUATE_VERSION = 2


@stage_task
def bundle(job: Job, name: str, forward: Stage, backward: Stage, corpus: Stage, tokens: Stage, vocab: Stage) -> State:
    """Both classifiers, their vocabulary and tokenizer, and the lineage of all of it: what predicts, and what is registered."""
    labels = corpus.artifact.record["labels"]
    inputs = {"forward": forward, "backward": backward, "tokens": tokens, "vocab": vocab}
    recipe = Recipe("model", BUNDLE_VERSION, {"labels": labels}, {role: stage.artifact.key for role, stage in inputs.items()})

    def build(work: Path, run: StageRun) -> Built:
        parts, words = (forward.artifact.path, backward.artifact.path), vocab.artifact.path / "vocab.json"
        names = list(read_saved_model(forward.artifact.path).labels)  # where a document has several labels, each by itself
        write_bundle(work, *parts, words, tokenizer_definition(tokens), names)
        chain = lineage(job.workspace.store, recipe)
        write_bytes(work / "lineage.json", json.dumps(chain, indent=1).encode())
        return Built({"labels": names, "artifacts": len(chain["artifacts"])})

    return run_stage(job, name, recipe, inputs, build)


def lineage(store: Store, recipe: Recipe) -> dict[str, Any]:
    """Everything behind ``recipe``: ``{"key", "artifacts": {key: {kind, version, config, inputs, record, ...}}}``."""
    top = {"kind": recipe.kind, "version": recipe.version, "config": dict(recipe.config), "inputs": dict(recipe.inputs)}
    chain: dict[str, Any] = {recipe.key: top}
    waiting = list(recipe.inputs.values())
    while waiting:
        key = waiting.pop()
        if key in chain:
            continue
        artifact = store.get(key)
        assert artifact is not None, f"an input of a finished artifact is missing: {key}"
        chain[key] = artifact.manifest.model_dump(exclude={"key", "files", "seconds"})
        waiting += artifact.manifest.inputs.values()
    return {"key": recipe.key, "artifacts": chain}


@stage_task
def measure(job: Job, name: str, corpus: Stage, ids: Stage, model: Stage, scratch: Stage | None, config: EvaluateConfig) -> State:
    """Scores of each direction, of their average, and of TF-IDF + logistic regression trained on the same rows."""
    inputs = {"corpus": corpus, "ids": ids, "model": model} | ({"scratch": scratch} if scratch else {})
    recipe = Recipe("evaluation", EVALUATE_VERSION, config, {role: stage.artifact.key for role, stage in inputs.items()})

    def build(work: Path, run: StageRun) -> Built:
        torch.set_num_threads(os.cpu_count() or 1)  # no other stage runs now
        test = Documents.open(ids.artifact.path, ["test"])
        strings = corpus.artifact.record["labels"]
        texts = {split: read_split(corpus.artifact, split, ["id", "text", "label"]) for split in ("train", "valid", "test")}
        assert texts["test"]["id"] == test.ids, "shards and corpus parts stand in one order"
        predictor = Predictor.load(model.artifact.path, job.device)
        labels = LabelSet.of(strings, ClassifierConfig(task=predictor.task, label_separator=predictor.separator))
        measured = _measured(predictor, test, "")
        if scratch:
            measured |= _measured(Predictor.load(scratch.artifact.path, job.device), test, " from scratch")
        measured[baseline.NAME] = _baseline(texts, labels, strings, config.seed)
        documents = HeldOut(test.ids, texts["test"]["text"], _truth(labels, test.labels), labels.names)
        results = evaluate(measured, documents, config)
        write_predictions(work, measured, documents)
        write_bytes(work / FILE, results.to_json().encode())
        return Built(results.record().model_dump())

    return run_stage(job, name, recipe, inputs, build)


def _measured(predictor: Predictor, test: Documents, suffix: str) -> dict[str, Predictions]:
    logits = predictor.logits_of(test)
    after, before = (predictor.read(logits, calibrated) for calibrated in (True, False))
    found = {
        f"{direction}{suffix}": Predictions(after[direction], before[direction], predictor.thresholds_of(direction))
        for direction in DIRECTIONS
    }
    return found | {f"{ENSEMBLE}{suffix}": Predictions(average(after), average(before), predictor.thresholds)}


def _baseline(texts: Mapping[str, Mapping[str, list[Any]]], labels: LabelSet, strings: list[str], seed: int) -> Predictions:
    """The baseline. Thresholds of several labels are fitted as the model's are, on the validation documents."""
    train = _truth(labels, _codes(texts["train"]["label"], strings))
    held = texts["valid"] if labels.task == "multi-label" else {"text": [], "label": []}
    judged = [*held["text"], *texts["test"]["text"]]
    found = baseline.baseline_probabilities(texts["train"]["text"], train, judged, seed, len(labels))
    first, rest = np.split(found, [len(held["text"])])
    limits = fit_thresholds(first, _truth(labels, _codes(held["label"], strings))) if labels.task == "multi-label" else None
    return Predictions(rest, None, limits)


def _truth(labels: LabelSet, codes: np.ndarray) -> np.ndarray:
    """int64 [N], or bool [N, L] of several labels a document."""
    targets = labels.targets_of(codes).numpy()
    return targets if labels.task == "multi-class" else targets > 0


def _codes(labels: list[str], names: list[str]) -> np.ndarray:
    codes = {label: code for code, label in enumerate(names)}
    return np.array([codes[label] for label in labels], dtype=np.int64)


def read_split(corpus: Artifact, split: str, columns: list[str]) -> Mapping[str, list[Any]]:
    """Columns of one split of a corpus, a row a document, in the order of its parts."""
    rows: dict[str, list[Any]] = {column: [] for column in columns}
    for part in corpus.record["parts"]:
        table = pq.read_table(
            corpus.path / f"{part['name']}.parquet", columns=[*columns, "split", "piece"], filters=[("split", "=", split)]
        )
        for row in table.to_pylist():
            if row["piece"] and "text" in columns:  # a long document goes on
                rows["text"][-1] += row["text"]
            elif not row["piece"]:
                for column in columns:
                    rows[column].append(row[column])
    return rows
