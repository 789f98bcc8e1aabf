"""A study: trials of the main job as one DAG, in which what they share stands once; a tracked run each, and a report.

Language models tuned on the same text, shards of the same corpus: equal stages are one node, and what is in the store is found. So a
study that was killed goes on where it was, and one to which points are added makes those alone.
"""

import logging
import time
from dataclasses import replace
from typing import cast

from prefect.futures import PrefectFuture

from flows.dag import Dag, Node, Results
from flows.pool import run_bounded
from flows.study_dag import StudyDag
from flows.study_foresight import Foresight
from flows.study_plan import StudyPlan, check_labels, resolve_study
from flows.study_request import StudyRequest, fields_of
from flows.tracked import start, tracked_job
from tasks.run import Job
from tasks.study_report import Tried, study_report
from tasks.trials import record_trial
from ulmfit.compute.cores import cores
from ulmfit.experiments.trial import Trial, TrialResult
from ulmfit.progress import clock
from ulmfit.report.study_summary import StudySummary

log = logging.getLogger(__name__)

ENOUGH = 0.05  # of a study's work, by which what was foreseen is corrected


def study(request: StudyRequest, kind: str = "study") -> StudySummary:
    """Resolve a study and run it as a flow of the name ``kind``; returns what its report shows. Raises UserError as ``resolve_study`` does."""
    return run_as_flow(resolve_study(request), kind)


def run_as_flow(plan: StudyPlan, kind: str) -> StudySummary:
    """A study, resolved, as a flow run of the name ``kind``."""
    return start(kind, lambda _: run_study(plan, kind), plan.base)


def run_study(plan: StudyPlan, kind: str) -> StudySummary:
    """Run the trials in a bounded pool, and report."""
    started, request = time.time(), plan.request
    with tracked_job(kind, plan.base) as job:
        job = replace(job, threads=1, slots=cores())
        study = StudyDag.of(plan, job.context)
        texts = run_bounded(Dag([node for text in study.texts.values() for node in study.nodes_of(cast(Node, text.ids))]), job)
        for corpus, text in study.texts.items():
            check_labels(plan, corpus, texts[text.corpus])
        results, finished = run_trials(study, job, texts)
        tried = Tried(
            kind=kind,
            name=request.name,
            asked=fields_of(request),
            changed=len(request.options),
            purchase=request.purchase(),
            settings=plan.base.settings,
            corpora={corpus: finished[text.corpus] for corpus, text in study.texts.items()},
            sources={corpus: base.domain for corpus, base in plan.corpora.items() if base.domain},
            results=results,
            stages=list(finished),
            started=started,
        )
        return study_report(job, tried)


def run_trials(study: StudyDag, job: Job, made: Results) -> tuple[list[TrialResult], Results]:
    """Run the stages of all trials but those ``made``, and record each trial as it ends; what came of trials and stages."""
    foresight = Foresight.of(study, made, job.context, job.workspace, job.slots)
    for line in foresight.outlook().lines():
        log.info("%s", line)
    records: dict[Trial, PrefectFuture[TrialResult]] = {}
    progress = Progress(foresight)

    def ended(node: Node, results: Results) -> None:
        for trial, plan in [(trial, plan) for trial, plan, end in study.ends if end is node]:
            stages = [results.finished[other] for other in study.nodes_of(node)]
            submitted = record_trial.with_options(task_run_name=trial.title).submit(job, trial, stages, plan.settings.labels.number)
            records[trial] = submitted
            log.info("%d of %d trials%s: %s", len(records), len(study.ends), progress.remaining(results), trial.title)

    finished = run_bounded(study.dag, job, ended, made)
    return [records[trial].result() for trial, _, _ in study.ends], finished


class Progress:
    """How long a study will still take, by what was foreseen, and how long it has taken so far."""

    def __init__(self, foresight: Foresight):
        self.foresight, self.whole, self.started = foresight, foresight.left(set()), time.monotonic()

    def remaining(self, results: Results) -> str:
        """`` (0:12:00 left)``; nothing where nothing was foreseen."""
        left = self.foresight.left(set(results.finished))
        gone = self.whole - left
        slowness = (time.monotonic() - self.started) / gone if gone > ENOUGH * self.whole else 1.0
        return f" ({clock(left * slowness)} left)" if left > 0 else ""
