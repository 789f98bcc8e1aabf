"""Preprocessing by itself: a corpus in, shards of ids out."""

import time

from prefect import flow
from pydantic import BaseModel

from flows.dag import RUNNER, Dag, run
from flows.places import check_places
from flows.plan import Plan, resolve
from flows.request import PreprocessRequest
from flows.text import text_stages
from flows.tracked import BriefRun, tracked_job
from tasks.report import stage_summary
from ulmfit.report.corpus_quality import CorpusQuality
from ulmfit.report.summary import StageSummary
from ulmfit.shards.crashing import CrashingDocument


class LocatedStage(StageSummary):
    """A finished stage, and the location of its files."""

    path: str


class PreprocessSummary(BaseModel):
    """What ``ulmfit preprocess --json`` prints. ``poisoned``: documents in quarantine, as they kill the worker that tokenises them."""

    name: str
    quality: CorpusQuality
    poisoned: tuple[CrashingDocument, ...]
    run: BriefRun
    stages: list[LocatedStage]


@flow(name="preprocess", task_runner=RUNNER, persist_result=False)
def preprocess(request: PreprocessRequest) -> PreprocessSummary:
    """Documents -> Corpus -> TokenShards -> Vocab -> IdShards; returns where each is and what it holds."""
    check_places(request)
    return preprocess_by(resolve(request))


def preprocess_by(plan: Plan) -> PreprocessSummary:
    """The flow, its request resolved."""
    started = time.time()
    with tracked_job("preprocess", plan) as job:
        dag = Dag()
        text = text_stages(dag, plan, job.context, "domain")
        finished = run(dag, job)
    unknown = finished[text.vocab].record.out_of_vocabulary["held_out"]
    return PreprocessSummary(
        name=plan.request.name,
        quality=CorpusQuality(**finished[text.corpus].quality.model_dump(), out_of_vocabulary=unknown),
        poisoned=finished[text.tokens].record.poisoned,
        run=BriefRun.of(job, started),
        stages=[LocatedStage(**stage_summary(stage).model_dump(), path=stage.output.location) for stage in finished],
    )
