"""The training stages, folder to folder: what the DAG's tasks and the estimator both call.

Each writes ``model.safetensors``, ``config.json``, ``vocab.json`` and ``history.json`` into its folder and returns its record.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ulmfit.config import ClassifierConfig, LMConfig, ModelConfig
from ulmfit.errors import UserError
from ulmfit.models.classifier import Classifier
from ulmfit.models.files import load_language_model, read_config, save_model
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.transfer import take_encoder, transfer_vocabulary
from ulmfit.shards import Documents
from ulmfit.text.vocab import Vocab
from ulmfit.training.classifier import train_classifier_model
from ulmfit.training.language_model import train_language_model
from ulmfit.training.loop import Curves, Observer

PRETRAIN_VERSION = 1
FINETUNE_VERSION = 1
CLASSIFIER_VERSION = 1


def pretrain(
    train: Documents,
    valid: Documents,
    vocab: Vocab,
    model: ModelConfig,
    config: LMConfig,
    direction: str,
    folder: Path,
    device: str = "cpu",
    observe: Observer | None = None,
) -> dict[str, Any]:
    """A language model from scratch (Howard & Ruder 2018, sec. 3.1)."""
    lm = LanguageModel(len(vocab), model, config.dropouts, config.seed)
    return _train_lm(lm, train, valid, vocab, config, direction, folder, device, observe, f"pretrain {direction}")


def finetune(
    pretrained: Path,
    train: Documents,
    valid: Documents,
    vocab: Vocab,
    config: LMConfig,
    direction: str,
    folder: Path,
    device: str = "cpu",
    observe: Observer | None = None,
) -> dict[str, Any]:
    """The language model in ``pretrained`` on other text, its vocabulary carried over to ``vocab`` (sec. 3.2)."""
    lm, old = _open(pretrained, direction)
    kept = sum(token in old for token in vocab.tokens)
    lm = transfer_vocabulary(lm, old, vocab, config.dropouts, config.seed)
    record = _train_lm(lm, train, valid, vocab, config, direction, folder, device, observe, f"fine-tune {direction}")
    return {**record, "rows_kept": kept, "rows_new": len(vocab) - kept}


def _open(folder: Path, direction: str) -> tuple[LanguageModel, Vocab]:
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
    direction: str,
    folder: Path,
    device: str,
    observe: Observer | None,
    name: str,
) -> dict[str, Any]:
    folder.mkdir(parents=True, exist_ok=True)
    curves = Curves(observe)
    record = train_language_model(lm, train, valid, config, direction, device, curves, name)
    save_model(folder, lm, direction=direction)
    vocab.save(folder / "vocab.json")
    curves.save(folder)
    return record


def train_classifier(
    lm: Path | None,
    train: Documents,
    valid: Documents,
    vocab: Vocab,
    labels: Sequence[str],
    model: ModelConfig,
    config: ClassifierConfig,
    direction: str,
    folder: Path,
    device: str = "cpu",
    observe: Observer | None = None,
) -> dict[str, Any]:
    """A classifier on the encoder of the language model in ``lm``, or from scratch where it is None (sec. 3.3)."""
    folder.mkdir(parents=True, exist_ok=True)
    if len(train) < 2:
        raise UserError(f"{len(train)} labelled documents are too few to train a classifier; give 2 or more")
    classifier = Classifier(len(vocab), len(labels), model, config.dropouts, config.hidden, config.head_dropouts, config.seed)
    if lm:
        pretrained, words = _open(lm, direction)
        if words != vocab:
            raise UserError(f"{lm}: the language model has another vocabulary than the classifier; fine-tune it with that one first")
        take_encoder(classifier, pretrained)
    curves = Curves(observe)
    name = f"classify {direction}" if lm else f"classify {direction}, from scratch"
    record = train_classifier_model(classifier, train, valid, config, direction, device, curves, name)
    save_model(folder, classifier, direction=direction, labels=list(labels), bptt=config.bptt, max_tokens=config.max_tokens)
    vocab.save(folder / "vocab.json")
    curves.save(folder)
    return record


def model_config(folder: Path) -> ModelConfig:
    """The sizes of the saved model in ``folder``. UserError where it holds none."""
    return ModelConfig(**read_config(folder)["model"])
