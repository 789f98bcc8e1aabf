"""What the measurements beside fastai have in common: the task, peak memory, the matrix limit, the hardware's name."""

from __future__ import annotations

import os
import platform
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import torch

SIZES = {"embedding": 400, "hidden": 1152, "layers": 3}  # those of fastai's AWD-LSTM
SEQ_LEN = 72  # fastai's window
PRODUCT = 4096  # side of the matrices whose product gives the limit


@dataclass(frozen=True)
class Task:
    """One measurement of one side, in a process of its own.

    ``batch``: streams of the language model, documents of the classifier; ``tokens``: of language-model training to be timed;
    ``documents``: of the classifier; ``calls``: single predictions; ``words``: of the vocabulary; ``steps``: of ``lm-loss``.
    """

    batch: int
    tokens: int
    documents: int
    calls: int
    words: int
    steps: int
    precision: str
    seed: int


def peak_mb() -> int:
    """The greatest resident memory of this process so far (VmHWM), in MB."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found, "Linux says VmHWM"
    return int(found[1]) // 1000


def matrix_rates() -> dict[str, float]:
    """FLOP/s of a product of two square matrices, by type, the fastest of eight: what a training made of nothing but products would reach."""
    rates = {}
    for name, dtype in (("fp32", torch.float32), ("bf16", torch.bfloat16)):
        a, b = (torch.randn(PRODUCT, PRODUCT).to(dtype) for _ in range(2))
        out = torch.empty(PRODUCT, PRODUCT, dtype=dtype)
        rates[name] = 2 * PRODUCT**3 / min(_seconds(a, b, out) for _ in range(8))
    return rates


def _seconds(a: torch.Tensor, b: torch.Tensor, out: torch.Tensor) -> float:
    started = time.perf_counter()
    torch.mm(a, b, out=out)
    return time.perf_counter() - started


def flops_per_token(words: int, sizes: Mapping[str, int] = SIZES) -> int:
    """Of training the language model, its matrix products alone: two for the forward pass, four for the backward pass, a weight."""
    widths = [sizes["embedding"], *[sizes["hidden"]] * (sizes["layers"] - 1), sizes["embedding"]]
    lstm = sum(4 * outer * (inner + outer) for inner, outer in pairwise(widths))
    return 6 * (lstm + sizes["embedding"] * words)


def hardware() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{cpu}, {os.cpu_count()} cores, Python {platform.python_version()}, PyTorch {torch.__version__}"
