"""How far a text is from what a model knows: how badly the model expects its words, and how many of them it does not know.

The words are expected by the forward classifier's own encoder, with its embedding as the decoder: the classifier has forgotten little of
the language model that it was. The numbers mean nothing by themselves, so they are compared with those of held-out text of the corpus.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ulmfit.directions import DIRECTIONS
from ulmfit.prediction.familiar import Familiar, Strangeness, as_strange
from ulmfit.prediction.losses import document_losses
from ulmfit.prediction.predictor import Predictor
from ulmfit.shards.documents import Documents
from ulmfit.text.vocab import UNK

OF_UNKNOWN = 6.0  # nats that an unknown word costs besides: to expect any unknown word is easy, to expect this one is not
TOKENS = 512  # of a document that are read
ENOUGH = 99  # documents of the corpus, to say what is seldom among them
SELDOM = 0.01  # share of the corpus's own documents that get a warning by one figure
MANY_UNKNOWN = 0.2  # where too little is known of the corpus's documents: share of unknown words that is told


def figures(predictor: Predictor, texts: Sequence[str]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Of each text: nats per token (NaN where there is no second token) and the share of unknown tokens, float64 [N] each."""
    return figures_of(predictor, predictor.encode(texts))


def figures_of(predictor: Predictor, documents: Documents) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The same of documents that are encoded through the model's vocabulary."""
    losses = document_losses(predictor.language_model, documents, DIRECTIONS[0], TOKENS, predictor.device)
    tokens = [documents.doc(row)[1:TOKENS] for row in range(len(documents))]
    unknown = np.array([(found == UNK).mean() if len(found) else 0.0 for found in tokens], dtype=np.float64)
    return losses + OF_UNKNOWN * unknown, unknown


def strangeness(predictor: Predictor, texts: Sequence[str]) -> list[Strangeness]:
    """How strange each text is to the model."""
    losses, unknown = figures(predictor, texts)
    found = predictor.bundle.familiar
    familiar = found if found and len(found.unknown) >= ENOUGH else None
    return [_judged(familiar, loss, share) for loss, share in zip(losses.tolist(), unknown.tolist(), strict=True)]


def _judged(familiar: Familiar | None, loss: float, unknown: float) -> Strangeness:
    perplexity = None if np.isnan(loss) else float(np.exp(loss))
    said = _unknown(familiar, unknown) + ([] if perplexity is None else _unexpected(familiar, loss))
    return Strangeness(perplexity, unknown, f"{' and '.join(said)}: the text is far from what the model was trained on" if said else None)


def _unknown(familiar: Familiar | None, unknown: float) -> list[str]:
    if familiar is None:
        return [f"{unknown:.0%} of the words are unknown"] if unknown >= MANY_UNKNOWN else []
    if as_strange(familiar.unknown, unknown) > SELDOM:
        return []
    return [f"{unknown:.0%} of the words are unknown, which less than {SELDOM:.0%} of its own texts reach"]


def _unexpected(familiar: Familiar | None, loss: float) -> list[str]:
    if familiar is None or as_strange(familiar.losses, loss) > SELDOM:
        return []
    return [f"the perplexity is {np.exp(loss):,.0f}, which less than {SELDOM:.0%} of its own texts reach"]
