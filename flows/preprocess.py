"""Preprocessing by itself: a corpus in, shards of ids out."""

from __future__ import annotations

import time
from typing import Any

from prefect import flow

from flows.requests import TextJob
from flows.train import RUNNER, Stages, text_stages, tracked_run
from tasks.cluster import open_cluster


@flow(name="preprocess", task_runner=RUNNER, persist_result=False)
def preprocess(job: TextJob) -> dict[str, Any]:
    """Documents -> Corpus -> TokenShards -> Vocab -> IdShards; returns where each lies and what it holds."""
    settings = job.settings()
    started = time.time()
    with tracked_run("preprocess", job, settings) as run, open_cluster(job.dask) as cluster:
        stages = Stages()
        text_stages(run, stages, cluster, job.source(), settings, "", job.quarantine_crashing)
        finished = stages.results()
    corpus, tokens, vocab, _ = finished
    quality = corpus.artifact.record["quality"] | {"out_of_vocabulary": vocab.artifact.record["out_of_vocabulary"]["held_out"]}
    return {
        "name": job.name,
        "quality": quality,
        "poisoned": tokens.artifact.record["poisoned"],
        "run": {"id": run.run_id, "tracking_uri": run.tracker.uri, "seconds": round(time.time() - started, 1)},
        "stages": [
            {
                "name": stage.name,
                "key": stage.artifact.key,
                "path": stage.artifact.location,
                "cached": stage.cached,
                "seconds": stage.artifact.manifest.seconds,
                "record": stage.artifact.record,
            }
            for stage in finished
        ],
    }
