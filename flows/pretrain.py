"""Pretraining by itself: general text in, a language model a direction out, to be shipped or kept on a store."""

from __future__ import annotations

import time
from typing import Any

from prefect import flow

from flows.requests import PretrainJob
from flows.train import RUNNER, Futures, Stages, text_stages, tracked_run
from tasks.cluster import open_cluster
from tasks.stage import Job
from tasks.training import bring, finetune
from tasks.training import pretrain as pretrain_stage
from ulmfit.compute.devices import resolve_device
from ulmfit.config import Settings
from ulmfit.directions import Direction
from ulmfit.pretrained.manifest import PretrainedManifest
from ulmfit.pretrained.transport import export

RECORDED = ("trained_tokens", "training_seconds", "valid_loss", "valid_perplexity", "products")


@flow(name="pretrain", task_runner=RUNNER, persist_result=False)
def pretrain(job: PretrainJob) -> dict[str, Any]:
    """Ingest, tokenise, count, encode, and train in each direction; returns the summary. What the workspace holds is found."""
    settings, started = job.settings(), time.time()
    place = {"device": resolve_device(job.device, job.devices), "devices": job.devices, "resume": job.resume}
    with tracked_run("pretrain", job, settings, **place) as run, open_cluster(job.dask) as cluster:
        stages = Stages()
        text = text_stages(run, stages, cluster, job.source(), settings, "-general", job.quarantine_crashing)
        for direction in job.directions:
            _train_direction(run, stages, text, job, settings, direction)
        finished = stages.results()
    models = {stage.name.removeprefix("pretrain-"): stage.artifact for stage in finished if stage.name.startswith("pretrain-")}
    corpus = finished[0].artifact.record
    facts = {
        "name": job.name,
        "corpus": {field: corpus[field] for field in ("name", "digest", "splits")},
        **settings.model_dump(mode="json", include={"text", "general_vocab", "model", "pretrain"}),
        "directions": {direction: {field: model.record.get(field) for field in RECORDED} for direction, model in models.items()},
    }
    if started_from := job.language_model():
        facts["started_from"] = started_from.manifest and started_from.manifest.model_dump(
            mode="json"
        )  # so that all of its training can be read there
    parts = {direction: models[direction].path for direction in job.directions}
    return facts | {
        "models": {direction: str(path) for direction, path in parts.items()},
        "export": export(job.export, parts, PretrainedManifest.model_validate(facts)) if job.export else None,
        "run": {"id": run.run_id, "tracking_uri": run.tracker.uri, "seconds": round(time.time() - started, 1)},
    }


def _train_direction(run: Job, stages: Stages, text: Futures, job: PretrainJob, settings: Settings, direction: Direction) -> None:
    """From the start, or going on from a language model that is there."""
    name, start = f"pretrain-{direction}", job.language_model()
    if start:
        lm = stages.add(bring, run, f"pretrained-{direction}", start, direction)
        stages.add(finetune, run, name, lm, text["ids"], text["vocab"], settings.pretrain, direction)
    else:
        stages.add(pretrain_stage, run, name, text["ids"], text["vocab"], settings.model, settings.pretrain, direction)
