"""The trials of a study as one DAG, in which what they share stands once."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import Self, cast

from flows.dag import Dag, Node
from flows.plan import Plan
from flows.study_plan import StudyPlan
from flows.text import Text, corpus_stage, text_stages
from flows.train import from_scratch, tuned_lm
from ulmfit.config import Settings
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.experiments.methods.named import WORD_METHODS
from ulmfit.experiments.trial import Point, Trial
from ulmfit.stages.choosing import choose, choose_by_words
from ulmfit.stages.models import classify, pretrain, word_model
from ulmfit.stages.outputs import ChosenRows, Classifier, Evaluation, LanguageModel
from ulmfit.stages.stage import Context, StageName
from ulmfit.stages.trials import judge, words


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
    chosen: ChosenRows | None = None
    for labels, more in pairwise((*point.chosen_after, point.labels or 0)):
        chosen = _choice(dag, _with_labels(plan, labels), context, point, more, chosen)
    settings = plan.settings
    if point.method in WORD_METHODS:
        corpus = corpus_stage(dag, plan, context, "domain")
        its = only(settings, "labels", "evaluate", "judge")
        return dag.add(StageName("words"), words, corpus, point.method, its, point.decoder, chosen)
    domain, parts = _classifiers(dag, plan, context, point, chosen)
    given = (domain.corpus, domain.ids, parts.get("forward"), parts.get("backward"))
    if not settings.words or len(parts) < len(DIRECTIONS) or point.method == "scratch":
        return dag.add(StageName("judge"), judge, *given, only(settings, "evaluate", "judge"))
    learnt = dag.add(StageName("word-model"), word_model, domain.corpus, only(settings, "classifier", "labels"), chosen)
    return dag.add(StageName("judge"), judge, *given, only(settings, "evaluate", "judge", "classifier"), learnt)


def _choice(dag: Dag, plan: Plan, context: Context, point: Point, number: int, before: ChosenRows | None) -> ChosenRows:
    """The rows to learn from next, ``number`` in all, chosen by the model that learns from those ``before``."""
    labels = only(plan.settings, "labels")
    if point.method in WORD_METHODS:
        corpus = corpus_stage(dag, plan, context, "domain")
        return dag.add(StageName("choose"), choose_by_words, corpus, point.method, labels, number, before)
    domain, parts = _classifiers(dag, plan, context, point, before)
    both = parts.get("forward"), parts.get("backward")
    return dag.add(StageName("choose"), choose, domain.corpus, domain.ids, *both, labels, number, before)


def _with_labels(plan: Plan, number: int) -> Plan:
    labels = plan.settings.labels.model_copy(update={"number": number})
    return replace(plan, settings=plan.settings.model_copy(update={"labels": labels}))


def _classifiers(
    dag: Dag, plan: Plan, context: Context, point: Point, chosen: ChosenRows | None
) -> tuple[Text, dict[Direction, Classifier]]:
    """The classifiers of a network, and the text they read."""
    if point.method == "scratch" or point.regime == "domain":
        plan = replace(plan, settings=without_general_words(plan.settings))
    settings, domain = plan.settings, text_stages(dag, plan, context, "domain")
    parts: dict[Direction, Classifier] = {}
    for direction in point.directions:
        lm = None if point.method == "scratch" else _lm(dag, plan, context, domain, point, direction)
        its = only(settings if lm else from_scratch(settings), "model", "classifier", "labels")
        name = StageName("classify" if lm else "scratch", direction)
        parts[direction] = dag.add(name, classify, lm, domain.corpus, domain.ids, domain.vocab, its, direction, chosen)
    return domain, parts


def _lm(dag: Dag, plan: Plan, context: Context, domain: Text, point: Point, direction: Direction) -> LanguageModel:
    """By the point's regime: the general language model tuned or as it is (no epoch of tuning), or one that begins with the domain's text."""
    settings = plan.settings
    if point.regime == "domain":
        config = settings.finetune.model_copy(update={"decay": 1.0})  # random layers learn at one rate
        return dag.add(StageName("pretrain", direction), pretrain, domain.ids, domain.vocab, settings.model, config, direction)
    general = None if plan.pretrained else text_stages(dag, plan, context, "general")
    return tuned_lm(dag, plan, domain, general, direction)


def without_general_words(settings: Settings) -> Settings:
    """Settings of what knows no general language model: its vocabulary is that of the domain's text."""
    return settings.model_copy(update={"general_words": None})


def only(settings: Settings, *names: str) -> Settings:
    """The named parts of the settings, the others as they are by default: stages that read only these are then equal."""
    return Settings(**{name: getattr(settings, name) for name in names})
