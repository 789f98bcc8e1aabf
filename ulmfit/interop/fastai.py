"""Weights of fastai 2's AWD-LSTM converted to ours and back, with the same logits.

==========================================  ===============================  ================================================
fastai's key, after its prefix              here                             notes
==========================================  ===============================  ================================================
``encoder.weight``                          ``encoder.embedding.weight``     ``encoder_dp.emb.weight`` and, in a language model,
                                                                             ``1.decoder.weight`` are the same matrix again
``rnns.0.weight_hh_l0_raw``                 ``encoder.layers.0.weight_hh``   ``rnns.0.module.weight_hh_l0`` beside it is a copy
                                                                             that dropout went over; alone, it is the matrix
``rnns.0.module.weight_ih_l0``, ``bias_*``  the same without ``_l0``         both have the gates in torch's order: i, f, g, o
``1.decoder.bias``                          ``bias``                         absent where fastai's ``out_bias`` is off: zeros
``1.layers.0.0.*``, ``1.layers.1.0.*``      ``head.norm1``, ``head.norm2``   both pool last, maximum, mean, in this order
``1.layers.0.2.*``, ``1.layers.1.2.*``      ``head.linear1``, ``linear2``    fastai's have no bias; place 1 instead of 2 where
                                                                             the dropout is 0
==========================================  ===============================  ================================================

The prefix is ``0.`` in a language model, ``0.module.`` in a classifier, and none in what ``save_encoder`` writes, which
becomes a language model whose bias is 0. The sizes are inferred. Two things about a classifier cannot be seen in its weights:
``y_range``, and that fastai pools only the last 1,440 positions of a longer document, while we pool all.

fastai pads its vocabulary to a multiple of 8 with words ``xxfake``. Ours holds every word once, so an import numbers them:
``xxfake1``, ``xxfake2``, ...; an export removes the numbers. No row is dropped, as each has its logit. Special tokens in
another order than ours (fastai 1) are reordered together with their rows.
"""

import re
from collections.abc import Iterable, Mapping
from itertools import count
from typing import Any

import torch
from torch import Tensor

from ulmfit.config import Dropouts, ModelConfig
from ulmfit.errors import UserError
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab

LM, CLASSIFIER, ENCODER = "language_model", "classifier", "encoder"
PREFIXES = {CLASSIFIER: "0.module.", LM: "0.", ENCODER: ""}
LM_DROPOUTS = Dropouts(output=0.1, hidden=0.15, input=0.25, embedding=0.02, weight=0.2)  # fastai's own
CLASSIFIER_DROPOUTS = Dropouts(output=0.4, hidden=0.3, input=0.4, embedding=0.05, weight=0.5)
LAYER = {  # in the order of fastai's keys
    "weight_hh": "weight_hh_l0_raw",
    "weight_ih": "module.weight_ih_l0",
    "bias_ih": "module.bias_ih_l0",
    "bias_hh": "module.bias_hh_l0",
}
NORM = ("weight", "bias", "running_mean", "running_var")
FAKE = "xxfake"
OURS = "give the weights of a fastai 2 AWD_LSTM language model, classifier or encoder"
FOREIGN = {  # keys by which an unsupported model is recognised
    r"_reverse(_raw)?$": "its LSTM layers are bidirectional",
    r"rnns\.\d+\.(module\.)?(layers|linear)\.": "its layers are QRNNs",
    r"^1\.layers\.\d+\.\w+$": "its head is not that of fastai 2",
    r"^1\.layers\.[2-9]\d*\.": "its head has more than one hidden layer",
}


def from_fastai(state_dict: Mapping[str, Any], vocab: Iterable[str], dropouts: Dropouts | None = None) -> LanguageModel | Classifier:
    """The language model or classifier whose weights fastai 2 holds in ``state_dict``: float32, on the CPU, in eval mode.

    ``vocab``: V words in the order of fastai's rows. The model's rows follow ``vocabulary_of(vocab)``; where ``vocab``
    lacks one of our special tokens, they stay as they are. ``state_dict`` may also be the ``{"model", "opt"}`` that
    ``learner.save`` writes. Weights do not show the ``dropouts``; the defaults are fastai's own.
    Raises UserError (a ValueError) naming the key where it is anything else.
    """
    words = words_of(vocab)
    parts = _Parts(tensors_of(state_dict))
    kind = kind_of(parts.left)
    tensors, config = _encoder(parts, PREFIXES[kind], len(words))
    model: LanguageModel | Classifier
    if kind == CLASSIFIER:
        tensors |= _head(parts, config.embedding)
        labels, hidden = tensors["head.linear2.weight"].shape
        model = Classifier(len(words), labels, config, dropouts or CLASSIFIER_DROPOUTS, HeadConfig(hidden))
    else:
        parts.same("1.decoder.weight", tensors["encoder.embedding.weight"])
        has_bias = "1.decoder.bias" in parts.left  # not where fastai's ``out_bias`` is off
        tensors["bias"] = parts.take("1.decoder.bias", len(words)) if has_bias else torch.zeros(len(words))
        model = LanguageModel(len(words), config, dropouts or LM_DROPOUTS)
    if parts.left:
        raise UserError(f"{next(iter(parts.left))} is no part of an AWD-LSTM as fastai 2 makes it; {OURS}")
    rows_V = torch.tensor(_rows(words))
    tensors |= {name: tensors[name][rows_V] for name in ("encoder.embedding.weight", "bias") if name in tensors}
    model.load_state_dict(tensors)
    return model.eval()


def to_fastai(model: LanguageModel | Classifier) -> dict[str, Tensor]:
    """The state dict for ``load_state_dict`` of fastai 2's model of the same sizes, in the order of its keys; float32 on the CPU.

    Tied matrices are one tensor under several keys. fastai's last linear layer has no bias: ours goes into the batch
    normalisation before it, with the same logits. UserError where that is impossible (more labels than hidden units).
    """
    own = {name: tensor.detach().cpu().clone() for name, tensor in model.state_dict().items()}
    prefix = PREFIXES[model.kind]
    embedding = own["encoder.embedding.weight"]
    theirs = {f"{prefix}encoder.weight": embedding, f"{prefix}encoder_dp.emb.weight": embedding}
    for number in range(len(model.encoder.layers)):
        for name, key in LAYER.items():
            theirs[f"{prefix}rnns.{number}.{key}"] = own[f"encoder.layers.{number}.{name}"]
    if isinstance(model, LanguageModel):
        return theirs | {"1.decoder.weight": embedding, "1.decoder.bias": own["bias"]}
    own["head.norm2.bias"] = _folded(own["head.norm2.bias"], own["head.linear2.weight"], own["head.linear2.bias"])
    for block in (0, 1):
        for name in (*NORM, "num_batches_tracked"):
            theirs[f"1.layers.{block}.0.{name}"] = own[f"head.norm{block + 1}.{name}"]
        theirs[f"1.layers.{block}.2.weight"] = own[f"head.linear{block + 1}.weight"]
    return theirs


def vocabulary_of(vocab: Iterable[str]) -> Vocab:
    """fastai's V words as our vocabulary of V tokens: special tokens first, ``xxfake`` numbered.

    UserError where a special token is missing or another word occurs twice.
    """
    words = words_of(vocab)
    missing = [token for token in SPECIALS if token not in words]
    if missing:
        raise UserError(f"the vocabulary lacks {' '.join(missing)}; give that of a model whose text went through fastai's rules")
    numbers = count(1)
    tokens = [f"{FAKE}{next(numbers)}" if words[row] == FAKE else words[row] for row in _rows(words)]
    try:
        return Vocab(tokens)
    except ValueError as error:
        raise UserError(f"{error}; give the vocabulary as fastai made it") from error


def fastai_words(vocab: Vocab) -> list[str]:
    """Our vocabulary as fastai holds it, in the same order."""
    return [re.sub(rf"^{FAKE}\d+$", FAKE, token) for token in vocab.tokens]


def words_of(vocab: Iterable[str]) -> list[str]:
    """``vocab`` as a list; UserError unless it holds strings that can be written as UTF-8."""
    if isinstance(vocab, str | bytes | Mapping) or not isinstance(vocab, Iterable):
        raise UserError(f"the vocabulary is {type(vocab).__name__}, not a list of words; give fastai's `dls.vocab`")
    words = list(vocab)
    for row, word in enumerate(words):
        if not isinstance(word, str):
            raise UserError(f"word {row} of the vocabulary is {type(word).__name__}, not a string; of a classifier give `dls.vocab[0]`")
        if not word.isascii() and word != word.encode(errors="ignore").decode():
            raise UserError(f"word {row} of the vocabulary, {word!r}, is no text; take the vocabulary from fastai again")
    return words


def tensors_of(state_dict: Mapping[str, Any]) -> dict[str, Tensor]:
    """The tensors by key, out of ``learner.save``'s wrapper where there is one; UserError where there is anything else."""
    tensors = state_dict.get("model", state_dict) if isinstance(state_dict, Mapping) else state_dict
    if not isinstance(tensors, Mapping) or not tensors:
        raise UserError(f"the weights are {type(tensors).__name__}, not a dict of tensors; {OURS}")
    for name, tensor in tensors.items():
        if not isinstance(name, str) or not isinstance(tensor, Tensor) or not _plain(tensor):
            raise UserError(f"{name!r} of the weights is no plain tensor ({type(tensor).__name__}); {OURS}")
    return dict(tensors)


def kind_of(tensors: Mapping[str, Tensor]) -> str:
    """``language_model``, ``classifier``, or ``encoder`` for what ``save_encoder`` writes; UserError for another model."""
    for pattern, reason in FOREIGN.items():
        found = next((name for name in tensors if re.search(pattern, name)), None)
        if found:
            raise UserError(f"{reason} ({found}): it has no counterpart here; {OURS}")
    for kind, prefix in PREFIXES.items():
        if f"{prefix}encoder.weight" in tensors:
            return kind
    raise UserError(f"not an AWD-LSTM of fastai (its first key is {next(iter(tensors), None)!r}); {OURS}")


def _plain(tensor: Tensor) -> bool:
    """Whether ``tensor`` is dense and holds numbers: neither sparse, quantised nor on torch's meta device."""
    return tensor.layout == torch.strided and not tensor.is_meta and (tensor.is_floating_point() or tensor.dtype == torch.int64)


class _Parts:
    """A state dict whose tensors are taken by name; ``left`` holds the remaining ones."""

    def __init__(self, tensors: dict[str, Tensor]):
        self.left = tensors

    def take(self, name: str, *shape: int | None) -> Tensor:
        """Remove and return the tensor as float32 [*shape], None being any size; UserError where it is missing, of another shape or not finite."""
        if name not in self.left:
            raise UserError(f"{name} is missing; {OURS}")
        tensor = self.left.pop(name)
        if tensor.dim() != len(shape) or any(due not in (None, has) for due, has in zip(shape, tensor.shape, strict=True)):
            due = ", ".join("any" if size is None else str(size) for size in shape)
            raise UserError(f"{name} is {list(tensor.shape)}, and [{due}] would fit the other weights; {OURS}")
        tensor = tensor.detach().to("cpu", torch.float32)
        if not tensor.isfinite().all():
            raise UserError(f"{name} holds values that are not finite: that training went wrong; give the weights of another")
        return tensor

    def same(self, name: str, matrix: Tensor) -> None:
        """Remove the tensor if it is there; UserError unless it equals the embedding ``matrix``."""
        if name in self.left and not torch.equal(self.take(name, *matrix.shape), matrix):
            raise UserError(f"{name} differs from the embedding; here they are one matrix: give a model with tied weights")


def _rows(words: list[str]) -> list[int]:
    """The row in fastai's matrices of each of our ids."""
    if not set(SPECIALS) <= set(words):
        return list(range(len(words)))
    first = [words.index(token) for token in SPECIALS]
    return [*first, *(row for row in range(len(words)) if row not in first)]


def _encoder(parts: _Parts, prefix: str, words: int) -> tuple[dict[str, Tensor], ModelConfig]:
    """The encoder's tensors under our names, and its sizes."""
    embedding_VE = parts.take(f"{prefix}encoder.weight", None, None)
    rows, width = embedding_VE.shape
    if rows != words:
        raise UserError(f"the embedding has {rows} rows, the vocabulary {words} words; give both from one training")
    parts.same(f"{prefix}encoder_dp.emb.weight", embedding_VE)
    numbers = {found[1] for name in parts.left if (found := re.match(rf"{re.escape(prefix)}rnns\.(\d+)\.", name))}
    layers = max(1, len(numbers))
    first = parts.left.get(f"{prefix}rnns.0.module.weight_ih_l0")
    hidden = len(first) // 4 if layers > 1 and first is not None and first.dim() else width
    sizes = [width, *[hidden] * (layers - 1), width]
    tensors = {"encoder.embedding.weight": embedding_VE}
    for number in range(layers):
        inner, outer = sizes[number], sizes[number + 1]
        shapes = {"weight_hh": (outer,), "weight_ih": (inner,), "bias_ih": (), "bias_hh": ()}
        dropped = f"{prefix}rnns.{number}.module.weight_hh_l0"
        for name, key in LAYER.items():
            theirs = f"{prefix}rnns.{number}.{key}"
            if name == "weight_hh" and theirs not in parts.left:
                theirs = dropped
            tensors[f"encoder.layers.{number}.{name}"] = parts.take(theirs, 4 * outer, *shapes[name])
        parts.left.pop(dropped, None)
    return tensors, ModelConfig(embedding=width, hidden=hidden, layers=layers)


def _head(parts: _Parts, width: int) -> dict[str, Tensor]:
    """The head's tensors under our names: two blocks of batch normalisation and a linear layer."""
    tensors, inputs = {}, 3 * width
    for block in (0, 1):
        norm, place = f"1.layers.{block}.0", f"1.layers.{block}.2.weight"
        for name in NORM:
            tensors[f"head.norm{block + 1}.{name}"] = parts.take(f"{norm}.{name}", inputs)
        tensors[f"head.norm{block + 1}.num_batches_tracked"] = parts.take(f"{norm}.num_batches_tracked").long()
        weight = parts.take(place if place in parts.left else f"1.layers.{block}.1.weight", None, inputs)
        tensors[f"head.linear{block + 1}.weight"], inputs = weight, len(weight)
    return tensors | {"head.linear2.bias": torch.zeros(inputs)}


def _folded(norm_bias_H: Tensor, weight_LH: Tensor, bias_L: Tensor) -> Tensor:
    """The bias before a linear layer that also does the work of the layer's own: the smallest change with weight @ change = bias."""
    weight, bias = weight_LH.double(), bias_L.double()
    change = torch.linalg.lstsq(weight, bias[:, None], driver="gelsd").solution[:, 0]
    folded_H = (norm_bias_H.double() + change).float()
    off = (weight @ (folded_H.double() - norm_bias_H.double()) - bias).abs().max()
    if off > 1e-5 * max(1.0, float(bias.abs().max())):
        labels, hidden = weight_LH.shape
        raise UserError(
            f"fastai's last layer has no bias, and this model's cannot be folded into its {hidden} hidden units ({labels} labels); "
            "train it with classifier.hidden above the number of labels"
        )
    return folded_H
