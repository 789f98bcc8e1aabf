"""Before a DAG trains: which stages are there, how long the others will take here, and how much of everything fits into ``--minutes``."""

import logging
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from flows.dag import Dag, Results, missing
from flows.plan import Plan
from flows.request import TrainRequest
from flows.text import Text
from tasks.run import Job
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.prediction.explain import words_read
from ulmfit.progress import clock, outlook
from ulmfit.shards.documents import Documents
from ulmfit.stages.explaining import MISTAKES
from ulmfit.stages.models import VALID, WEIGHED, language_model_text, warm_spec, warm_training
from ulmfit.stages.stage import StageName
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.recipe import Recipe
from ulmfit.training.amounts import Choice, PassOver, usual_settings, with_amounts
from ulmfit.training.classifying import Classifying
from ulmfit.training.epochs import LEAST_TOKENS, warm_amount
from ulmfit.training.language_modelling import LanguageModelling
from ulmfit.training.loop import Trainable
from ulmfit.training.out_of_fold import fold_name, number_of_folds
from ulmfit.training.rehearsal import AFTER, classifier_task, costs_of, estimate, lm_task, prediction_seconds, speed_of, usual_amounts
from ulmfit.training.specs import ClassifySpec

log = logging.getLogger(__name__)

BARS = {"pretrain": "pretrain", "finetune": "fine-tune", "classify": "classify", "scratch": "classify"}  # what a stage's progress is called


class Rehearsal:
    """The trainings of a plan on random weights: their work, and the speed at which this machine does it, each found out once."""

    def __init__(self, plan: Plan, job: Job, made: Results, domain: Text | None, general: Text | None):
        self.plan, self.job, self.made, self.domain, self.general = plan, job, made, domain, general
        self.directions: Sequence[Direction] = plan.request.trained_directions()  # type: ignore[attr-defined]
        self.side_by_side = plan.placement.device == "cpu"

    def tasks(self, kind: str) -> list[Trainable]:
        """A training of that kind in each direction that is trained at the same time."""
        return [self._task(kind, direction) for direction in self.directions[: None if self.side_by_side else 1]]

    def _task(self, kind: str, direction: Direction) -> Trainable:
        settings, place = self.plan.settings, self.plan.placement
        text = self.general if kind == "pretrain" else self.domain
        assert text is not None, f"{kind} has text"
        ids, vocab = self.made[text.ids], self.made[text.vocab]
        read = language_model_text(ids, vocab, direction)
        if kind == "finetune" and text.warm:
            warm = text.warm
            training = warm_training(warm.config, settings.finetune)
            mixed = warm_spec(warm.lms[direction].path, read, warm.new_parts, warm.config, training).text()
            return lm_task(mixed, settings.model, warm_amount(training, mixed.train.tokens), place)
        if kind in ("pretrain", "finetune"):
            config = settings.pretrain if kind == "pretrain" else settings.finetune
            return lm_task(read.text(), settings.model, config, place)
        spec = ClassifySpec(
            ids=ids.path,
            train=("train",),
            valid=VALID,
            vocab=vocab.file,
            direction=direction,
            labels=tuple(self.made[text.corpus].record.labels),
            lm=None,
            model=settings.model,
            config=settings.classifier,
            drawn=settings.labels,
        )
        return classifier_task(spec.text(), settings.model, settings.classifier, place)

    def speed(self, tasks: Sequence[Trainable]) -> float:
        """Flops per second of each."""
        return speed_of(tasks, self.job.threads, self.job.workspace.root / "speeds")

    def judged(self) -> Documents:
        """The documents that the model is judged by."""
        assert self.domain is not None, "there is a domain to judge"
        return Documents.open(self.made[self.domain.ids].path, [self.plan.settings.judge])


def within_minutes(plan: Plan, job: Job, made: Results, domain: Text, general: Text | None) -> Plan:
    """The plan with as much of everything as fits into the minutes that its request names.

    The choice is kept in the workspace, so that the same command makes the same again, however fast its text is found.
    """
    request = plan.request
    if not isinstance(request, TrainRequest) or request.minutes is None:
        return plan
    plan = replace(plan, settings=usual_settings(plan.settings))
    rehearsal = Rehearsal(plan, job, made, domain, general)
    lm, classifier = _lm_and_classifier(rehearsal)
    ids = made[domain.ids]
    recipe = Recipe("choice", 1, {"minutes": request.minutes, "settings": plan.settings.keyed()}, {"ids": ids.key})
    file = job.workspace.root / "choices" / f"{recipe.key}.json"
    choice = Choice.model_validate_json(file.read_bytes()) if file.exists() else None
    if choice is None:
        choice = _chosen(request.minutes, rehearsal, (lm, classifier), time.time() - plan.begun)
        file.parent.mkdir(exist_ok=True)
        write_bytes(file, choice.model_dump_json(indent=1).encode())
    for line in choice.lines():
        log.info("%s", line)
    job.tracker.log_json(job.run_id, "budget.json", choice.model_dump(mode="json"))
    text = lm.text.train.tokens
    settings = with_amounts(plan.settings, choice.chosen, choice.usual, PassOver("finetune", text, lm.config.batch_size, LEAST_TOKENS))
    return replace(plan, settings=settings)


def _lm_and_classifier(rehearsal: Rehearsal) -> tuple[LanguageModelling, Classifying]:
    lm, classifier = rehearsal.tasks("finetune")[0], rehearsal.tasks("classify")[0]
    assert isinstance(lm, LanguageModelling) and isinstance(classifier, Classifying)
    return lm, classifier


def _chosen(minutes: float, rehearsal: Rehearsal, tasks: tuple[LanguageModelling, Classifying], spent: float) -> Choice:
    started = time.monotonic()
    lm, classifier = tasks
    speeds = rehearsal.speed(rehearsal.tasks("finetune")) if lm.steps else 1.0, rehearsal.speed(rehearsal.tasks("classify"))
    judged, turns = rehearsal.judged(), 1 if rehearsal.side_by_side else 2
    costs, usual = costs_of(lm, classifier, speeds, judged, turns), usual_amounts(lm, classifier, judged)
    if rehearsal.plan.settings.scratch:
        costs = replace(costs, document=2 * costs.document, epoch=2 * costs.epoch)
    if rehearsal.general:
        pretraining = rehearsal.tasks("pretrain")
        costs = replace(costs, fixed=costs.fixed + turns * estimate(pretraining[0], rehearsal.speed(pretraining)))
    costs = replace(costs, fixed=costs.fixed + _after_judging(rehearsal, classifier, costs.judged))
    gone = spent + time.monotonic() - started
    return Choice.of(minutes, gone, usual, costs)


def announce(dag: Dag, plan: Plan, job: Job, made: Results, domain: Text | None, general: Text | None) -> None:
    """Log the plan: the stages that are there and those to make, and how long these will take; progress then tells what is left of the run."""
    absent = missing(dag, made, job.context.store)
    log.info("plan: %d stages found or done, %d to make%s", len(dag.nodes) - len(absent), len(absent), _listed(absent))
    training = [name for name in absent if name.kind in BARS]
    if not training or plan.placement.processes > 1 or job.pools:
        outlook.expect((), 0)
        return
    rehearsal = Rehearsal(plan, job, made, domain, general)
    seconds = {kind: _announced(kind, rehearsal) for kind in dict.fromkeys(name.kind for name in training)}
    after = AFTER if domain else 0.0
    if domain and any(name.kind == "evaluate" for name in absent):
        after += _judging(rehearsal)
    works = {direction: [name for name in training if name.direction == direction] for direction in rehearsal.directions}
    chains = [[work for name in names for work in _works(name, plan, domain, seconds[name.kind])] for names in works.values()]
    chains = chains if rehearsal.side_by_side else [[work for chain in chains for work in chain]]
    outlook.expect(chains, after)
    log.info("plan: some %s in all on this machine, as measured", clock(max(sum(s for _, s in chain) for chain in chains) + after))


def _works(name: StageName, plan: Plan, domain: Text | None, seconds: Sequence[float]) -> list[tuple[str, float]]:
    """The pieces of work of a training, as progress calls them, and how long each takes: the training itself, and those that leave out folds."""
    bar, (whole, *folds) = _bar(name, plan, domain), seconds
    return [(bar, whole), *((fold_name(bar, number), each) for number, each in enumerate(folds, 1))]


def _bar(name: StageName, plan: Plan, domain: Text | None) -> str:
    """What the progress of a training is called."""
    if name.kind == "finetune" and domain and domain.warm:
        return f"go on {name.direction}"
    kind = "finetune" if name.kind == "pretrain" and plan.pretrained else name.kind
    return f"{BARS[kind]} {name.direction}" + (", from scratch" if kind == "scratch" else "")


def _announced(kind: str, rehearsal: Rehearsal) -> list[float]:
    """Seconds of a training in one direction, which are logged with its amounts, and of each training that leaves out a fold."""
    tasks = rehearsal.tasks(kind)
    task = tasks[0]
    seconds = estimate(task, rehearsal.speed(tasks)) if task.steps else 0.0
    number = number_of_folds(task) if kind == "classify" and isinstance(task, Classifying) else 0
    folds = [seconds * (1 - 1 / number) for _ in range(number)]
    log.info(
        "plan: %s %s tokens in %d passes and %d steps, each direction, some %s",
        BARS[kind],
        f"{task.tokens:,}",
        task.passes,
        task.steps,
        clock(seconds),
    )
    if folds:
        log.info("plan: leave out %d folds, to find how sure to be, some %s", number, clock(sum(folds)))
    return [seconds, *folds]


def _judging(rehearsal: Rehearsal) -> float:
    tasks = rehearsal.tasks("classify")
    judged, most = rehearsal.judged(), rehearsal.plan.settings.evaluate.max_documents
    assert isinstance(tasks[0], Classifying)
    share = min(1.0, most / len(judged)) if most and len(judged) else 1.0
    each = prediction_seconds(tasks[0], judged, rehearsal.speed(tasks)) / max(1, len(judged))
    seconds = share * len(judged) * each
    log.info("plan: judge by %s documents, some %s", f"{round(share * len(judged)):,}", clock(seconds))
    return seconds + _after_judging(rehearsal, tasks[0], each)


def _after_judging(rehearsal: Rehearsal, classifier: Classifying, each: float) -> float:
    """Seconds to weigh the members by validation documents and to explain mistakes, where a document takes ``each`` to predict."""
    if set(rehearsal.directions) != set(DIRECTIONS):
        return 0.0
    judged = rehearsal.judged()
    words = max(1, round(judged.tokens / max(1, len(judged))))
    weighed = min(WEIGHED, len(classifier.text.valid)) if rehearsal.plan.settings.words else 0
    return each * (weighed + MISTAKES * words_read(words) / words)


def _listed(names: Sequence[StageName]) -> str:
    """Kinds of stages, each with its number where there are several."""
    counts = Counter(name.kind for name in names)
    return f" ({', '.join(kind if number == 1 else f'{number} {kind}' for kind, number in counts.items())})" if counts else ""
