"""Out-of-sample probabilities of all labelled documents by ULMFiT: a classifier a fold and direction, on language models that all share."""

from dataclasses import dataclass, replace
from typing import cast

import numpy as np
from numpy.typing import NDArray

from flows.dag import Dag
from flows.plan import Plan
from flows.pool import run_bounded
from flows.request import SuspectsRequest
from flows.study_dag import only
from flows.text import texts
from flows.tracked import tracked_job
from flows.train import tuned_lm
from ulmfit.compute.cores import cores
from ulmfit.directions import Direction
from ulmfit.evaluation.predictions import read_predictions
from ulmfit.stages.folds import SYSTEM, leave_out, predict_left_out
from ulmfit.stages.models import classify
from ulmfit.stages.outputs import Classifier, FoldPredictions
from ulmfit.stages.stage import Context, StageName
from ulmfit.training.regression import FOLDS


@dataclass(frozen=True, eq=False)
class OutOfSample:
    """Of N documents their ``ids``, and the ``probabilities`` float32 [N, L] of the labels ``names``."""

    ids: list[str]
    names: list[str]
    probabilities: NDArray[np.floating]


def suspects_by(plan: Plan) -> OutOfSample:
    """The flow, its request resolved."""
    with tracked_job("suspects", plan) as job:
        dag = Dag()
        predicted = fold_stages(dag, plan, job.context)
        made = run_bounded(dag, replace(job, threads=1, slots=cores()))
        found = [read_predictions(made[fold].path, SYSTEM) for fold in predicted]
    ids = [name for fold in found for name in fold.ids]
    return OutOfSample(ids, found[0].names, np.concatenate([fold.probabilities for fold in found]))


def fold_stages(dag: Dag, plan: Plan, context: Context) -> list[FoldPredictions]:
    """Add the stages; what predicts the documents of each fold."""
    request, settings = cast(SuspectsRequest, plan.request), only(plan.settings, "model", "classifier", "labels")
    settings = settings.model_copy(update={"classifier": settings.classifier.model_copy(update={"folds": None})})  # these are folds
    domain, general = texts(dag, plan, context)
    lms = {direction: tuned_lm(dag, plan, domain, general, direction) for direction in request.read()}
    found = []
    for number in range(FOLDS):
        learnt = dag.add(StageName("fold"), leave_out, domain.ids, number, FOLDS, request.seed or 0)
        parts: dict[Direction, Classifier] = {
            direction: dag.add(
                StageName("classify", direction), classify, lm, domain.corpus, domain.ids, domain.vocab, settings, direction, learnt
            )
            for direction, lm in lms.items()
        }
        both = parts.get("forward"), parts.get("backward")
        found.append(dag.add(StageName("hold-out"), predict_left_out, domain.corpus, domain.ids, learnt, *both))
    return found
