"""Retraining on schedule as a flow: look, land, decide; where there is reason to, train, register, compare, and promote what is fit for it."""

import time
from dataclasses import replace

import numpy as np
from numpy.typing import NDArray
from prefect import flow

from flows.cycle import Due, RetrainSummary, cycle
from flows.dag import RUNNER, Dag, run
from flows.places import check_places
from flows.request import RetrainRequest
from flows.text import Warm, text_of, text_stages
from flows.tracked import tracked_job
from flows.train import Ended, train_on
from tasks.comparison import compare
from tasks.model_names import ModelSource, reserve
from tasks.registry import Version, register
from tasks.report import report
from tasks.retraining import Concluded
from tasks.run import Job
from tasks.servers import patiently
from ulmfit.decisions.decision import Decision
from ulmfit.evaluation.predictions import read_answers
from ulmfit.stages.landed import landed
from ulmfit.stages.outputs import Corpus, Evaluation
from ulmfit.stages.stage import StageName


@flow(name="retrain", task_runner=RUNNER, persist_result=False)
def retrain(request: RetrainRequest) -> RetrainSummary:
    """One cycle of a model's life. It ends with a recorded decision: nothing to do, held, or what came of the training."""
    check_places(request)
    return cycle(request, train_cycle)


def train_cycle(due: Due) -> RetrainSummary:
    """Train, register, compare, promote: every part of it is found where it is done already."""
    started, plan, asked = time.time(), due.plan, due.asked
    with tracked_job("retrain", plan) as job:
        dag = Dag()
        corpus = dag.add(StageName("ingest"), landed, due.seen.state, plan.settings.corpus, plan.settings.quality)
        made = run(dag, job)
        if not due.recorded:
            asked.records.journal.append(due.decision.id, due.decision)
        warm = going_on(due, made[corpus])
        domain = text_of(dag, plan, job.context, corpus, "domain", warm)
        general = None if plan.pretrained or warm else text_stages(dag, plan, job.context, "general")
        ended = train_on(dag, plan, job, domain, general, run(dag, job, made))
        version, compared, concluded = settle(job, due, ended)
        summary = report(job, ended.trained(version, compared, started))
    last = concluded.decision or due.decision
    return RetrainSummary(model=asked.model, outcome=concluded.outcome, decision=last, retraining=due.decision, training=summary)


def settle(job: Job, due: Due, ended: Ended) -> tuple[Version, Decision | None, Concluded]:
    """Register what was trained, compare it with the champion, and carry out what follows."""
    asked, workspace = due.asked, due.plan.workspace
    source = ModelSource.of(asked.landing.location, workspace)
    patiently(workspace, lambda: reserve(job.tracker.client, asked.model, source))
    version = register(job, asked.model, ended.model, ended.evaluation, ended.familiar, due.decision.id)
    challenger = replace(ended.challenger(version), slices=slices(due, ended.evaluation), retraining=due.decision.id)
    compared = compare(job, challenger, asked.policy.gate)
    return version, compared, patiently(workspace, lambda: asked.conclude(due.decision, compared, job.run_id))


def going_on(due: Due, corpus: Corpus) -> Warm | None:
    """What the training goes on from, if it does."""
    behind = due.behind
    return Warm(behind.vocab, behind.lms, corpus.record.new_since(behind.corpus.record), due.asked.policy.warm) if behind else None


def slices(due: Due, evaluation: Evaluation) -> dict[str, NDArray[np.bool_]]:
    """The held-out rows by the file that they came in, and by whether they are new."""
    state = due.seen.state
    origins = state.origins(read_answers(evaluation.path).ids)
    found = {f"file {state.files[number].name}": origins.file == number for number in np.unique(origins.file).tolist() if number >= 0}
    if not due.seen.new_parts or due.seen.last is None:
        return found
    since = {number for part, number in zip(state.parts, state.part_arrivals, strict=True) if part.name in due.seen.new_parts}
    new = np.isin(origins.arrival, list(since))
    return found | {"new text": new, "earlier text": ~new}
