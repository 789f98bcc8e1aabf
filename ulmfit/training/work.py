"""The work of a training in floating-point operations (flops), from sizes alone: what estimates of its time are made of.

The share of the machine's peak that is reached is not in here; it is measured (``rehearsal.py``).
"""

from collections.abc import Sequence
from itertools import pairwise

from ulmfit.config import ModelConfig

# What a step costs whatever its size, in flops that take as long: masks, Python, the optimiser over all rows of the embedding.
STEP = 1_000_000_000
BACKWARD = 2  # the work of a backward pass, in forward passes


def layer_flops(model: ModelConfig) -> list[int]:
    """Of each LSTM layer, first to last, for one position of one document, forward."""
    sizes = [model.embedding, *[model.hidden] * (model.layers - 1), model.embedding]
    return [8 * outer * (inner + outer) for inner, outer in pairwise(sizes)]


def lm_flops(model: ModelConfig, words: int) -> int:
    """Of a language model for one position, forward, with a softmax over so many ``words``."""
    return sum(layer_flops(model)) + 2 * model.embedding * words


def lm_steps(model: ModelConfig, words: int, positions: int, steps: int = 1) -> int:
    """Of training ``steps`` over so many ``positions`` in all."""
    return steps * STEP + (1 + BACKWARD) * lm_flops(model, words) * positions


def classifier_step(model: ModelConfig, learning: Sequence[int], positions: int, with_gradient: int) -> int:
    """Of one training step over so many padded ``positions``, of which the last ``with_gradient`` reach the gradient (BPT3C).

    ``learning``: the layer groups that learn (0 the embedding, then the LSTM layers, the head last). No gradient goes below the lowest.
    """
    layers = layer_flops(model)
    reached = layers[max(0, min(learning) - 1) :]
    return STEP + sum(layers) * positions + BACKWARD * sum(reached) * with_gradient
