"""The method's trainings (Howard & Ruder 2018, sec. 3): pretrain, fine-tune or go on, train the classifier; ``train`` is the door to them.

Each writes ``model.safetensors``, ``config.json``, ``vocab.json`` and ``history.json`` into its folder, and ``lr_finder.json`` where
learning rates are tried first.
"""

import logging
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import torch

from ulmfit.config import ClassifierConfig, LMConfig, ModelConfig
from ulmfit.directions import Direction
from ulmfit.errors import UserError
from ulmfit.evaluation.calibration import calibrate
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import ModelFacts, load_language_model, read_saved_model, save_model
from ulmfit.models.transfer import average_weights, take_encoder, transfer_vocabulary
from ulmfit.store import filesystem
from ulmfit.text.vocab import Vocab
from ulmfit.training.checkpoint import FOLDER, Checkpoints
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.classifying import Classifying
from ulmfit.training.curves import Curves
from ulmfit.training.epochs import warm_amount
from ulmfit.training.language_modelling import LanguageModelling, perplexity
from ulmfit.training.loop import fit
from ulmfit.training.lr_finder import range_test
from ulmfit.training.out_of_fold import Unseen, left_out, write_left_out
from ulmfit.training.placement import Placement
from ulmfit.training.processes.launcher import run_on
from ulmfit.training.specs import (
    ClassifySpec,
    FinetuneSpec,
    HeldOutPerplexities,
    PretrainSpec,
    TrainingRecord,
    TrainingSpec,
    TrainingText,
    WarmSpec,
)

log = logging.getLogger(__name__)

PRETRAIN_VERSION = 2
FINETUNE_VERSION = 2
CLASSIFIER_VERSION = 3
WARM_VERSION = 1


def train(spec: TrainingSpec, folder: Path, place: Placement) -> TrainingRecord:
    """Train what ``spec`` describes into ``folder``, here or on ``place.processes`` processes of this machine.

    A training that was interrupted continues from its last checkpoint, unless ``place.resume`` is False.
    UserError where the input or a setting is at fault; RunFailed where a process dies.
    """
    if not place.resume:
        filesystem.remove(folder / FOLDER)
    if place.processes > 1:
        return run_on(spec, folder, place)
    match spec:
        case PretrainSpec():
            return pretrain(spec.text(), spec.model, spec.config, folder, place)
        case FinetuneSpec():
            return finetune(spec.text(), spec.pretrained, spec.config, folder, place)
        case WarmSpec():
            return go_on(spec, folder, place)
        case ClassifySpec():
            return train_classifier(spec.text(), spec.lm, spec.model, spec.config, folder, place)


def pretrain(text: TrainingText, model: ModelConfig, config: LMConfig, folder: Path, place: Placement = Placement()) -> TrainingRecord:
    """A language model from random weights (sec. 3.1)."""
    lm = LanguageModel(len(text.vocab), model, config.dropouts, config.seed)
    return _train_lm(lm, text, config, folder, place, f"pretrain {text.direction}")


def finetune(text: TrainingText, pretrained: Path, config: LMConfig, folder: Path, place: Placement = Placement()) -> TrainingRecord:
    """The language model in ``pretrained``, trained further on ``text``; its rows are carried over to ``text.vocab`` (sec. 3.2)."""
    lm, kept = _carried_over(text, pretrained, config)
    record = _train_lm(lm, text, config, folder, place, f"fine-tune {text.direction}")
    return record.model_copy(update={"rows_kept": kept, "rows_new": len(text.vocab) - kept})


def go_on(spec: WarmSpec, folder: Path, place: Placement = Placement()) -> TrainingRecord:
    """The language model in ``spec.earlier``, trained further on new documents and old ones; its rows are carried over.

    The weights become the average of those before and after, with a share ``spec.keep`` of those before. The perplexity of the held-out
    documents, old and new, is measured before and after. With less than ``LEAST_TOKENS`` the model stays as it is.
    """
    text, held_out = spec.text(), spec.held_out()
    lm, kept = _carried_over(text, spec.earlier, spec.config)
    before = [perplexity(lm, documents, text.direction, place.device) for documents in held_out]
    weights = {name: weight.clone() for name, weight in lm.state_dict().items()}
    old_words = Vocab.load(spec.earlier / "vocab.json")
    known = torch.tensor([token in old_words for token in text.vocab.tokens], device=place.device)
    average = lambda lm: average_weights(lm, weights, spec.keep, known)
    record = _train_lm(lm, text, warm_amount(spec.config, text.train.tokens), folder, place, f"go on {text.direction}", average)
    old, new = (perplexity(lm, documents, text.direction, place.device) for documents in held_out)
    found = HeldOutPerplexities(old_before=before[0], old=old, new_before=before[1], new=new)
    return record.model_copy(update={"rows_kept": kept, "rows_new": len(text.vocab) - kept, "held_out": found})


def _carried_over(text: TrainingText, pretrained: Path, config: LMConfig) -> tuple[LanguageModel, int]:
    """The language model in ``pretrained`` over the vocabulary of ``text``, and how many of its rows it keeps."""
    lm, old = _open(pretrained, text.direction)
    kept = sum(token in old for token in text.vocab.tokens)
    return transfer_vocabulary(lm, old, text.vocab, config.dropouts, config.seed), kept


def _open(folder: Path, direction: Direction) -> tuple[LanguageModel, Vocab]:
    """The language model in ``folder`` and its vocabulary. UserError where they do not belong together, or it reads the other way."""
    lm, vocab = load_language_model(folder), Vocab.load(folder / "vocab.json")
    if lm.encoder.vocab_size != len(vocab):
        raise UserError(
            f"{folder}: the model has {lm.encoder.vocab_size} rows, vocab.json {len(vocab)} tokens; take both from one training"
        )
    found = read_saved_model(folder).direction
    if found not in (None, direction):
        raise UserError(f"{folder}: the language model reads {found}; give one that reads {direction}")
    return lm, vocab


def _train_lm(
    lm: LanguageModel,
    text: TrainingText,
    config: LMConfig,
    folder: Path,
    place: Placement,
    name: str,
    finish: Callable[[LanguageModel], None] = lambda lm: None,
) -> TrainingRecord:
    place, curves = _begin(folder, place)
    task = LanguageModelling(lm, text, config, place, name)
    if config.epochs == "auto":
        epochs, streams = task.config.epochs, task.config.batch_size
        log.info("%s: %d tokens, so %g epochs in %d parallel streams", name, text.train.tokens, epochs, streams)
    suggested = range_test(task, folder)
    record = fit(task, curves)
    finish(lm)
    if place.team.leads:
        save_model(folder, lm, ModelFacts(direction=text.direction))
        _complete(folder, text.vocab, curves)
    return record.model_copy(update={"lr_suggested": suggested})


def _begin(folder: Path, place: Placement) -> tuple[Placement, Curves]:
    """The placement with the checkpoints of the training in ``folder``, and its curves."""
    folder.mkdir(parents=True, exist_ok=True)
    return replace(place, checkpoints=folder / FOLDER), Curves(place.observe, place.follow)


def _complete(folder: Path, vocab: Vocab, curves: Curves) -> None:
    """What goes with every trained model; its checkpoints have served."""
    vocab.save(folder / "vocab.json")
    curves.save(folder)
    Checkpoints(folder / FOLDER).clear()


def train_classifier(
    text: TrainingText, lm: Path | None, model: ModelConfig, config: ClassifierConfig, folder: Path, place: Placement = Placement()
) -> TrainingRecord:
    """A classifier on the encoder of the language model in ``lm``, or from random weights where that is None (sec. 3.3)."""
    place, curves = _begin(folder, place)
    labels = LabelSet.of(text.labels, config)
    prepare = lambda text, place, name: _classifying(text, lm, model, Objective(config, labels, text.train.labels), place, name)
    name = f"classify {text.direction}" if lm else f"classify {text.direction}, from scratch"
    task = prepare(text, place, name)
    if config.epochs == "auto":
        log.info("%s: %d documents, so %d epochs", name, len(text.train), task.passes)
    suggested = range_test(task, folder)
    record = fit(task, curves).model_copy(update={"lr_suggested": suggested})
    folds = left_out(task, prepare)
    if not place.team.leads:
        return record
    valid = Unseen.of(task, task.valid)
    unseen = Unseen.joined([valid, folds]) if folds else valid
    found = calibrate(unseen.logits, labels.targets_of(unseen.codes), config)
    if folds:
        write_left_out(folder, folds, labels, found.temperature)
    facts = ModelFacts(
        direction=text.direction, labels=tuple(labels.names), bptt=config.bptt, max_tokens=config.max_tokens, calibration=found
    )
    save_model(folder, task.model, facts)
    _complete(folder, text.vocab, curves)
    return record.model_copy(update=found.model_dump(include={"temperature", "ece_before", "ece_after"}))


def _classifying(text: TrainingText, lm: Path | None, model: ModelConfig, objective: Objective, place: Placement, name: str) -> Classifying:
    """The training of a new classifier."""
    config = objective.config
    head = HeadConfig(config.hidden, config.head_dropouts)
    classifier = Classifier(len(text.vocab), len(objective.labels), model, config.dropouts, head, config.seed)
    if lm:
        pretrained, words = _open(lm, text.direction)
        if words != text.vocab:
            raise UserError(f"{lm}: the language model has another vocabulary than the classifier; fine-tune it with that one first")
        take_encoder(classifier, pretrained)
    return Classifying(classifier, text, objective, place, name)
