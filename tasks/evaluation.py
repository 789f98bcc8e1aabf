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
from ulmfit.artifacts import Artifact, Recipe, Store, write_atomic
from ulmfit.baseline import baseline_probabilities
from ulmfit.config import EvaluateConfig
from ulmfit.evaluation import evaluate, write_predictions
from ulmfit.inference import Predictor, write_bundle
from ulmfit.shards import Documents

BUNDLE_VERSION = 1
EVALUATE_VERSION = 1


@stage_task
def bundle(job: Job, name: str, forward: Stage, backward: Stage, corpus: Stage, tokens: Stage, vocab: Stage) -> State:
    """Both classifiers, their vocabulary and tokenizer, and the lineage of all of it: what predicts, and what is registered."""
    labels = corpus.artifact.record["labels"]
    inputs = {"forward": forward, "backward": backward, "tokens": tokens, "vocab": vocab}
    recipe = Recipe("model", BUNDLE_VERSION, {"labels": labels}, {role: stage.artifact.key for role, stage in inputs.items()})

    def build(work: Path, run: StageRun) -> dict[str, Any]:
        write_bundle(
            work, forward.artifact.path, backward.artifact.path, vocab.artifact.path / "vocab.json", tokenizer_definition(tokens), labels
        )
        chain = lineage(job.workspace.store, recipe)
        write_atomic(work / "lineage.json", json.dumps(chain, indent=1).encode())
        return {"labels": labels, "artifacts": len(chain["artifacts"])}

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
        kept = ("kind", "version", "config", "inputs", "record", "run_id", "finished", "libraries")
        chain[key] = {field: artifact.manifest[field] for field in kept}
        waiting += artifact.manifest["inputs"].values()
    return {"key": recipe.key, "artifacts": chain}


@stage_task
def measure(job: Job, name: str, corpus: Stage, ids: Stage, model: Stage, scratch: Stage | None, config: EvaluateConfig) -> State:
    """Scores of each direction, of their average, and of TF-IDF + logistic regression trained on the same rows."""
    inputs = {"corpus": corpus, "ids": ids, "model": model} | ({"scratch": scratch} if scratch else {})
    recipe = Recipe("evaluation", EVALUATE_VERSION, config, {role: stage.artifact.key for role, stage in inputs.items()})

    def build(work: Path, run: StageRun) -> dict[str, Any]:
        torch.set_num_threads(os.cpu_count() or 1)  # no other stage runs now
        test = Documents.open(ids.artifact.path, ["test"])
        systems = _directions(model, test, job.device, "")
        if scratch:
            systems |= _directions(scratch, test, job.device, " from scratch")
        texts = {split: read_split(corpus.artifact, split, ["id", "text", "label"]) for split in ("train", "test")}
        assert texts["test"]["id"] == test.ids, "shards and corpus parts stand in one order"
        names = corpus.artifact.record["labels"]
        systems["TF-IDF + logistic regression"] = baseline_probabilities(
            texts["train"]["text"], _codes(texts["train"]["label"], names), texts["test"]["text"], config.seed, len(names)
        )
        results = evaluate(systems, test.labels, names, texts["test"]["text"], config, test.ids)
        write_predictions(work, test.ids, test.labels, systems, names)
        write_atomic(work / "results.json", json.dumps(results, indent=1).encode())
        return {
            "scores": {
                system: {metric: value["value"] for metric, value in scores.items()} for system, scores in results["systems"].items()
            }
        }

    return run_stage(job, name, recipe, inputs, build)


def _directions(model: Stage, test: Documents, device: str, suffix: str) -> dict[str, np.ndarray]:
    found = Predictor.load(model.artifact.path, device).directions_of(test)
    return {f"{direction}{suffix}": found[direction] for direction in ("forward", "backward")} | {
        f"forward+backward{suffix}": (found["forward"] + found["backward"]) / 2
    }


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
