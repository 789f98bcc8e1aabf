"""The report of a flow run: the summary, the page beside the tracked run, and the lineage as a Prefect artifact."""

import time
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from prefect import task
from prefect.artifacts import create_markdown_artifact
from prefect.cache_policies import NO_CACHE
from pydantic import TypeAdapter

from tasks.calls import CARD_LINE, Described
from tasks.promotion import CHALLENGER
from tasks.registry import Version, held_out_rows
from tasks.run import Finished, Job
from tasks.suspects import kept_suspects
from ulmfit.config import Settings
from ulmfit.corpora.source import CorpusSource
from ulmfit.decisions.decision import Decision
from ulmfit.evaluation.abstention import Answered, measure
from ulmfit.evaluation.predictions import read_judged, read_predictions
from ulmfit.evaluation.results import read_results
from ulmfit.evaluation.slice_scores import SliceScore, slice_scores
from ulmfit.evaluation.slicing import slices_of
from ulmfit.pretrained.licence import licence_behind
from ulmfit.report.card import card_of, escaped
from ulmfit.report.corpus_quality import CorpusQuality
from ulmfit.report.lineage_graph import mermaid
from ulmfit.report.numbers import count, interval, percent
from ulmfit.report.page import render, render_card
from ulmfit.report.summary import CorpusSummary, CurvePoint, ModelSummary, RangeTest, RunSummary, StageSummary, Summary
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.explaining import read_reasons
from ulmfit.stages.outputs import Corpus, Evaluation, Model, Reasons, Vocabulary
from ulmfit.store.artifacts import library_versions
from ulmfit.store.lineage import Lineage

Fact = TypeVar("Fact")
SHARES = (0.9, 0.95, 0.99)  # of the answers that are to be right


@dataclass(frozen=True)
class Trained:
    """What the report of a training shows: ``stages`` in the order of the DAG, ``general`` if pretrained, ``started`` in Unix seconds.

    ``source``: of the domain's text, where it is one that is named. ``compared``: the comparison with the champion, if the version is not champion itself.
    """

    name: str
    settings: Settings
    stages: list[Finished[Any]]
    domain: tuple[Corpus, Vocabulary]
    general: tuple[Corpus, Vocabulary] | None
    model: Model
    evaluation: Evaluation
    reasons: Reasons
    version: Version
    compared: Decision | None
    started: float
    source: CorpusSource | None = None


@task(cache_policy=NO_CACHE, persist_result=False)
def report(job: Job, trained: Trained) -> Summary:
    """Write the report of this run into the workspace and beside its tracked run; returns the summary."""
    summary = summarise(job, trained)
    folder = job.workspace.report_folder(trained.name, trained.started, job.run_id)
    summary = summary.model_copy(update={"report": str(folder / "report.html")})
    folder.mkdir(parents=True)
    render(summary, folder)
    lineage = Lineage.read(trained.model.path)
    render_card(card_of(summary, lineage, licence_behind(lineage)), folder)
    job.tracker.log_folder(job.run_id, folder, "report")
    job.tracker.tell(described(job, summary, trained.version, folder))
    slug = "".join(letter if letter.isalnum() else "-" for letter in trained.name.lower())
    chart = f"```mermaid\n{mermaid(summary.stages)}\n```"
    create_markdown_artifact(chart, key=f"lineage-{slug}", description="lineage of the run")
    return summary


def described(job: Job, summary: Summary, version: Version, folder: Path) -> Described:
    """What the registry is told of a version: its card, and a description that leads to it."""
    results = summary.results
    accuracy = results.systems[results.headline]["accuracy"]
    link = f"#/experiments/{job.tracker.experiment_id}/runs/{job.run_id}/artifacts/report/card.html"
    about = f"{CARD_LINE}]({link}). Accuracy {percent(accuracy.value)} {escaped(interval(accuracy))} on {count(results.documents)} held-out documents of {escaped(summary.corpus.name)}."
    cards = {name: (folder / name).read_text() for name in ("card.md", "card.html")}
    return Described(name=version.name, version=version.version, description=about, files=cards)


def summarise(job: Job, trained: Trained) -> Summary:
    """The summary of a run: results, data, curves, stages, settings, model."""
    version = trained.version
    return Summary(
        name=trained.name,
        corpus=_corpus(*trained.domain),
        general=_corpus(*trained.general) if trained.general else None,
        results=read_results(trained.evaluation.path),
        answered=_answered(trained.evaluation),
        slices=_slices(trained),
        reasons=read_reasons(trained.reasons),
        histories=_beside(trained.stages, "history.json", TypeAdapter(list[CurvePoint])),
        lr_finders=_beside(trained.stages, "lr_finder.json", TypeAdapter(RangeTest)),
        stages=[stage_summary(stage) for stage in trained.stages],
        settings=trained.settings,
        decision=trained.compared,
        suspects=kept_suspects(job.workspace, trained.source),
        model=ModelSummary(name=version.name, version=version.version, uri=version.uri, alias=CHALLENGER, path=str(trained.model.path)),
        run=run_summary(job, trained.started),
    )


def _answered(evaluation: Evaluation) -> list[Answered]:
    rows = held_out_rows(evaluation)
    return measure(rows, SHARES) if rows else []


def _slices(trained: Trained) -> list[SliceScore]:
    """How often the model is right by label and length, on the rows that it was evaluated on."""
    answers = read_results(trained.evaluation.path).headline
    judged = read_judged(trained.evaluation.path, answers)
    rows = read_split(trained.domain[0], trained.settings.judge)
    texts = dict(zip(rows.ids, rows.texts, strict=True))
    found = read_predictions(trained.evaluation.path, answers)
    slices = slices_of(found.labels, found.names, [texts[name] for name in found.ids])
    return slice_scores(judged, slices, trained.settings.evaluate.confidence)


def run_summary(job: Job, started: float) -> RunSummary:
    """The tracked run, as it ends now. ``started``: in Unix seconds."""
    return RunSummary(
        id=job.run_id,
        experiment=job.tracker.experiment_id,
        tracking_uri=job.tracker.uri,
        started=time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(started)),
        seconds=round(time.time() - started, 1),
        device=job.context.placement.device,
        workspace=str(job.workspace.root),
        versions=library_versions(),
    )


def stage_summary(stage: Finished[Any]) -> StageSummary:
    """A finished stage and its artifact, for summaries."""
    artifact, name = stage.output, stage.name
    return StageSummary(
        name=str(name),
        stage=name.kind,
        direction=name.direction,
        corpus=name.corpus,
        kind=artifact.kind,
        key=artifact.key,
        run_id=artifact.run_id,
        seconds=artifact.manifest.seconds,
        bytes=artifact.bytes,
        cached=stage.cached,
        inputs=dict(artifact.manifest.inputs),
        record=artifact.manifest.record,
    )


def _beside(stages: Iterable[Finished[Any]], name: str, facts: TypeAdapter[Fact]) -> dict[str, Fact]:
    """What the JSON file ``name`` holds of each stage that has one, by stage."""
    files = {str(stage.name): stage.output.path / name for stage in stages}
    return {stage: facts.validate_json(file.read_bytes()) for stage, file in files.items() if file.exists()}


def _corpus(corpus: Corpus, vocab: Vocabulary) -> CorpusSummary:
    """A corpus's record, less what counts its parts one by one, with the share of its held-out text that the vocabulary lacks."""
    unknown = vocab.record.out_of_vocabulary["held_out"]
    quality = CorpusQuality(**corpus.quality.model_dump(), out_of_vocabulary=unknown)
    return CorpusSummary(key=corpus.key, quality=quality, **corpus.record.model_dump(exclude={"parts", "quality"}))
