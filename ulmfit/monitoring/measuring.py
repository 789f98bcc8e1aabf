"""Measure text under a champion: its domain LM, its vocabulary and tokenizer, and what it predicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np

from ulmfit.directions import DIRECTIONS
from ulmfit.labels.label_strings import split_labels
from ulmfit.models.language_model import LanguageModel
from ulmfit.monitoring.drift_figures import Hits, TextFigures
from ulmfit.monitoring.policy import DriftPolicy
from ulmfit.prediction.losses import document_losses
from ulmfit.prediction.predictor import Predictor
from ulmfit.text.vocab import UNK

DIGITS = 6  # of a figure that is kept


def measure(texts: Sequence[str], labels: Sequence[str | None], lm: LanguageModel, champion: Predictor, policy: DriftPolicy) -> TextFigures:
    """The figures of documents, of a seeded sample where there are more than ``policy.sample``; labels are counted over all.

    ``labels``: label strings as a corpus has them, None where there is none. ``lm``: the forward domain LM that the champion's classifier
    was made from, so both have one vocabulary; ValueError where they have not.
    """
    if lm.encoder.vocab_size != len(champion.vocab):
        raise ValueError(f"the language model has {lm.encoder.vocab_size} rows, the champion's vocabulary {len(champion.vocab)} tokens")
    chosen = np.sort(np.random.default_rng(policy.seed).permutation(len(texts))[: policy.sample]).tolist()
    documents = champion.encode([texts[row] for row in chosen])
    losses = document_losses(lm, documents, DIRECTIONS[0], policy.max_tokens)
    known: list[int] = np.flatnonzero(~np.isnan(losses)).tolist()
    unknown = [float((documents.doc(row) == UNK).mean()) for row in known]
    judged = [place for place, row in enumerate(chosen) if labels[row] is not None]
    return TextFigures(
        losses=tuple(np.round(losses[known], DIGITS).tolist()),
        unknown=tuple(np.round(unknown, DIGITS).tolist()),
        lengths=tuple(documents.lengths[known].tolist()),
        labels=dict(sorted(Counter(label for label in labels if label is not None).items())),
        hits=_hits(champion, [texts[chosen[place]] for place in judged], [labels[chosen[place]] or "" for place in judged]),
    )


def _hits(champion: Predictor, texts: list[str], labels: list[str]) -> Hits | None:
    """Rows of which all labels are predicted, and no other; None for no rows."""
    if not texts:
        return None
    several = champion.task == "multi-label"
    truth = [set(split_labels(label, champion.separator)) if several else {label} for label in labels]
    predicted = champion.decide(champion.probabilities(texts, shown=False))
    return Hits(right=sum(set(found) == true for found, true in zip(predicted, truth, strict=True)), rows=len(texts))
