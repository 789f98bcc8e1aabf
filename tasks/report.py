"""The report of a flow run: summary.json, report.html, and the lineage as a Prefect artifact."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from typing import Any, Literal

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE

from tasks.registry import Version
from tasks.stage import Job, Stage
from ulmfit.config import Settings
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.evaluation.results import read_results
from ulmfit.report.lineage_graph import mermaid
from ulmfit.report.page import render
from ulmfit.report.summary import CorpusSummary, ModelSummary, RunSummary, StageSummary, Summary
from ulmfit.store.provenance import library_versions


@dataclass(frozen=True)
class Finished:
    """All that a report is made of. ``stages`` are in the order of the DAG."""

    name: str
    settings: Settings
    stages: list[Stage] = field(default_factory=list)
    version: Version | None = None
    alias: str = "challenger"
    started: float = 0.0

    def stage(self, name: str) -> Stage:
        return next(stage for stage in self.stages if stage.name == name)

    def has(self, name: str) -> bool:
        return any(stage.name == name for stage in self.stages)


@task(cache_policy=NO_CACHE, persist_result=False)
def report(job: Job, finished: Finished) -> dict[str, Any]:
    """Write the report of this run into the workspace and beside its tracked run; returns the content of ``summary.json``."""
    folder = job.workspace.reports / f"{finished.name}-{time.strftime('%Y%m%d-%H%M%S', time.gmtime(finished.started))}-{job.run_id[:6]}"
    summary = summarise(job, finished).model_copy(update={"report": str(folder / "report.html")})
    render(summary, folder)
    job.tracker.client.log_artifacts(job.run_id, str(folder), "report")
    chart = f"```mermaid\n{mermaid(summary.stages)}\n```"
    create_markdown_artifact(chart, key=f"lineage-{_slug(finished.name)}", description="lineage of the run")
    return summary.to_dict()


def summarise(job: Job, finished: Finished) -> Summary:
    """The summary of a run: results, data, curves, stages, settings, model."""
    return Summary(
        name=finished.name,
        corpus=_corpus(finished, ""),
        general=_corpus(finished, "-general") if finished.has("ingest-general") else None,
        results=read_results(finished.stage("evaluate").artifact.path),
        histories=_files(finished, "history.json"),
        lr_finders=_files(finished, "lr_finder.json"),
        stages=[_stage(stage) for stage in finished.stages],
        settings=finished.settings,
        model=_model(finished),
        run=RunSummary(
            id=job.run_id,
            experiment=job.tracker.experiment_id,
            tracking_uri=job.tracker.uri,
            started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(finished.started)),
            seconds=round(time.time() - finished.started, 1),
            device=job.device,
            workspace=str(job.workspace.root),
            versions=library_versions(),
        ),
    )


def _files(finished: Finished, name: str) -> dict[str, Any]:
    """The content of the JSON file ``name`` of each stage that has one, by stage."""
    paths = {stage.name: stage.artifact.path / name for stage in finished.stages}
    return {stage: json.loads(path.read_text()) for stage, path in paths.items() if path.exists()}


def _corpus(finished: Finished, suffix: str) -> CorpusSummary:
    """A corpus's record without its parts, with the share of its held-out text that the vocabulary lacks."""
    artifact = finished.stage(f"ingest{suffix}").artifact
    unknown = finished.stage(f"vocabulary{suffix}").artifact.record["out_of_vocabulary"]["held_out"]
    record = {name: value for name, value in artifact.record.items() if name != "parts"}
    return CorpusSummary(key=artifact.key, **record | {"quality": artifact.record["quality"] | {"out_of_vocabulary": unknown}})


def _stage(stage: Stage) -> StageSummary:
    artifact = stage.artifact
    kind, direction, corpus = _kind(stage.name)
    return StageSummary(
        name=stage.name,
        stage=kind,
        direction=direction,
        corpus=corpus,
        kind=artifact.kind,
        key=artifact.key,
        run_id=artifact.run_id,
        seconds=artifact.manifest.seconds,
        bytes=artifact.bytes,
        cached=stage.cached,
        inputs=artifact.manifest.inputs,
        record=artifact.record,
    )


def _kind(name: str) -> tuple[str, Direction | None, Literal["domain", "general"]]:
    """Kind, direction and corpus of a stage, from the spelling of its name."""
    if name.endswith("-general"):
        return name.removesuffix("-general"), None, "general"
    direction = next((direction for direction in DIRECTIONS if name.endswith(f"-{direction}")), None)
    kind = name.removesuffix(f"-{direction}")
    return kind, direction, "general" if kind.startswith("pretrain") else "domain"


def _model(finished: Finished) -> ModelSummary:
    version, path = finished.version, str(finished.stage("average").artifact.path)
    if not version:
        return ModelSummary(path=path)
    return ModelSummary(name=version.name, version=version.version, uri=version.uri, alias=finished.alias, path=path)


def _slug(name: str) -> str:
    return "".join(letter if letter.isalnum() else "-" for letter in name.lower())
