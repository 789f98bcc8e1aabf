"""Weights carried over: from one vocabulary to another (Howard & Ruder 2018, sec. 3.2), and from a language model into a classifier."""

from collections.abc import Mapping

import numpy as np
import torch
from torch import Tensor

from ulmfit.config import Dropouts
from ulmfit.models.classifier import Classifier
from ulmfit.models.language_model import LanguageModel
from ulmfit.text.vocab import Vocab

WORDS = ("encoder.embedding.weight", "bias")  # weights of a language model that have a row for each word


def transfer_vocabulary(lm: LanguageModel, old: Vocab, new: Vocab, dropouts: Dropouts | None = None, seed: int = 0) -> LanguageModel:
    """A language model over ``new``: a token that ``old`` knows keeps its row bit for bit, any other starts at the mean row.

    The decoder's bias goes the same way. ValueError where ``lm`` has not ``old``'s size.
    """
    if lm.encoder.vocab_size != len(old):
        raise ValueError(f"the language model has {lm.encoder.vocab_size} rows, its vocabulary {len(old)} tokens")
    moved = LanguageModel(len(new), lm.encoder.config, dropouts or lm.encoder.dropouts, seed)
    moved.encoder.layers.load_state_dict(lm.encoder.layers.state_dict())
    place = {token: row for row, token in enumerate(old.tokens)}
    rows = torch.from_numpy(np.array([place.get(token, -1) for token in new.tokens], dtype=np.int64))
    with torch.no_grad():
        for source, target in ((lm.encoder.embedding.weight, moved.encoder.embedding.weight), (lm.bias, moved.bias)):
            kept = source[rows.clamp(min=0)]
            target.copy_(torch.where((rows >= 0).view(-1, *[1] * (source.dim() - 1)), kept, source.mean(0)))
    return moved


def average_weights(lm: LanguageModel, earlier: Mapping[str, Tensor], keep: float, known: Tensor) -> None:
    """Move ``lm`` towards its ``earlier`` weights, of which the average has a share ``keep``; only rows of ``known`` words, bool [V], move.

    Two models of which one was trained further from the other are joined by a path of low loss (Wortsman et al. 2022, "Robust fine-tuning of
    zero-shot models"): the average forgets less than it loses of the new.
    """
    with torch.no_grad():
        for name, weight in lm.state_dict().items():
            between = weight.lerp(earlier[name], keep)
            weight.copy_(torch.where(known.view(-1, *[1] * (weight.dim() - 1)), between, weight) if name in WORDS else between)


def take_encoder(classifier: Classifier, lm: LanguageModel) -> None:
    """Copy the language model's encoder into the classifier. ValueError where their shapes differ."""
    try:
        classifier.encoder.load_state_dict(lm.encoder.state_dict())
    except RuntimeError as error:
        raise ValueError(f"the language model's encoder does not fit the classifier: {' '.join(str(error).split())}") from error
