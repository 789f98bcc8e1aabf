"""Model folders from fastai 2's files, and fastai 2's files from model folders."""

import io
import json
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save

from ulmfit.config import ClassifierConfig, ModelConfig
from ulmfit.directions import DIRECTIONS
from ulmfit.errors import UserError
from ulmfit.interop.fastai import ENCODER, LM, fastai_words, from_fastai, kind_of, to_fastai, vocabulary_of
from ulmfit.interop.safe_reading import naming, read_weights, read_words
from ulmfit.models.classifier import Classifier
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import ModelFacts, load_classifier, load_language_model, read_saved_model, save_model
from ulmfit.store.destinations import new_file, new_folder
from ulmfit.store.filesystem import output_folder, write_bytes
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.text.vocab import Vocab

PTH, SAFETENSORS = (".pth", ".pt"), ".safetensors"


class Converted(ModelConfig):
    """What was converted: the model's kind, sizes and labels, and the files that were written.

    ``words``: the size of the vocabulary. ``encoder_only``: fastai's file held no decoder. Fields that do not apply are unset.
    """

    kind: str
    direction: str | None
    words: int
    labels: list[str] | None
    encoder_only: bool = False
    folder: str | None = None
    weights: str | None = None
    vocab: str | None = None


def import_fastai(weights: Path, vocab: Path, out: Path, direction: str, labels: str | None, lang: str) -> Converted:
    """Write fastai's model as the model folder ``out``. UserError for unusable input or options; then nothing is written.

    ``labels``: the classifier's, comma-separated, in the order of its outputs; without them they are numbered.
    """
    if direction not in DIRECTIONS:
        raise UserError(f"--direction {direction}: choose one of: {', '.join(DIRECTIONS)}")
    out = Path(new_folder(str(out), "--out"))
    tokenizer = Tokenizer(lang, "fastai")
    tensors, words = read_weights(weights), read_words(vocab)
    with naming(weights):
        kind, model = kind_of(tensors), from_fastai(tensors, words)
    with naming(vocab):
        tokens = vocabulary_of(words)
    facts = ModelFacts(direction=direction, bptt=ClassifierConfig().bptt)
    if isinstance(model, Classifier):
        facts = facts.model_copy(update={"labels": tuple(_labels(labels, model))})
    elif labels is not None:
        raise UserError(f"--labels: {weights} holds a language model, which has none; leave the option out")
    with output_folder(out) as folder:
        save_model(folder, model, facts)
        tokens.save(folder / "vocab.json")
        write_bytes(folder / "tokenizer.json", json.dumps(tokenizer.definition, indent=1).encode())
    return _converted(model, facts, folder=str(out), encoder_only=kind == ENCODER)


def export_fastai(folder: Path, out: Path, vocab: Path | None) -> Converted:
    """Write the model in ``folder`` as a state dict of fastai's, and its words as a JSON list.

    UserError for an unusable folder or a path that exists; then nothing is written.
    """
    if out.suffix not in (*PTH, SAFETENSORS):
        raise UserError(f"--out {out}: weights go to a .pth or a .safetensors file")
    out, vocab = new_file(str(out), "--out"), new_file(str(vocab), "--vocab") if vocab else None
    if out == vocab:
        raise UserError(f"--vocab {vocab}: is the file of --out; choose another name")
    direction = next((part for part in DIRECTIONS if (folder / part).is_dir()), None)
    if direction:
        raise UserError(f"{folder}: holds one model per direction; name one of them, {folder / direction}")
    saved = read_saved_model(folder)
    model: LanguageModel | Classifier = load_language_model(folder) if saved.kind == LM else load_classifier(folder)
    words = fastai_words(_vocabulary(folder, model)) if vocab else None
    state = to_fastai(model)
    if out.suffix == SAFETENSORS:  # it cannot store a matrix under two names
        write_bytes(out, save({name: tensor.clone() for name, tensor in state.items()}))
    else:
        buffer = io.BytesIO()
        torch.save(state, buffer)
        write_bytes(out, buffer.getvalue())
    if vocab:
        write_bytes(vocab, json.dumps(words, ensure_ascii=False, indent=0).encode())
    return _converted(model, saved, weights=str(out), vocab=str(vocab) if vocab else None)


def _labels(given: str | None, model: Classifier) -> list[str]:
    due = model.head.linear2.out_features
    if given is None:
        return [str(number) for number in range(due)]
    labels = [label.strip() for label in given.split(",")]
    if len(labels) != due:
        raise UserError(f"--labels {given}: {len(labels)} labels, and the classifier has {due} outputs; name them all, in order")
    if not all(labels) or len(set(labels)) < due:
        raise UserError(f"--labels {given}: a label is empty or occurs twice; name each output once")
    return labels


def _converted(model: LanguageModel | Classifier, facts: ModelFacts, **files: Any) -> Converted:
    encoder, labels = model.encoder, list(facts.labels) or None
    sizes = encoder.config.model_dump()
    return Converted(**sizes, kind=model.kind, direction=facts.direction, words=encoder.vocab_size, labels=labels, **files)


def _vocabulary(folder: Path, model: LanguageModel | Classifier) -> Vocab:
    """The vocabulary beside the model or, as in a bundle, above it."""
    beside, above = folder / "vocab.json", folder.absolute().parent / "vocab.json"
    path = above if above.exists() and not beside.exists() else beside
    vocab = Vocab.load(path)
    if len(vocab) != model.encoder.vocab_size:
        raise UserError(f"{path}: has {len(vocab)} words, the model {model.encoder.vocab_size} rows; take both from one training")
    return vocab
