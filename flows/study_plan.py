"""From a study's request to the plans of its trials. Like ``plan.py`` it needs no Prefect."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from flows.plan import Plan, resolve
from flows.study_request import Asked, StudyRequest
from ulmfit.errors import UserError
from ulmfit.experiments.methods.decoder import check_decoder
from ulmfit.experiments.trial import Point, Trial
from ulmfit.stages.outputs import Corpus


@dataclass(frozen=True)
class StudyPlan:
    """A study, resolved: a plan for each trial. ``base``: that of the study's own request; ``corpora``: those with all their documents."""

    request: StudyRequest
    base: Plan
    corpora: Mapping[str, Plan]
    trials: list[tuple[Trial, Plan]]


def resolve_study(request: StudyRequest) -> StudyPlan:
    """The plans of a study's trials. Raises UserError for what would be found at fault after hours, as ``resolve`` does."""
    asked = request.asked()
    for folder in {one.trial.point.decoder for one in asked if one.trial.point.decoder}:
        check_decoder(Path(folder))
    bases = {
        corpus: resolve(request.request_of(Point(corpus=corpus, method="ulmfit"), 0))
        for corpus in dict.fromkeys(one.trial.point.corpus for one in asked)
    }
    trials = [(one.trial, _plan(one, bases[one.trial.point.corpus])) for one in asked]
    base = replace(next(iter(bases.values())), request=request)
    return StudyPlan(request, base, bases, trials)


def _plan(asked: Asked, base: Plan) -> Plan:
    """A trial differs from the base in settings alone."""
    settings = asked.request.settings()
    if settings.classifier.task != "multi-class":
        raise UserError("a study compares methods that give a document one label; leave --set classifier.task out")
    if base.pretrained:
        settings = settings.model_copy(update={"model": base.pretrained.model})
    return replace(base, request=asked.request, settings=settings)


def check_labels(plan: StudyPlan, name: str, corpus: Corpus) -> None:
    """UserError where a trial asks for more labelled documents than the corpus has to learn from, or for fewer than it has labels."""
    rows, labels = corpus.record.splits["train"].documents, len(corpus.record.labels)
    for trial, _ in plan.trials:
        asked = trial.point.labels
        if trial.point.corpus == name and asked is not None and not labels <= asked <= rows:
            raise UserError(
                f"--labels: {asked}: {name} has {rows} labelled documents to learn from, of {labels} labels; give numbers between these, and all"
            )
