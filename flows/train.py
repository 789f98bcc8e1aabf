"""The main job as a DAG: two corpora in, a registered forward+backward classifier out."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, cast

from prefect import flow
from prefect.futures import PrefectFuture
from prefect.task_runners import ThreadPoolTaskRunner

from flows.requests import TextJob, TrainJob
from tasks.cluster import Cluster, open_cluster
from tasks.corpora import ingest
from tasks.evaluation import bundle, measure
from tasks.preprocessing import build_vocabulary, encode, tokenise
from tasks.registry import Version, register
from tasks.report import Finished, report
from tasks.stage import Job, Stage
from tasks.tracking import Tracker, flatten
from tasks.training import bring, classify, finetune, pretrain
from tasks.workspace import Workspace
from ulmfit.compute.devices import resolve_device
from ulmfit.config import ClassifierConfig, Settings
from ulmfit.corpora.source import CorpusSource
from ulmfit.directions import DIRECTIONS, Direction

RUNNER: Any = ThreadPoolTaskRunner(max_workers=8)


@flow(name="train", task_runner=RUNNER, persist_result=False)
def train(job: TrainJob) -> dict[str, Any]:
    """Ingest, tokenise, pretrain, fine-tune, classify, average, evaluate, register; returns the summary.

    Every stage that the workspace already holds is found, not done.
    """
    settings, started = job.settings(), time.time()
    place = {"device": resolve_device(job.device, job.devices), "devices": job.devices, "resume": job.resume}
    with tracked_run("train", job, settings, **place) as run, open_cluster(job.dask) as cluster:
        stages = Stages()
        domain = text_stages(run, stages, cluster, job.source(), settings, "", job.quarantine_crashing)
        start = _language_models(run, stages, cluster, job, settings)
        classifiers = {direction: _train_direction(run, stages, start[direction], domain, settings, direction) for direction in DIRECTIONS}
        model = _average(run, stages, classifiers, domain, "average")
        scratch = _scratch(run, stages, domain, settings, classifiers) if settings.scratch else None
        evaluation = stages.add(measure, run, "evaluate", domain["corpus"], domain["ids"], model, scratch, settings.evaluate)
        finished = stages.results()
        version = cast(Version, register(run, job.registered_name, model.result(), evaluation.result()))
        return report(run, Finished(job.name, settings, finished, version, started=started))


class Stages:
    """The stages submitted so far, in the order of the DAG."""

    def __init__(self) -> None:
        self.futures: list[PrefectFuture[Stage]] = []

    def add(self, task: Any, run: Job, name: str, *arguments: Any, after: Iterable[PrefectFuture[Stage]] = ()) -> PrefectFuture[Stage]:
        """Submit a stage; it starts when the stages among its arguments, and those of ``after``, have ended."""
        future = task.with_options(task_run_name=name).submit(run, name, *arguments, wait_for=list(after))
        self.futures.append(future)
        return future

    def results(self) -> list[Stage]:
        """Wait for all. In DAG order the first that failed is the cause, and its exception is raised."""
        return [future.result() for future in self.futures]


Futures = dict[str, PrefectFuture[Stage]]


def text_stages(
    run: Job, stages: Stages, cluster: Cluster, source: CorpusSource, settings: Settings, suffix: str, quarantine_poison: bool
) -> Futures:
    """Documents -> Corpus -> TokenShards -> Vocab -> IdShards."""
    general = suffix == "-general"
    sampling, vocabulary = (settings.general, settings.general_vocab) if general else (settings.corpus, settings.vocab)
    labelled = source.label_column is not None
    corpus = stages.add(ingest, run, f"ingest{suffix}", cluster, source, sampling, settings.quality, labelled)
    tokens = stages.add(tokenise, run, f"tokenise{suffix}", cluster, corpus, settings.text, quarantine_poison)
    vocab = stages.add(build_vocabulary, run, f"vocabulary{suffix}", cluster, corpus, tokens, vocabulary, settings.quality)
    ids = stages.add(encode, run, f"encode{suffix}", cluster, corpus, tokens, vocab)
    return {"corpus": corpus, "tokens": tokens, "vocab": vocab, "ids": ids}


def _language_models(
    run: Job, stages: Stages, cluster: Cluster, job: TrainJob, settings: Settings
) -> dict[Direction, PrefectFuture[Stage]]:
    """A general language model a direction: the pretrained one, or one of this run's own."""
    start = job.language_model()
    if start:
        return {direction: stages.add(bring, run, f"pretrained-{direction}", start, direction) for direction in DIRECTIONS}
    general = text_stages(run, stages, cluster, job.general(), settings, "-general", job.quarantine_crashing)
    arguments = (general["ids"], general["vocab"], settings.model, settings.pretrain)
    return {direction: stages.add(pretrain, run, f"pretrain-{direction}", *arguments, direction) for direction in DIRECTIONS}


def _train_direction(
    run: Job, stages: Stages, lm: PrefectFuture[Stage], domain: Futures, settings: Settings, direction: Direction
) -> PrefectFuture[Stage]:
    tuned = stages.add(finetune, run, f"finetune-{direction}", lm, domain["ids"], domain["vocab"], settings.finetune, direction)
    return _classifier(run, stages, f"classify-{direction}", tuned, domain, settings, settings.classifier, direction)


def _classifier(
    run: Job,
    stages: Stages,
    name: str,
    lm: PrefectFuture[Stage] | None,
    domain: Futures,
    settings: Settings,
    config: ClassifierConfig,
    direction: Direction,
    after: Iterable[PrefectFuture[Stage]] = (),
) -> PrefectFuture[Stage]:
    arguments = (lm, domain["corpus"], domain["ids"], domain["vocab"], settings.model, config, direction)
    return stages.add(classify, run, name, *arguments, after=after)


def _average(run: Job, stages: Stages, parts: Mapping[Direction, PrefectFuture[Stage]], domain: Futures, name: str) -> PrefectFuture[Stage]:
    return stages.add(bundle, run, name, parts["forward"], parts["backward"], domain["corpus"], domain["tokens"], domain["vocab"])


def _scratch(
    run: Job, stages: Stages, domain: Futures, settings: Settings, classifiers: Mapping[Direction, PrefectFuture[Stage]]
) -> PrefectFuture[Stage]:
    """The same classifiers without a language model behind them: what the method is worth. They wait for the cores to be free."""
    config = settings.classifier.model_copy(update={"init": "scratch", "unfreeze": "full", "decay": 1.0})
    parts = {
        direction: _classifier(run, stages, f"scratch-{direction}", None, domain, settings, config, direction, classifiers.values())
        for direction in DIRECTIONS
    }
    return _average(run, stages, parts, domain, "average-scratch")


@contextmanager
def tracked_run(flow_name: str, job: TextJob, settings: Settings, **place: Any) -> Iterator[Job]:
    """The flow's own tracked run, parent of its stages' runs; ``place``: what a :class:`Job` says of where and how they run."""
    workspace = Workspace.open(job.workspace, job.out)
    tracker = Tracker.open(workspace, f"ulmfit-{job.name}")
    run_id = tracker.start(f"{flow_name} {job.name}", {"ulmfit.flow": flow_name, "ulmfit.corpus": job.corpus, "ulmfit.preset": job.preset})
    for name, value in flatten(settings.model_dump(mode="json")).items():
        tracker.client.log_param(run_id, name, value)
    threads = max(1, (os.cpu_count() or 1) // len(DIRECTIONS))
    try:
        yield Job(workspace, tracker, run_id, threads=threads, **place)
    except BaseException as error:
        tracker.finish(run_id, "FAILED" if isinstance(error, Exception) else "KILLED")
        raise
    tracker.finish(run_id)
