"""Our side of ``fastai_training.py``: the library's own training and prediction, with fastai's sizes and dropouts.

Each function takes a :class:`measuring.Task` and gives figures. The calls of the library stand at the top.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import imdb
import numpy as np
from measuring import SEQ_LEN, SIZES, Task, peak_mb

from ulmfit import TextClassifier, Tokenizer
from ulmfit.config import ClassifierConfig, Dropouts, LMConfig, ModelConfig
from ulmfit.directions import DIRECTIONS
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import ModelFacts, save_model
from ulmfit.prediction.bundle import write_bundle
from ulmfit.prediction.predictor import Predictor
from ulmfit.shards.documents import Documents
from ulmfit.text.vocab import Vocab
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.classifying import Classifying
from ulmfit.training.curves import Curves
from ulmfit.training.language_modelling import LanguageModelling
from ulmfit.training.loop import fit
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingRecord, TrainingText

MODEL = ModelConfig(**SIZES)
LM_DROPOUTS = Dropouts(output=0.1, hidden=0.15, input=0.25, embedding=0.02, weight=0.2)
CLASSIFIER_DROPOUTS = Dropouts(output=0.4, hidden=0.3, input=0.4, embedding=0.05, weight=0.5).scaled(0.5)  # its learner's drop_mult
HEAD_DROPOUTS = (0.4 * 0.5, 0.1)
LABELS = ["neg", "pos"]
WARM_UP = 16  # steps before the clock starts: by then most lengths of a window have been met, and a kernel made for each


def _train_lm(model: LanguageModel, text: TrainingText, config: LMConfig, curves: Curves) -> TrainingRecord:
    return fit(LanguageModelling(model, text, config, Placement(), "language model"), curves)


def _train_classifier(model: Classifier, text: TrainingText, config: ClassifierConfig) -> TrainingRecord:
    objective = Objective(config, LabelSet.of(LABELS, config), text.train.labels)
    return fit(Classifying(model, text, objective, Placement(), "classifier"), Curves())


def _forward(ids: imdb.Ids, train: Documents, valid: Documents | None = None) -> TrainingText:
    return TrainingText(train, Documents.of([]) if valid is None else valid, Vocab(ids.vocab), "forward")


def _one_direction(predictor: Predictor, documents: Documents) -> Any:
    """Logits by the forward classifier alone, as ``Predictor.logits_of`` gets them for both."""
    return predictor.logits_of(documents, ["forward"])["forward"]


def _lm_config(task: Task, tokens: int) -> LMConfig:
    return LMConfig(
        epochs=1, batch_size=task.batch, max_tokens=tokens, lr=2e-3, dropouts=LM_DROPOUTS, precision=task.precision, seed=task.seed
    )


def _text(task: Task, tokens: int) -> tuple[imdb.Ids, Documents]:
    """The ids, and documents of ``tokens`` tokens: a little more, since each stream loses its last one."""
    ids = imdb.load(task.words)
    return ids, Documents.of(ids.docs(ids.enough(tokens + 2 * task.batch, task.seed)))


def lm(task: Task) -> dict[str, Any]:
    """Training of the language model, two steps of it before the clock starts."""
    ids, train = _text(task, task.tokens)
    model, text = LanguageModel(len(ids.vocab), MODEL, LM_DROPOUTS, task.seed), _forward(ids, train)
    _train_lm(model, text, _lm_config(task, WARM_UP * task.batch * LMConfig().bptt), Curves())
    before = peak_mb()
    record = _train_lm(model, text, _lm_config(task, task.tokens), Curves())
    return {**_figures(record), "before_mb": before}


def lm_loss(task: Task) -> dict[str, Any]:
    """The smoothed training loss after ``steps`` steps, and the validation loss on other documents where the training ends."""
    tokens = task.steps * task.batch * LMConfig().bptt  # a window is a little shorter at the mean, so there are some steps more
    ids, train = _text(task, tokens)
    valid = Documents.of(ids.docs(ids.sample(len(ids.labels), task.seed)[-200:]))
    curves = Curves()
    record = _train_lm(
        LanguageModel(len(ids.vocab), MODEL, LM_DROPOUTS, task.seed), _forward(ids, train, valid), _lm_config(task, tokens), curves
    )
    losses = {point.step: point.value for point in curves.points if point.name == "train_loss"}
    step = max(step for step in losses if step <= task.steps)
    return {"step": step, "train_loss": losses[step], "valid_loss": record.valid_loss, **_figures(record)}


def classifier(task: Task) -> dict[str, Any]:
    """One epoch over the documents, all layers learning, gradients over as many positions as fastai's; after one before the clock starts."""
    ids, train = _labelled(task)
    model = Classifier(len(ids.vocab), len(LABELS), MODEL, CLASSIFIER_DROPOUTS, head=HeadConfig(dropouts=HEAD_DROPOUTS), seed=task.seed)
    config = ClassifierConfig(
        epochs=1,
        batch_size=task.batch,
        batch_tokens=400 * task.batch,  # a batch of long documents has fewer of them
        bptt=SEQ_LEN,
        max_gradient_tokens=20 * SEQ_LEN,
        lr=1e-3,
        unfreeze="full",
        dropouts=CLASSIFIER_DROPOUTS,
        head_dropouts=HEAD_DROPOUTS,
        precision=task.precision,
        calibrate=False,
        seed=task.seed,
    )
    before = peak_mb()
    text = _forward(ids, train)
    _train_classifier(model, text, config)
    return {**_figures(_train_classifier(model, text, config)), "documents": len(train), "before_mb": before}


def inference(task: Task) -> dict[str, Any]:
    """Logits of all documents, encoded beforehand, by a loaded model's forward classifier; it makes its own batches; after once before the clock starts."""
    ids, documents = _labelled(task)
    predictor, _ = _loaded(ids.vocab, task.seed)
    before = peak_mb()
    _one_direction(predictor, documents)
    started = time.perf_counter()
    logits = _one_direction(predictor, documents)
    seconds = time.perf_counter() - started
    return {"seconds": seconds, "documents": len(logits), "tokens": documents.tokens, "peak_mb": peak_mb(), "before_mb": before}


def single(task: Task) -> dict[str, Any]:
    """One text of 200 words, tokenised, by one direction and by ``TextClassifier.predict``, which averages both."""
    predictor, estimator = _loaded(imdb.load(task.words).vocab, task.seed)
    ways = {
        "one direction": lambda text: _one_direction(predictor, predictor.encode([text])).softmax(1),
        "both directions": lambda text: estimator.predict([text]),
    }
    milliseconds = {}
    for number, (name, way) in enumerate(ways.items()):  # each way has texts of its own: the tokenizer remembers words
        taken = []
        for text in imdb.texts_of(200, task.calls + WARM_UP, task.seed + number):
            started = time.perf_counter()
            way(text)
            taken.append(1000 * (time.perf_counter() - started))
        milliseconds[name] = taken[WARM_UP:]
    return {"milliseconds": milliseconds, "peak_mb": peak_mb()}


def _labelled(task: Task) -> tuple[imdb.Ids, Documents]:
    ids = imdb.load(task.words)
    index = ids.sample(task.documents, task.seed)
    return ids, Documents.of(ids.docs(index), ids.labels[index].astype(np.int32))


def _loaded(tokens: list[str], seed: int) -> tuple[Predictor, TextClassifier]:
    """A model of both directions with random weights, written as a training leaves it, and loaded."""
    vocab = Vocab(tokens)
    with tempfile.TemporaryDirectory() as folder:
        parts = [Path(folder) / "parts" / direction for direction in DIRECTIONS]
        for direction, part in zip(DIRECTIONS, parts, strict=True):
            part.mkdir(parents=True)
            model = Classifier(len(vocab), len(LABELS), MODEL, CLASSIFIER_DROPOUTS, seed=seed)
            save_model(part, model, ModelFacts(direction=direction, labels=tuple(LABELS), bptt=SEQ_LEN))
        vocab.save(Path(folder) / "parts" / "vocab.json")
        write_bundle(Path(folder), *parts, Path(folder) / "parts" / "vocab.json", Tokenizer(rules=imdb.RULES).definition)
        return Predictor(folder), TextClassifier.load(folder, device="cpu")


def _figures(record: TrainingRecord) -> dict[str, Any]:
    return {"seconds": record.training_seconds, "tokens": record.trained_tokens, "steps": record.steps, "peak_mb": peak_mb()}


WORKS = {"lm": lm, "lm-loss": lm_loss, "classifier": classifier, "inference": inference, "single": single}
