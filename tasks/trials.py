"""A trial of a study as a tracked run: a child of the study's run, with the scores, and the keys of the stages it is made of."""

import json
from collections.abc import Sequence
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from tasks.calls import Notes, Points
from tasks.run import Finished, Job
from tasks.servers import patiently
from tasks.tracking import LONGEST_PARAMETER, metric_name
from ulmfit.evaluation.results import read_results
from ulmfit.experiments.trial import Trial, TrialResult
from ulmfit.stages.outputs import Classifier, Corpus, Evaluation, LanguageModel
from ulmfit.stages.stage import StageName


@task(cache_policy=NO_CACHE, persist_result=False)
def record_trial(job: Job, trial: Trial, stages: Sequence[Finished[Any]], drawn: int | None) -> TrialResult:
    """What came of a trial whose ``stages`` have ended, as a tracked run. ``drawn``: labels taken of the corpus's; None: all."""
    result = result_of(trial, stages, drawn)
    built = sum(not stage.cached for stage in stages)
    run_id = patiently(job.workspace, lambda: job.tracker.start(trial.title, {"ulmfit.trial": result.key}, job.run_id))
    point = trial.point.model_dump(mode="json", exclude={"options"}) | {"trial": trial.number}
    point["options"] = " ".join(trial.point.options)
    scores = {f"{system}.{name}": value for system, found in result.scores.items() for name, value in found.items() if value is not None}
    points = [(metric_name(name), float(value), 0, 0) for name, value in {**scores, "seconds": result.seconds}.items()]
    tags = {f"ulmfit.stage.{stage.name}": f"{stage.output.key} run={stage.output.run_id}" for stage in stages}
    job.tracker.tell(Notes(run=run_id, tags=tags, parameters={name: str(value)[:LONGEST_PARAMETER] for name, value in point.items()}))
    job.tracker.tell(Points(run=run_id, points=points))
    job.tracker.end(run_id)
    return result.model_copy(update={"run_id": run_id, "built": built})


def result_of(trial: Trial, stages: Sequence[Finished[Any]], drawn: int | None) -> TrialResult:
    """The facts of a trial from what its stages made; not yet tracked."""
    corpus: Corpus = next(stage.output for stage in stages if stage.name == StageName("ingest"))
    evaluation: Evaluation = stages[-1].output
    judged = set(evaluation.manifest.inputs.values())  # others chose labels
    classifiers: list[Classifier] = [
        stage.output for stage in stages if isinstance(stage.output, Classifier) and stage.output.key in judged
    ]
    lms: list[LanguageModel] = [stage.output for stage in stages if stage.name.kind in ("pretrain", "finetune")]
    splits, record = corpus.record.splits, evaluation.record
    rows = splits["train"].documents
    labels = min(rows, drawn or rows)
    reads = trial.point.regime in ("domain", "general+domain")
    seconds = sum(classifier.record.training_seconds or 0.0 for classifier in classifiers)
    return TrialResult(
        trial=trial,
        documents=read_results(evaluation.path).documents,
        labels=labels,
        unlabelled=rows - labels + splits["unlabelled"].documents if reads else 0,
        scores=record.scores,
        errors=_errors(classifiers[0]) if classifiers else (),
        seconds=seconds + (record.training_seconds or 0.0),
        shared_seconds=sum(lm.record.training_seconds or 0.0 for lm in lms),
        documents_per_second=record.documents_per_second,
        key=evaluation.key,
        run_id="",
        built=0,
    )


def _errors(classifier: Classifier) -> tuple[float, ...]:
    """Validation error after each epoch."""
    points = json.loads((classifier.path / "history.json").read_bytes())
    return tuple(1 - point["value"] for point in points if point["name"] == "valid_accuracy")
