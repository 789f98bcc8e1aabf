"""A study: trials of the main job as one DAG, in which what they share stands once; a tracked run each, and a report.

Language models tuned on the same text, shards of the same corpus: equal stages are one node, and what is in the store is found. So a
study that was killed goes on where it was, and one to which points are added makes those alone.
"""

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Self, cast

from prefect.futures import PrefectFuture

from flows.dag import Dag, Node, Results
from flows.plan import Plan
from flows.pool import run_bounded
from flows.study_plan import StudyPlan
from flows.study_request import fields_of
from flows.text import Text, corpus_stage, text_stages
from flows.tracked import tracked_job
from flows.train import from_scratch, tuned_lm
from tasks.run import Job
from tasks.study_report import Tried, study_report
from tasks.trials import record_trial
from ulmfit.compute.cores import cores
from ulmfit.config import Settings
from ulmfit.directions import Direction
from ulmfit.errors import UserError
from ulmfit.experiments.methods.named import WORD_METHODS
from ulmfit.experiments.trial import Point, Trial, TrialResult
from ulmfit.report.study_summary import StudySummary
from ulmfit.stages.models import classify, pretrain
from ulmfit.stages.outputs import Classifier, Corpus, Evaluation, LanguageModel
from ulmfit.stages.stage import Context, StageName
from ulmfit.stages.trials import judge, words

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class StudyDag:
    """All trials in one DAG, and the node that ends each. ``texts``: the corpora with all their documents, which come first."""

    dag: Dag
    texts: Mapping[str, Text]
    ends: list[tuple[Trial, Plan, Node]]

    @classmethod
    def of(cls, plan: StudyPlan, context: Context) -> Self:
        dag = Dag()
        texts = {corpus: text_stages(dag, base, context, "domain") for corpus, base in plan.corpora.items()}
        ends = [(trial, its, cast(Node, trial_stages(dag, its, context, trial.point))) for trial, its in plan.trials]
        return cls(dag, texts, ends)

    def nodes_of(self, end: Node) -> list[Node]:
        """The nodes that lead to ``end``, and it, in the order of the DAG."""
        wanted, open_ = set[Node](), [end]
        while open_:
            node = open_.pop()
            open_ += [other for other in node.needed if other not in wanted]
            wanted.add(node)
        return [node for node in self.dag.nodes if node in wanted]


def trial_stages(dag: Dag, plan: Plan, context: Context, point: Point) -> Evaluation:
    """Add the stages of a trial; those that another trial has too are there already."""
    settings = plan.settings
    if point.method in WORD_METHODS:
        corpus = corpus_stage(dag, plan, context, "domain")
        return dag.add(StageName("words"), words, corpus, point.method, only(settings, "labels", "evaluate", "judge"))
    domain = text_stages(dag, plan, context, "domain")
    parts: dict[Direction, Classifier] = {}
    for direction in point.directions:
        lm = None if point.method == "scratch" else _lm(dag, plan, context, domain, point, direction)
        its = only(settings if lm else from_scratch(settings), "model", "classifier", "labels")
        name = StageName("classify" if lm else "scratch", direction)
        parts[direction] = dag.add(name, classify, lm, domain.corpus, domain.ids, domain.vocab, its, direction)
    judged = only(settings, "evaluate", "judge")
    return dag.add(StageName("judge"), judge, domain.corpus, domain.ids, parts.get("forward"), parts.get("backward"), judged)


def _lm(dag: Dag, plan: Plan, context: Context, domain: Text, point: Point, direction: Direction) -> LanguageModel:
    """By the point's regime: the general language model tuned or as it is (no epoch of tuning), or one that begins with the domain's text."""
    settings = plan.settings
    if point.regime == "domain":
        config = settings.finetune.model_copy(update={"decay": 1.0})  # random layers learn at one rate
        return dag.add(StageName("pretrain", direction), pretrain, domain.ids, domain.vocab, settings.model, config, direction)
    general = None if plan.pretrained else text_stages(dag, plan, context, "general")
    return tuned_lm(dag, plan, domain, general, direction)


def only(settings: Settings, *names: str) -> Settings:
    """The named parts of the settings, the others as they are by default: stages that read only these are then equal."""
    return Settings(**{name: getattr(settings, name) for name in names})


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
        corpora = {corpus: finished[text.corpus] for corpus, text in study.texts.items()}
        asked, stages = fields_of(request), list(finished)
        return study_report(
            job, Tried(kind, request.name, asked, len(request.options), plan.base.settings, corpora, results, stages, started)
        )


def check_labels(plan: StudyPlan, name: str, corpus: Corpus) -> None:
    """UserError where a trial asks for more labelled documents than the corpus has to learn from, or for fewer than it has labels."""
    rows, labels = corpus.record.splits["train"].documents, len(corpus.record.labels)
    for trial, _ in plan.trials:
        asked = trial.point.labels
        if trial.point.corpus == name and asked is not None and not labels <= asked <= rows:
            raise UserError(
                f"--labels: {asked}: {name} has {rows} labelled documents to learn from, of {labels} labels; give numbers between these, and all"
            )


def run_trials(study: StudyDag, job: Job, made: Results) -> tuple[list[TrialResult], Results]:
    """Run the stages of all trials but those ``made``, and record each trial as it ends; what came of trials and stages."""
    records: dict[Trial, PrefectFuture[TrialResult]] = {}

    def ended(node: Node, results: Results) -> None:
        for trial, plan in [(trial, plan) for trial, plan, end in study.ends if end is node]:
            stages = [results.finished[other] for other in study.nodes_of(node)]
            submitted = record_trial.with_options(task_run_name=trial.title).submit(job, trial, stages, plan.settings.labels.number)
            records[trial] = submitted
            log.info("%d of %d trials: %s", len(records), len(study.ends), trial.title)

    finished = run_bounded(study.dag, job, ended, made)
    return [records[trial].result() for trial, _, _ in study.ends], finished
