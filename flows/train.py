"""The main job as a DAG: from labelled text and a general language model to a registered forward+backward classifier."""

import time
from dataclasses import dataclass

from prefect import flow

from flows.dag import RUNNER, Dag, Results, run
from flows.foresight import announce, within_minutes
from flows.places import check_places
from flows.plan import Plan, resolve
from flows.request import TrainRequest
from flows.text import Text, general_lm, texts
from flows.tracked import tracked_job
from tasks.comparison import Challenger, compare
from tasks.model_names import ModelSource, own_name, reserve
from tasks.registry import Version, register
from tasks.report import Trained, report
from tasks.run import Job
from tasks.servers import patiently
from ulmfit.config import Settings
from ulmfit.decisions.decision import Decision
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.prediction.familiar import Familiar
from ulmfit.report.summary import Summary
from ulmfit.stages.evaluation import measure
from ulmfit.stages.explaining import familiar_of, familiarity, reasons
from ulmfit.stages.models import average, classify, finetune, pretrain, warm_finetune, word_model
from ulmfit.stages.outputs import Classifier, Corpus, Evaluation, Familiarity, LanguageModel, Model, Reasons, Vocabulary, Words
from ulmfit.stages.stage import Context, StageName


@flow(name="train", task_runner=RUNNER, persist_result=False)
def train(request: TrainRequest) -> Summary:
    """Ingest, tokenise, pretrain, fine-tune, classify, average, evaluate, register; returns the summary.

    Every stage that the workspace already holds is found, not done.
    """
    check_places(request)
    return train_by(resolve(request))


def train_by(plan: Plan) -> Summary:
    """The flow, its request resolved."""
    started = time.time()
    with tracked_job("train", plan) as job:
        dag = Dag()
        domain, general = texts(dag, plan, job.context)
        read = run(dag, job)
        plan = within_minutes(plan, job, read, domain, general)
        ended = train_on(dag, plan, job, domain, general, read)
        version = register(
            job, patiently(plan.workspace, lambda: _registered_name(plan, job)), ended.model, ended.evaluation, ended.familiar
        )
        compared = compare(job, ended.challenger(version), GatePolicy())
        return report(job, ended.trained(version, compared, started))


def train_on(dag: Dag, plan: Plan, job: Job, domain: Text, general: Text | None, read: Results) -> "Ended":
    """Make all that is made of text that was ``read``, and measure it."""
    promised = models(dag, plan, domain, general)
    announce(dag, plan, job, read, domain, general)
    return Ended(plan, domain, general, promised, run(dag, job, read))


def _registered_name(plan: Plan, job: Job) -> str:
    """The name that the user chose, or the corpus's own."""
    request = plan.request
    assert isinstance(request, TrainRequest)
    source = ModelSource.of(request.corpus, plan.workspace)
    if request.model_name:
        reserve(job.tracker.client, request.model_name, source)
        return request.model_name
    return own_name(job.tracker.client, request.registered_name, source)


@dataclass(frozen=True)
class Promised:
    """Where the DAG's results will stand."""

    model: Model
    evaluation: Evaluation
    reasons: Reasons
    familiarity: Familiarity


@dataclass(frozen=True)
class Ended:
    """A DAG of the main job that has run: of which texts, and its results."""

    plan: Plan
    domain: Text
    general: Text | None
    promised: Promised
    finished: Results

    @property
    def model(self) -> Model:
        """What is registered."""
        return self.finished[self.promised.model]

    @property
    def evaluation(self) -> Evaluation:
        """Its scores."""
        return self.finished[self.promised.evaluation]

    @property
    def familiar(self) -> Familiar:
        """What is kept with it, to tell strange texts by."""
        return familiar_of(self.finished[self.promised.familiarity])

    def challenger(self, version: Version) -> Challenger:
        """The version that the model was registered as, to be compared."""
        return Challenger(version, self.model, self.evaluation, self.finished[self.domain.corpus], self.plan.settings.judge)

    def trained(self, version: Version, compared: Decision | None, started: float) -> Trained:
        """What the report shows."""
        return Trained(
            name=self.plan.request.name,
            settings=self.plan.settings,
            stages=list(self.finished),
            domain=self._read(self.domain),
            general=self._read(self.general) if self.general else None,
            model=self.model,
            evaluation=self.evaluation,
            reasons=self.finished[self.promised.reasons],
            version=version,
            compared=compared,
            started=started,
            source=self.plan.domain,
        )

    def _read(self, text: Text) -> tuple[Corpus, Vocabulary]:
        return self.finished[text.corpus], self.finished[text.vocab]


def train_dag(dag: Dag, plan: Plan, context: Context) -> Promised:
    """Add the stages of the main job to ``dag``."""
    return models(dag, plan, *texts(dag, plan, context))


def models(dag: Dag, plan: Plan, domain: Text, general: Text | None) -> Promised:
    """All that is made of the text."""
    tuned = {direction: tuned_lm(dag, plan, domain, general, direction) for direction in DIRECTIONS}
    classifiers = {direction: _classifier(dag, plan, tuned[direction], domain, direction) for direction in DIRECTIONS}
    words = dag.add(StageName("word-model"), word_model, domain.corpus, plan.settings) if plan.settings.words else None
    model = _averaged(dag, StageName("average"), plan, classifiers, domain, words)
    scratch = _scratch(dag, plan, domain, classifiers) if plan.settings.scratch else None
    evaluation = dag.add(StageName("evaluate"), measure, domain.corpus, domain.ids, model, scratch, plan.settings)
    explained = dag.add(StageName("explain"), reasons, domain.corpus, model, evaluation, plan.settings.judge)
    return Promised(model, evaluation, explained, dag.add(StageName("familiarity"), familiarity, domain.corpus, model))


def tuned_lm(dag: Dag, plan: Plan, domain: Text, general: Text | None, direction: Direction) -> LanguageModel:
    """A language model of the domain: the general one, given or pretrained here, fine-tuned on the domain's text; or an earlier one of
    the domain that goes on."""
    settings, warm = plan.settings, domain.warm
    if warm:
        lm, ids, vocab = warm.lms[direction], domain.ids, domain.vocab
        name = StageName("finetune", direction)
        more = (warm.new_parts, warm.config, settings.finetune, direction)
        return dag.add(name, warm_finetune, lm, ids, vocab, *more) if warm.new_parts else lm
    if general:
        name = StageName("pretrain", direction, "general")
        lm = dag.add(name, pretrain, general.ids, general.vocab, settings.model, settings.pretrain, direction)
    else:
        lm = general_lm(dag, plan, direction)
    return dag.add(StageName("finetune", direction), finetune, lm, domain.ids, domain.vocab, settings.finetune, direction)


def _classifier(dag: Dag, plan: Plan, lm: LanguageModel, domain: Text, direction: Direction) -> Classifier:
    return dag.add(StageName("classify", direction), classify, lm, domain.corpus, domain.ids, domain.vocab, plan.settings, direction)


def _averaged(dag: Dag, name: StageName, plan: Plan, parts: dict[Direction, Classifier], domain: Text, words: Words | None = None) -> Model:
    given = (parts["forward"], parts["backward"], domain.corpus, domain.tokens, domain.vocab, plan.settings.classifier)
    return dag.add(name, average, *given, words) if words else dag.add(name, average, *given)


def _scratch(dag: Dag, plan: Plan, domain: Text, classifiers: dict[Direction, Classifier]) -> Model:
    """The same classifiers without a language model behind them: what the method is worth. They wait until the cores are free."""
    later, settings = dag.after(*classifiers.values()), from_scratch(plan.settings)
    parts = {
        direction: later.add(StageName("scratch", direction), classify, None, domain.corpus, domain.ids, domain.vocab, settings, direction)
        for direction in DIRECTIONS
    }
    return _averaged(dag, StageName("average-scratch"), plan, parts, domain)


def from_scratch(settings: Settings) -> Settings:
    """Settings of a classifier without a language model behind it: all of it learns from the start, at one rate. It is there to be
    compared by its accuracy, so no folds tell how sure it may be."""
    config = settings.classifier.model_copy(update={"init": "scratch", "unfreeze": "full", "decay": 1.0, "folds": None})
    return settings.model_copy(update={"classifier": config})
