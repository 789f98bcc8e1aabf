"""How much training a text of a given size can take: ``epochs: auto`` put into numbers.

The same number of passes cannot suit 500 documents and 50,000: where text is short, a pass is a handful of steps and several are
needed to learn anything; where it is long, one pass is hours. So what is aimed at is a number of steps.
"""

from __future__ import annotations

import math

from ulmfit.config import ClassifierConfig, LMConfig

LM_STEPS, LM_EPOCHS = 2_500, (2, 10)  # steps aimed at, and epochs: at least two, for the weights of the first still move fast
EPOCH_STEPS, FEWEST_STREAMS = 40, 8  # of a pass, where the text is short; parallel streams below which a step wastes its time
LEAST_TOKENS = 2_000  # a vocabulary's worth: less than that teaches a language model nothing
CLASSIFIER_STEPS, CLASSIFIER_TOKENS, CLASSIFIER_EPOCHS = 1_000, 1_000_000, (5, 30)


def lm_amount(config: LMConfig, tokens: int) -> tuple[float, int]:
    """Epochs, and parallel streams (those of ``config`` at most), for a text of ``tokens``; no epoch for less than ``LEAST_TOKENS``.

    Those of ``config`` where its epochs are a number.
    """
    if config.epochs != "auto":
        return config.epochs, config.batch_size
    streams = min(config.batch_size, max(FEWEST_STREAMS, tokens // (config.bptt * EPOCH_STEPS)))
    steps = max(1, tokens // (streams * config.bptt))
    least, most = LM_EPOCHS
    return 0.0 if tokens < LEAST_TOKENS else float(min(most, max(least, math.ceil(LM_STEPS / steps)))), streams


def classifier_epochs(config: ClassifierConfig, documents: int, tokens: int) -> int:
    """Epochs for so many training documents of ``tokens`` in all; those of ``config`` where they are a number.

    Both aims are to be met: a step over short documents, say questions of ten words, teaches little.
    """
    if config.epochs != "auto":
        return config.epochs
    least, most = CLASSIFIER_EPOCHS
    steps = math.ceil(documents / config.batch_size)
    return min(most, max(least, math.ceil(CLASSIFIER_STEPS / steps), math.ceil(CLASSIFIER_TOKENS / tokens)))
