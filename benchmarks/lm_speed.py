"""Speed of the ``small`` preset's language model in training, and of its loss against PyTorch's own.

    python benchmarks/lm_speed.py [--steps 8] [--threads N]

Both losses run in turn within one process, so that they meet the same machine; a ratio above 1 says that the library's
is faster. Everything comes from fixed seeds.
"""

from __future__ import annotations

import argparse
import platform
import statistics
import time
from collections.abc import Callable
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor

from ulmfit.models.awd_lstm import detach
from ulmfit.models.language_model import LanguageModel, regularisation
from ulmfit.models.softmax import LinearCrossEntropy
from ulmfit.presets import preset
from ulmfit.training.optimizers import Optimizer

SETTINGS = preset("small")
CONFIG, WORDS = SETTINGS.pretrain, SETTINGS.general_vocab.max_size
TOKENS = CONFIG.batch_size * CONFIG.bptt
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]


def chunked(rows: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    return LinearCrossEntropy.apply(rows, weight, bias, targets, True)


def plain(rows: Tensor, weight: Tensor, bias: Tensor, targets: Tensor) -> Tensor:
    return F.cross_entropy(F.linear(rows, weight, bias), targets)


def hardware() -> str:
    info = Path("/proc/cpuinfo")
    names = (
        [line.split(":", 1)[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")] if info.exists() else []
    )
    cpu = names[0] if names else platform.processor() or platform.machine()
    return f"{cpu}, {torch.get_num_threads()} threads, PyTorch {torch.__version__}"


def in_turn(works: list[Callable[[], object]], rounds: int) -> list[float]:
    """Median seconds of each piece of work; the first round, which warms up, does not count."""
    seconds: list[list[float]] = [[] for _ in works]
    for _ in range(rounds + 1):
        for work, times in zip(works, seconds, strict=True):
            started = time.perf_counter()
            work()
            times.append(time.perf_counter() - started)
    return [statistics.median(times[1:]) for times in seconds]


def head(loss: Loss) -> Callable[[], None]:
    """Forward and backward pass of the loss alone, on one window's states."""
    generator = torch.Generator().manual_seed(0)
    shapes = ((TOKENS, SETTINGS.model.embedding), (WORDS, SETTINGS.model.embedding), (WORDS,))
    inputs = [torch.randn(shape, generator=generator).mul_(0.1).requires_grad_() for shape in shapes]
    targets = torch.randint(0, WORDS, (TOKENS,), generator=generator)

    def once() -> None:
        torch.autograd.grad(loss(inputs[0], inputs[1], inputs[2], targets), inputs)

    return once


def training_step(loss: Loss) -> Callable[[], None]:
    """One step of the training: forward, penalties, backward, update; the state goes from window to window."""
    generator = torch.Generator().manual_seed(0)
    model = LanguageModel(WORDS, SETTINGS.model, CONFIG.dropouts).train()
    optimizer = Optimizer(model.groups(), CONFIG, 1000)
    ids = torch.randint(0, WORDS, (CONFIG.bptt + 1, CONFIG.batch_size), generator=generator)
    state = model.encoder.initial_state(CONFIG.batch_size)

    def step() -> None:
        nonlocal state
        raw, dropped, state = model.hidden(ids[:-1], detach(state))
        value = loss(dropped.flatten(0, 1), model.encoder.embedding.weight, model.bias, ids[1:].flatten())
        (value + regularisation(raw, dropped, CONFIG.alpha, CONFIG.beta)).backward()
        optimizer.step()

    return step


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=8, help="measured rounds of each")
    parser.add_argument("--threads", type=int, default=torch.get_num_threads())
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    sizes = SETTINGS.model
    print(hardware())
    print(f"model {sizes.embedding}/{sizes.hidden}/{sizes.layers}, {WORDS:,} words, batch {CONFIG.batch_size} x {CONFIG.bptt}, fp32")
    ours, theirs = in_turn([training_step(chunked), training_step(plain)], arguments.steps)
    print(f"training step: {TOKENS / ours:,.0f} tokens/s; with F.cross_entropy {TOKENS / theirs:,.0f}; ratio {theirs / ours:.2f}")
    ours, theirs = in_turn([head(chunked), head(plain)], arguments.steps)
    print(f"loss alone: LinearCrossEntropy {ours * 1000:.0f} ms, F.cross_entropy {theirs * 1000:.0f} ms; ratio {theirs / ours:.2f}")


if __name__ == "__main__":
    main()
