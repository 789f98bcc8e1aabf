"""Pretraining by itself: general text in, a language model per direction out, to be shipped or kept on a store."""

import time
from collections.abc import Mapping

from prefect import flow

from flows.dag import RUNNER, Dag, run
from flows.foresight import announce
from flows.places import check_places
from flows.plan import Plan, resolve
from flows.request import PretrainRequest
from flows.text import Text, general_lm, text_stages
from flows.tracked import BriefRun, tracked_job
from ulmfit.directions import Direction
from ulmfit.pretrained.manifest import CorpusFacts, DirectionFacts, PretrainedManifest
from ulmfit.pretrained.transport import export
from ulmfit.stages.models import finetune
from ulmfit.stages.models import pretrain as pretrain_stage
from ulmfit.stages.outputs import Corpus, LanguageModel
from ulmfit.stages.stage import StageName


class PretrainSummary(PretrainedManifest):
    """What ``ulmfit pretrain --json`` prints: the facts of the manifest, and where the models are. ``export``: the folder they were written to."""

    models: dict[Direction, str]
    export: str | None
    run: BriefRun


@flow(name="pretrain", task_runner=RUNNER, persist_result=False)
def pretrain(request: PretrainRequest) -> PretrainSummary:
    """Ingest, tokenise, count, encode, and train in each direction; returns the summary. What the workspace holds is found."""
    check_places(request)
    return pretrain_by(resolve(request))


def pretrain_by(plan: Plan) -> PretrainSummary:
    """The flow, its request resolved."""
    request, started = plan.request, time.time()
    assert isinstance(request, PretrainRequest)
    with tracked_job("pretrain", plan) as job:
        dag = Dag()
        text = text_stages(dag, plan, job.context, "general")
        read = run(dag, job)
        promised = {direction: _trained(dag, plan, text, direction) for direction in request.directions}
        announce(dag, plan, job, read, None, text)
        finished = run(dag, job, read)
    models = {direction: finished[model] for direction, model in promised.items()}
    facts = _facts(plan, finished[text.corpus], models)
    folders = {direction: model.path for direction, model in models.items()}
    exported = export(request.export, folders, facts) if request.export is not None else None
    written = {direction: str(folder) for direction, folder in folders.items()}
    return PretrainSummary(**facts.model_dump(), models=written, export=exported, run=BriefRun.of(job, started))


def _facts(plan: Plan, corpus: Corpus, models: Mapping[Direction, LanguageModel]) -> PretrainedManifest:
    """What the manifest of the exported models tells, so that all of their training can be read there."""
    settings, record = plan.settings, corpus.record
    return PretrainedManifest(
        name=plan.request.name,
        corpus=CorpusFacts(name=record.name, digest=record.digest, splits=record.splits),
        text=settings.text,
        general_vocab=settings.general_vocab,
        model=settings.model,
        pretrain=settings.pretrain,
        directions={direction: DirectionFacts.model_validate(model.record) for direction, model in models.items()},
        started_from=plan.pretrained.manifest if plan.pretrained else None,
    )


def _trained(dag: Dag, plan: Plan, text: Text, direction: Direction) -> LanguageModel:
    """From the start, or going on from a language model that is there."""
    settings, name = plan.settings, StageName("pretrain", direction, "general")
    if plan.pretrained is None:
        return dag.add(name, pretrain_stage, text.ids, text.vocab, settings.model, settings.pretrain, direction)
    return dag.add(name, finetune, general_lm(dag, plan, direction), text.ids, text.vocab, settings.pretrain, direction)
