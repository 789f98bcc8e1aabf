"""The stages at the end of a study's trials: a classifier of one direction or both is judged, or a method of words learns and is judged."""

import time
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ulmfit.compute.precision import inference_products
from ulmfit.config import ClassifierConfig, EvaluateConfig, Settings
from ulmfit.directions import ENSEMBLE, WITH_WORDS, Direction, Member
from ulmfit.evaluation.evaluate import evaluate
from ulmfit.evaluation.mixture import EQUAL, Shares
from ulmfit.evaluation.predictions import HeldOut, Predictions, write_predictions
from ulmfit.evaluation.results import FILE
from ulmfit.evaluation.weighing import fit_mixture
from ulmfit.experiments.methods.decoder import digest_of
from ulmfit.experiments.methods.named import WordMethod, method_named
from ulmfit.labels.drawing import rows_to_judge, rows_to_learn
from ulmfit.labels.label_set import LabelSet, probabilities
from ulmfit.models.saving import load_classifier, read_saved_model
from ulmfit.models.words import WordModel
from ulmfit.prediction.logits import FoldedClassifier, predict_logits
from ulmfit.shards.documents import Documents
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.models import drawn_labels, rows_to_weigh, weighing
from ulmfit.stages.outputs import ChosenRows, Classifier, Corpus, Evaluation, IdShards, Output, Words
from ulmfit.stages.stage import Context, Stage, keys_of
from ulmfit.store.artifacts import Built
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.recipe import Recipe

JUDGE_VERSION = 2
WORDS_VERSION = 3


def judge(
    corpus: Corpus,
    ids: IdShards,
    forward: Classifier | None,
    backward: Classifier | None,
    settings: Settings,
    word_model: Words | None = None,
) -> Stage[Evaluation]:
    """Scores of a classifier of one direction, or of both and their average; with a ``word_model`` beside both, of the ensemble of three.

    Of ``settings``: ``evaluate``, ``judge``, and with a ``word_model`` the part of ``classifier`` that says which documents weigh it.
    Unlike ``measure`` it needs no finished model, and has no baseline beside it: in a study that is a trial of its own.
    """
    both: dict[Direction, Classifier | None] = {"forward": forward, "backward": backward}
    given: dict[Direction, Classifier] = {direction: classifier for direction, classifier in both.items() if classifier}
    inputs: dict[str, Output[Any]] = {"corpus": corpus, "ids": ids} | {str(name): made for name, made in given.items()}
    facts: dict[str, Any] = {"judge": settings.judge, **settings.evaluate.keyed()}
    if word_model:
        inputs["words"] = word_model
        facts |= weighing(settings.classifier)
    recipe = Recipe("evaluation", JUDGE_VERSION, facts, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        device, (documents, sample) = context.placement.device, _to_judge(corpus, settings)
        started = time.perf_counter()
        systems = _predicted(given, ids, settings.judge, device, sample)
        seconds = time.perf_counter() - started
        found: dict[str, Predictions] = {str(direction): system for direction, system in systems.items()}
        if len(systems) > 1:
            found[ENSEMBLE] = Predictions(
                EQUAL.join({direction: system.probabilities for direction, system in systems.items()}, "multi-class")
            )
        if word_model:
            known = rows_to_weigh(len(Documents.open(ids.path, ["valid"])), settings.classifier)
            found |= _with_words(word_model, corpus, systems, _predicted(given, ids, "valid", device, known), known, list(documents.texts))
        return _judged(work, documents, settings.evaluate, found, seconds)

    return Stage(Evaluation, recipe, inputs, build, trains=True)


def _with_words(
    word_model: Words,
    corpus: Corpus,
    judged: dict[Direction, Predictions],
    valid: dict[Direction, Predictions],
    known: NDArray[np.int64],
    texts: list[str],
) -> dict[str, Predictions]:
    """What words predict of ``texts``, and what all three do, weighed by what they predict of the ``valid`` documents whose rows are ``known``."""
    strings = corpus.record.labels
    words, rows = WordModel.load(word_model.path, len(strings)), read_split(corpus, "valid").take(known.tolist())

    def members(texts: list[str], directions: dict[Direction, Predictions]) -> dict[Member, Shares]:
        said: dict[Member, Shares] = {direction: system.probabilities for direction, system in directions.items()}
        return {**said, "words": words.probabilities(texts, "multi-class")}

    mixture = fit_mixture(members(rows.texts, valid), rows.codes(strings), "multi-class")
    of_judged = members(texts, judged)
    answer, plain = mixture.join(of_judged, "multi-class", calibrated=True), mixture.join(of_judged, "multi-class", calibrated=False)
    return {"words": Predictions(of_judged["words"]), WITH_WORDS: Predictions(answer, plain)}


def _predicted(
    classifiers: dict[Direction, Classifier], ids: IdShards, split: str, device: str, rows: NDArray[np.int64] | None = None
) -> dict[Direction, Predictions]:
    documents = Documents.open(ids.path, [split])
    if rows is not None:
        documents = documents.take(rows)
    return {direction: predicted(classifier, documents, direction, device) for direction, classifier in classifiers.items()}


def predicted(classifier: Classifier, documents: Documents, direction: Direction, device: str) -> Predictions:
    """What a classifier of one direction says of ``documents``."""
    saved, model = read_saved_model(classifier.path, "classifier"), load_classifier(classifier.path).to(device)
    folded = FoldedClassifier(model, inference_products("auto", device, model.encoder.config.hidden))
    logits = predict_logits(folded, documents, direction, saved.max_tokens)
    temperature = saved.calibration.temperature if saved.calibration else 1.0
    return Predictions(*(probabilities(logits, "multi-class", each).numpy() for each in (temperature, 1.0)))


def words(
    corpus: Corpus, method: WordMethod, settings: Settings, decoder: str | None = None, chosen: ChosenRows | None = None
) -> Stage[Evaluation]:
    """Scores of a method beside ours, which learns from the labelled rows that are drawn. Of ``settings``: ``labels``, ``evaluate``, ``judge``.

    ``decoder``: the folder of that method's model, which is known by its content. ``chosen``: the rows to learn from, in the place of a draw.
    """
    inputs: dict[str, Output[Any]] = {"corpus": corpus} | ({"chosen": chosen} if chosen else {})
    labels, seed = drawn_labels(settings, chosen), settings.labels.seed
    facts = {"method": method, "seed": seed, "labels": labels.keyed(), "judge": settings.judge}
    folder = Path(decoder) if decoder else None
    known = {"decoder": digest_of(folder)} if folder else {}
    recipe = Recipe("evaluation", WORDS_VERSION, {**settings.evaluate.keyed(), **facts, **known}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        strings = corpus.record.labels
        train, (tests, _) = read_split(corpus, "train"), _to_judge(corpus, settings)
        learner = method_named(method, seed, context.downloads, [*train.texts, *tests.texts], folder, context.placement.device)
        train = train.take(rows_to_learn(train.codes(strings), labels, chosen.rows if chosen else None).tolist())
        started = time.perf_counter()
        fitted = learner.fit(train.texts, train.codes(strings), len(strings))
        learnt = time.perf_counter()
        found = {str(method): Predictions(fitted.probabilities(tests.texts))}
        return _judged(work, tests, settings.evaluate, found, time.perf_counter() - learnt, learnt - started)

    return Stage(Evaluation, recipe, inputs, build, trains=True)


def _to_judge(corpus: Corpus, settings: Settings) -> tuple[HeldOut, NDArray[np.int64]]:
    """The documents to judge by, and where they stand in their split."""
    rows, strings = read_split(corpus, settings.judge), corpus.record.labels
    sample = rows_to_judge(rows.codes(strings), settings.evaluate)
    rows = rows.take(sample.tolist())
    return HeldOut(rows.ids, rows.texts, rows.codes(strings), LabelSet.of(strings, ClassifierConfig()).names), sample


def _judged(
    work: Path, documents: HeldOut, config: EvaluateConfig, systems: dict[str, Predictions], seconds: float, training: float | None = None
) -> Built:
    """The scores written; their record. ``seconds``: to predict all documents; ``training``: to learn."""
    results = evaluate(systems, documents, config)
    write_predictions(work, systems, documents)
    write_bytes(work / FILE, results.to_json().encode())
    speed = {"documents_per_second": len(documents.ids) / max(seconds, 1e-9), "training_seconds": training}
    return Built(results.record().model_copy(update=speed).model_dump())
