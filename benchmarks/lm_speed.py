"""Language-model training at the sizes of the preset ``small``, as a share of the rate of PyTorch's LSTM kernel alone.

    python benchmarks/lm_speed.py [--steps 8]

Both directions train side by side, each on its share of the cores, in the machine's faster precision and with the settings of
fine-tuning; the kernel runs in the same way, in turn with the training, so that both meet the same machine. What is beyond the
kernel is embedding, sampled softmax, penalties, masks, optimiser and Python. Everything comes from fixed seeds.
"""

from __future__ import annotations

import argparse
import logging
import statistics
import time
from collections.abc import Callable
from itertools import pairwise

import numpy as np
import torch
from measuring import hardware

from ulmfit.compute.cores import side_by_side
from ulmfit.compute.pages import keep_pages
from ulmfit.compute.precision import products
from ulmfit.directions import DIRECTIONS
from ulmfit.models.awd_lstm import LSTMLayer, detach
from ulmfit.models.language_model import LanguageModel, regularisation
from ulmfit.models.sampled_softmax import Sampler
from ulmfit.presets import preset
from ulmfit.training.optimizers import Optimizer

SETTINGS = preset("small")
CONFIG, SIZES, WORDS = SETTINGS.finetune, SETTINGS.model, SETTINGS.vocab.max_size
TOKENS = CONFIG.batch_size * CONFIG.bptt
Work = Callable[[], None]


def training_step(dtype: torch.dtype) -> Work:
    """One step of fine-tuning: masks, forward, sampled softmax, penalties, backward, update; the state goes from window to window."""
    assert CONFIG.sampled
    model = LanguageModel(WORDS, SIZES, CONFIG.dropouts).train()
    model.encoder.products = dtype
    optimizer, sampler = Optimizer(model.groups(), CONFIG, 1000), Sampler(WORDS, CONFIG.sampled)
    ids = torch.from_numpy(np.random.default_rng(0).zipf(1.2, (CONFIG.bptt + 1, CONFIG.batch_size)).clip(1, WORDS) - 1)
    state = model.encoder.initial_state(CONFIG.batch_size)

    def step() -> None:
        nonlocal state
        sample = sampler.draw(model.encoder.generator)
        raw, dropped, state = model.hidden(ids[:-1], detach(state))
        loss = model.loss(dropped, ids[1:], sample)
        (loss + regularisation(raw, dropped, CONFIG.alpha, CONFIG.beta)).backward()
        optimizer.step()

    return step


def kernel_step(dtype: torch.dtype) -> Work:
    """Forward and backward pass of the LSTM layers alone."""
    sizes = [SIZES.embedding, *[SIZES.hidden] * (SIZES.layers - 1), SIZES.embedding]
    layers = [LSTMLayer(inner, outer, torch.Generator().manual_seed(0)) for inner, outer in pairwise(sizes)]
    first = torch.randn(CONFIG.bptt, CONFIG.batch_size, sizes[0]).mul_(0.1).to(dtype).requires_grad_()
    states = [(torch.zeros(1, CONFIG.batch_size, size),) * 2 for size in sizes[1:]]
    errors = torch.randn(CONFIG.bptt, CONFIG.batch_size, sizes[-1]).mul_(0.1).to(dtype)

    def step() -> None:
        x = first
        for layer, state in zip(layers, states, strict=True):
            x, _ = layer(x, state)
        x.backward(errors)
        for parameter in (first, *(parameter for layer in layers for parameter in layer.parameters())):
            parameter.grad = None

    return step


def seconds_of(works: list[list[Work]], rounds: int) -> list[float]:
    """Median seconds of each list, whose members run side by side; lists take turns. The first two rounds, which warm up, do not count."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 2):
        for work, times in zip(works, seconds, strict=True):
            started = time.perf_counter()
            side_by_side(lambda step: step(), work, "cpu")
            times.append(time.perf_counter() - started)
    return [statistics.median(times[2:]) for times in seconds]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=8, help="measured rounds of each")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    print(hardware())
    keep_pages()
    dtype = products("auto", "cpu", SIZES.hidden)
    print(
        f"model {SIZES.embedding}/{SIZES.hidden}/{SIZES.layers}, {WORDS:,} words, {CONFIG.sampled} drawn, batch {CONFIG.batch_size} x {CONFIG.bptt}, {dtype}"
    )
    kinds = [training_step, kernel_step]
    training, kernel = seconds_of([[kind(dtype) for _ in DIRECTIONS] for kind in kinds], arguments.steps)
    print(
        f"training {TOKENS / training:,.0f} tokens/s per direction; the kernel alone {TOKENS / kernel:,.0f}; share {kernel / training:.2f}"
    )


if __name__ == "__main__":
    main()
