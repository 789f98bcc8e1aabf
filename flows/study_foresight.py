"""Before a study trains: which stages are there, which trials share those to make, and how long they will take here."""

import math
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Self, cast

import numpy as np

from flows.dag import Node, Results, absent
from flows.study_dag import StudyDag
from flows.study_plan import StudyPlan, check_labels
from flows.text import Text
from tasks.run import Finished
from tasks.workspace import Workspace
from ulmfit.compute.cores import cores
from ulmfit.config import ModelConfig
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.progress import clock
from ulmfit.shards.documents import Documents
from ulmfit.stages.choosing import choose_by_words
from ulmfit.stages.corpus import found_corpus
from ulmfit.stages.shards import TRAINING_SPLITS
from ulmfit.stages.stage import Context, make
from ulmfit.stages.trials import words
from ulmfit.store.json import Facts
from ulmfit.text.vocab import Vocab
from ulmfit.training.loop import Trainable
from ulmfit.training.placement import Placement
from ulmfit.training.rehearsal import BASELINE, classifier_task, estimate, lm_task, speed_of
from ulmfit.training.specs import TrainingText
from ulmfit.training.work import layer_flops

LANGUAGE_MODELS, CLASSIFIERS = ("pretrain", "finetune"), ("classify", "scratch")


class StudyOutlook(Facts):
    """A study's plan. ``stages``: by kind, those to make; ``shared``: trials that share the language models to make; ``seconds``: until the end."""

    trials: int
    found: int
    stages: dict[str, int]
    language_models: int
    shared: int
    seconds: float
    slots: int

    def lines(self) -> list[str]:
        """Lines for people."""
        listed = ", ".join(f"{number} {kind}" for kind, number in self.stages.items()) or "none"
        lines = [f"plan: {self.trials} trials", f"plan: {self.found} stages found or done, {sum(self.stages.values())} to make: {listed}"]
        if self.language_models:
            lines.append(f"plan: {self.language_models} trainings of language models, for {self.shared} trials")
        return [*lines, f"plan: some {clock(self.seconds)} in all, stages at a time: {self.slots}, as measured on this machine"]


@dataclass(frozen=True)
class Foresight:
    """What is to make of a study, and how long each of it takes. ``texts``: the corpora with all their documents, which are made."""

    study: StudyDag
    made: Results
    workspace: Workspace
    placement: Placement
    slots: int
    speeds: dict[str, float] = field(default_factory=dict)

    @classmethod
    def of(cls, study: StudyDag, made: Results, context: Context, workspace: Workspace, slots: int) -> Self:
        """With the corpora that were cut to size before found too."""
        known = dict(made.finished)
        for node in study.dag.nodes:
            if node.name.kind == "ingest" and node not in known and (corpus := found_corpus(*cast(Any, node.arguments))):
                known[node] = Finished(node.name, corpus, True)
        return cls(study, Results(known), workspace, context.placement, slots)

    @cached_property
    def to_make(self) -> list[Node]:
        return absent(self.study.dag, self.made, self.workspace.store)

    @cached_property
    def seconds(self) -> Mapping[Node, float]:
        """Of each stage to make; 0 for what takes no time beside trainings, and for pretraining on general text, which is not read for a plan."""
        return {node: self._seconds(node) for node in self.to_make}

    def outlook(self) -> StudyOutlook:
        """The plan in figures."""
        models = {node for node in self.to_make if node.name.kind in LANGUAGE_MODELS}
        nodes = {end: set(self.study.nodes_of(end)) for _, _, end in self.study.ends}
        return StudyOutlook(
            trials=len(self.study.ends),
            found=len(self.study.dag.nodes) - len(self.to_make),
            stages=dict(Counter(node.name.kind for node in self.to_make)),
            language_models=len(models),
            shared=sum(bool(models & nodes[end]) for _, _, end in self.study.ends),
            seconds=self.left(set()),
            slots=self.at_a_time,
        )

    @property
    def at_a_time(self) -> int:
        """Trainings that run side by side: one on a GPU."""
        return 1 if self.placement.device.startswith("cuda") else self.slots

    def left(self, done: set[Node]) -> float:
        """Seconds until the end: the work that is left on all slots, or the longest chain of it."""
        left = {node: seconds for node, seconds in self.seconds.items() if node not in done}
        ends: dict[Node, float] = {}
        for node in self.study.dag.nodes:
            ends[node] = left.get(node, 0.0) + max((ends[other] for other in node.needed), default=0.0)
        return max(sum(left.values()) / self.at_a_time, max(ends.values(), default=0.0))

    def _seconds(self, node: Node) -> float:
        kind = node.name.kind
        if node.name.corpus == "general":
            return 0.0
        if kind in LANGUAGE_MODELS:
            return self._training("language model", lambda: self._lm(node))
        if kind in CLASSIFIERS:
            return self._training("classifier", lambda: self._classifier(node))
        if node.stage in (words, choose_by_words):
            ids, settings = self.made[self._text(node.given("corpus")).ids].path, node.given("settings")
            learnt, number = Documents.open(ids, ["train"]), settings.labels.number
            return (_tokens_of(learnt, number) + self._tokens_read(node)) / BASELINE
        return self._judging(node) if kind in ("judge", "choose") else 0.0

    def _training(self, name: str, task: Callable[[], Trainable]) -> float:
        found = task()
        if not found.steps:
            return 0.0
        if name not in self.speeds:  # by the first met: its shape stands for all of them
            beside = [found, task()] if self.at_a_time > 1 else [found]
            self.speeds[name] = speed_of(beside, 1, self.workspace.root / "speeds")
        return estimate(found, self.speeds[name])

    def _lm(self, node: Node) -> Trainable:
        model = node.given("model") if node.name.kind == "pretrain" else self.model
        corpus = node.given("ids").given("corpus")
        text = self._training_text(corpus, self._amount(corpus), TRAINING_SPLITS, node.given("direction"))
        return lm_task(text, model, node.given("config"), self.placement)

    def _classifier(self, node: Node) -> Trainable:
        corpus, settings = node.given("corpus"), node.given("settings")
        number = settings.labels.number or corpus.given("config").max_train
        text = self._training_text(corpus, number, ("train",), node.given("direction"))
        return classifier_task(text, settings.model, settings.classifier, self.placement)

    def _training_text(self, corpus: Node, number: int | None, splits: Sequence[str], direction: Direction) -> TrainingText:
        """So many documents of the whole corpus, as a sample that is drawn of it later will have them: validation documents in proportion."""
        whole = self._text(corpus)
        ids = self.made[whole.ids].path
        labelled, train, valid = (Documents.open(ids, names) for names in (["train"], splits, ["valid"]))
        share = min(1.0, (corpus.given("config").max_train or len(labelled)) / len(labelled))
        vocab, labels = Vocab.load(self.made[whole.vocab].file), tuple(self.made[whole.corpus].record.labels)
        return TrainingText(_some(train, number), _some(valid, math.ceil(share * len(valid))), vocab, direction, labels)

    def _judging(self, node: Node) -> float:
        directions = sum(node.given(direction) is not None for direction in DIRECTIONS)
        flops = sum(layer_flops(self.model)) * self._tokens_read(node) * directions
        speed = self.speeds.get("classifier")
        return flops / speed if speed else 0.0

    def _tokens_read(self, node: Node) -> float:
        """Of the documents that a stage predicts: all that it may choose from, or so many as judge."""
        ids, settings = self.made[self._text(node.given("corpus")).ids].path, node.given("settings")
        if node.name.kind == "choose":
            return Documents.open(ids, ["train"]).tokens
        return _tokens_of(Documents.open(ids, [settings.judge]), settings.evaluate.max_documents)

    def _text(self, corpus: Node) -> Text:
        source = corpus.given("source")
        return next(text for text in self.study.texts.values() if cast(Node, text.corpus).given("source") == source)

    def _amount(self, corpus: Node) -> int | None:
        """Documents that a language model reads of a sampled corpus; None: all."""
        sampled, rows = corpus.given("config"), self.made[self._text(corpus).corpus].record.splits["train"].documents
        return None if sampled.max_unlabelled is None else (sampled.max_train or rows) + sampled.max_unlabelled

    @property
    def model(self) -> ModelConfig:
        """The sizes, the same in all trials."""
        return self.study.ends[0][1].settings.model


def _some(documents: Documents, number: int | None) -> Documents:
    """So many of the documents, at random, in their order; None: all."""
    return documents.take(np.sort(np.random.default_rng(0).permutation(len(documents))[:number]))


def _tokens_of(documents: Documents, number: int | None) -> float:
    """Of so many of the documents; None: of all."""
    return documents.tokens * min(1.0, (number or len(documents)) / max(1, len(documents)))


def foresee(plan: StudyPlan) -> StudyOutlook:
    """The outlook of a study that is not run: of its stages only those of the whole corpora's text are made, here."""
    base = plan.base
    context = Context(base.workspace.store, base.workspace.downloads, parts=base.settings.parts, placement=base.placement)
    study, made = StudyDag.of(plan, context), dict[Node, Finished[Any]]()
    for text in study.texts.values():
        for node in study.nodes_of(cast(Node, text.ids)):
            value = lambda argument: made[argument].output if isinstance(argument, Node) else argument
            made[node] = Finished(node.name, make(node.stage(*map(value, node.arguments)), context), True)
    for corpus, text in study.texts.items():
        check_labels(plan, corpus, Results(made)[text.corpus])
    return Foresight.of(study, Results(made), context, base.workspace, cores()).outlook()
