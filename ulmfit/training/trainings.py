"""The training stages, folder to folder: what the DAG's tasks and the estimator both call.

Each writes ``model.safetensors``, ``config.json``, ``vocab.json`` and ``history.json`` into its folder (and ``lr_finder.json``, where
learning rates are tried first) and returns its record.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ulmfit.config import ClassifierConfig, LMConfig, ModelConfig
from ulmfit.directions import Direction
from ulmfit.errors import UserError
from ulmfit.evaluation.calibration import calibrate
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import load_language_model, read_config, save_model
from ulmfit.models.transfer import take_encoder, transfer_vocabulary
from ulmfit.prediction.logits import predict_logits
from ulmfit.shards.documents import Documents
from ulmfit.text.vocab import Vocab
from ulmfit.training.checkpoint import Checkpoints
from ulmfit.training.classifying import Classifying, train_classifier_model
from ulmfit.training.curves import Curves
from ulmfit.training.language_modelling import LanguageModelling, train_language_model
from ulmfit.training.loop import Run
from ulmfit.training.lr_finder import range_test
from ulmfit.training.objective import Objective

CHECKPOINTS = "checkpoints"  # a folder beside the model's files, while it is trained

PRETRAIN_VERSION = 2
FINETUNE_VERSION = 2
CLASSIFIER_VERSION = 3


def pretrain(
    train: Documents,
    valid: Documents,
    vocab: Vocab,
    model: ModelConfig,
    config: LMConfig,
    direction: Direction,
    folder: Path,
    run: Run = Run(),
) -> dict[str, Any]:
    """A language model from scratch (Howard & Ruder 2018, sec. 3.1)."""
    lm = LanguageModel(len(vocab), model, config.dropouts, config.seed)
    return _train_lm(lm, train, valid, vocab, config, direction, folder, run, f"pretrain {direction}")


def finetune(
    pretrained: Path,
    train: Documents,
    valid: Documents,
    vocab: Vocab,
    config: LMConfig,
    direction: Direction,
    folder: Path,
    run: Run = Run(),
) -> dict[str, Any]:
    """The language model in ``pretrained`` on other text, its vocabulary carried over to ``vocab`` (sec. 3.2)."""
    lm, old = _open(pretrained, direction)
    kept = sum(token in old for token in vocab.tokens)
    lm = transfer_vocabulary(lm, old, vocab, config.dropouts, config.seed)
    record = _train_lm(lm, train, valid, vocab, config, direction, folder, run, f"fine-tune {direction}")
    return {**record, "rows_kept": kept, "rows_new": len(vocab) - kept}


def _open(folder: Path, direction: Direction) -> tuple[LanguageModel, Vocab]:
    """The language model in ``folder`` and its vocabulary. UserError where they do not belong together, or it reads the other way."""
    lm, vocab = load_language_model(folder), Vocab.load(folder / "vocab.json")
    if lm.encoder.vocab_size != len(vocab):
        raise UserError(f"{folder}: the model has {lm.encoder.vocab_size} rows, vocab.json {len(vocab)} tokens; take both from one run")
    found = read_config(folder).get("direction", direction)
    if found != direction:
        raise UserError(f"{folder}: the language model reads {found}; give one that reads {direction}")
    return lm, vocab


def _train_lm(
    lm: LanguageModel,
    train: Documents,
    valid: Documents,
    vocab: Vocab,
    config: LMConfig,
    direction: Direction,
    folder: Path,
    run: Run,
    name: str,
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    run, curves = replace(run, checkpoints=folder / CHECKPOINTS), Curves(run.observe)
    tested = range_test(lambda: LanguageModelling(lm, train, valid, config, direction, run, name), config, run, folder, name)
    record = tested | train_language_model(lm, train, valid, config, direction, run, curves, name)
    if run.team.leads:
        save_model(folder, lm, direction=direction)
        _complete(folder, vocab, curves)
    return record


def _complete(folder: Path, vocab: Vocab, curves: Curves) -> None:
    """What goes with every trained model; its checkpoints have served."""
    vocab.save(folder / "vocab.json")
    curves.save(folder)
    Checkpoints(folder / CHECKPOINTS).clear()


def train_classifier(
    lm: Path | None,
    train: Documents,
    valid: Documents,
    vocab: Vocab,
    labels: Sequence[str],
    model: ModelConfig,
    config: ClassifierConfig,
    direction: Direction,
    folder: Path,
    run: Run = Run(),
) -> dict[str, Any]:
    """A classifier on the encoder of the language model in ``lm``, or from scratch where it is None (sec. 3.3)."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(train) < 2:
        raise UserError(f"{len(train)} labelled documents are too few to train a classifier; give 2 or more")
    label_set = LabelSet.of(labels, config)
    names, objective = label_set.names, Objective(config, label_set, train.labels)
    classifier = Classifier(len(vocab), len(names), model, config.dropouts, config.hidden, config.head_dropouts, config.seed)
    if lm:
        pretrained, words = _open(lm, direction)
        if words != vocab:
            raise UserError(f"{lm}: the language model has another vocabulary than the classifier; fine-tune it with that one first")
        take_encoder(classifier, pretrained)
    run, curves = replace(run, checkpoints=folder / CHECKPOINTS), Curves(run.observe)
    name = f"classify {direction}" if lm else f"classify {direction}, from scratch"
    tested = range_test(lambda: Classifying(classifier, train, valid, objective, config, direction, run), config, run, folder, name)
    record = tested | train_classifier_model(classifier, train, valid, objective, config, direction, run, curves, name)
    if not run.team.leads:
        return record
    sureness = _sureness(classifier, valid, objective, direction)
    facts: dict[str, Any] = {"direction": direction, "labels": names, "bptt": config.bptt, "max_tokens": config.max_tokens}
    save_model(folder, classifier, **facts, **sureness)
    _complete(folder, vocab, curves)
    return record | {figure: sureness[figure] for figure in ("temperature", "ece_before", "ece_after")}


def _sureness(classifier: Classifier, valid: Documents, objective: Objective, direction: Direction) -> dict[str, Any]:
    """Temperature and thresholds, found on the validation documents."""
    logits = predict_logits(classifier, valid, direction, objective.config.max_tokens)
    return calibrate(logits, objective.labels.targets_of(valid.labels), objective)


def model_config(folder: Path) -> ModelConfig:
    """The sizes of the saved model in ``folder``. UserError where it holds none."""
    return ModelConfig(**read_config(folder)["model"])
