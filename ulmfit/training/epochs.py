"""``epochs: auto``: the number of passes over a text, chosen by its size.

The same number of passes cannot suit 500 documents and 50,000. A pass over a short text is a handful of steps, and several passes
are needed to learn anything; a pass over a long text takes hours. So a number of steps is the target.
"""

import math

from ulmfit.config import ClassifierConfig, LMConfig

LM_STEPS, LM_EPOCHS = 2_500, (2, 10)  # target of steps, and the bounds of epochs: two at least, as weights still move fast in the first
EPOCH_STEPS, FEWEST_STREAMS = 40, 8  # per pass over a short text; fewer parallel streams than this waste a step's time
LEAST_TOKENS = 2_000  # less text teaches a language model nothing
CLASSIFIER_STEPS, CLASSIFIER_TOKENS, CLASSIFIER_EPOCHS = 1_000, 1_000_000, (5, 30)


def lm_amount(config: LMConfig, tokens: int) -> tuple[float, int]:
    """Epochs, and parallel streams (those of ``config`` at most), for a text of ``tokens``; no epoch for less than ``LEAST_TOKENS``.

    Those of ``config`` where its epochs are a number.
    """
    if config.epochs != "auto":
        return config.epochs, config.batch_size
    streams = _streams(config, tokens)
    steps = max(1, tokens // (streams * config.bptt))
    least, most = LM_EPOCHS
    return 0.0 if tokens < LEAST_TOKENS else float(min(most, max(least, math.ceil(LM_STEPS / steps)))), streams


def warm_amount(config: LMConfig, tokens: int) -> LMConfig:
    """``config`` for a text of ``tokens``, which may be short: fewer parallel streams, and no epoch for less than ``LEAST_TOKENS``.

    Streams are a multiple of 16 where there are as many: matrix units of CPUs work on 16 rows at a time.
    """
    epochs, streams = 0.0 if tokens < LEAST_TOKENS else config.epochs, _streams(config, tokens)
    return config.model_copy(update={"epochs": epochs, "batch_size": streams // 16 * 16 or streams})


def _streams(config: LMConfig, tokens: int) -> int:
    return min(config.batch_size, max(FEWEST_STREAMS, tokens // (config.bptt * EPOCH_STEPS)))


def fitting_streams(config: LMConfig, tokens: int) -> LMConfig:
    """``config`` with fewer parallel streams where a text of ``tokens`` is too short to give each of them a few windows."""
    streams = max(1, tokens // (2 * config.bptt))
    return config if config.batch_size <= streams else config.model_copy(update={"batch_size": streams})


def classifier_epochs(config: ClassifierConfig, documents: int, tokens: int) -> int:
    """Epochs for so many training documents of ``tokens`` in all; those of ``config`` where they are a number.

    Both targets, of steps and of tokens, are to be met: a step over short documents, such as questions of ten words, teaches little.
    """
    if config.epochs != "auto":
        return config.epochs
    least, most = CLASSIFIER_EPOCHS
    steps = math.ceil(documents / config.batch_size)
    return min(most, max(least, math.ceil(CLASSIFIER_STEPS / steps), math.ceil(CLASSIFIER_TOKENS / tokens)))
