"""The report of a study: its summary, the page beside the tracked run, figures and all trials as files."""

import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass

from prefect import task
from prefect.cache_policies import NO_CACHE
from pydantic import JsonValue, ValidationError

from tasks.report import run_summary
from tasks.run import Finished, Job
from tasks.suspects import kept_suspects
from tasks.workspace import Workspace
from ulmfit.compute.precision import machine
from ulmfit.config import Settings
from ulmfit.corpora.source import CorpusSource
from ulmfit.experiments.forecast import Purchase, curves
from ulmfit.experiments.learning_curves.calibration import calibrated_misfit
from ulmfit.experiments.trial import TrialResult
from ulmfit.report.study_page import render_study
from ulmfit.report.study_summary import StudyCorpus, StudySummary
from ulmfit.report.suspect_list import SuspectList
from ulmfit.stages.outputs import Corpus, Output


@dataclass(frozen=True)
class Tried:
    """What the report of a study shows; ``started`` in Unix seconds."""

    kind: str
    name: str
    asked: Mapping[str, JsonValue]
    changed: int
    purchase: Purchase
    settings: Settings
    corpora: Mapping[str, Corpus]
    sources: Mapping[str, CorpusSource]
    results: list[TrialResult]
    stages: list[Finished[Output]]
    started: float


@task(cache_policy=NO_CACHE, persist_result=False)
def study_report(job: Job, tried: Tried) -> StudySummary:
    """Write the report of a study into the workspace and beside its tracked run; returns the summary."""
    made = [stage for stage in tried.stages if not stage.cached]
    folder = job.workspace.report_folder(f"{tried.kind}-{tried.name}", tried.started, job.run_id)
    summary = StudySummary(
        kind=tried.kind,
        asked=dict(tried.asked),
        corpora=[_corpus(name, corpus, kept_suspects(job.workspace, tried.sources[name])) for name, corpus in tried.corpora.items()],
        results=tried.results,
        settings=tried.settings,
        made=len(made),
        found=len(tried.stages) - len(made),
        busy=sum(stage.output.manifest.seconds or 0.0 for stage in made),
        slots=job.slots,
        machine=f"{machine()}, {os.cpu_count()} cores",
        changed=tried.changed,
        purchase=tried.purchase,
        misfit=calibrated_misfit([curve for past in past_studies(job.workspace) for curve in curves(past.results)]),
        run=run_summary(job, tried.started),
        report=str(folder / "report.html"),
    )
    folder.mkdir(parents=True)
    render_study(summary, folder)
    job.tracker.log_folder(job.run_id, folder, "report")
    return summary


def past_studies(workspace: Workspace) -> Iterator[StudySummary]:
    """The studies whose reports are in the workspace; of those of one corpus the last alone, for it may have what others have."""
    last: dict[tuple[str, ...], StudySummary] = {}
    for file in sorted(workspace.reports.glob("data-quantity-*/summary.json"), key=lambda file: file.stat().st_mtime):
        with suppress(ValidationError, OSError):
            found = StudySummary.model_validate_json(file.read_bytes())
            last[tuple(corpus.key for corpus in found.corpora)] = found
    yield from last.values()


def _corpus(name: str, corpus: Corpus, suspects: SuspectList | None) -> StudyCorpus:
    record = corpus.record
    splits = {split: facts.documents for split, facts in record.splits.items()}
    return StudyCorpus(name=name, key=corpus.key, digest=record.digest, labels=tuple(record.labels), splits=splits, suspects=suspects)
