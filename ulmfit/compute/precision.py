"""bf16 or fp32: which dtype the matrix products have, by the settings, the device and the size of the model.

Whether a CPU is faster in bf16 is measured, for what it says of itself does not tell: on an EPYC of the fourth generation AVX512_BF16
makes an LSTM's training 1.7 times faster, on a Xeon of the same age, with its matrix unit switched off, 2 times slower.
"""

import logging
import math
import os
import platform
import time
from collections.abc import Callable
from pathlib import Path

import torch
from pydantic import ValidationError

from ulmfit.errors import UserError
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.json import Facts

log = logging.getLogger(__name__)

# Hidden sizes from which bf16 pays on a CPU that is faster in it. In prediction a small model is fast enough in fp32, and exact.
TRAINING_SIZE, INFERENCE_SIZE = 256, 512
LEAST_GAIN = 1.2  # from which on the rounding is worth it; below it, one measurement and the next may differ
KNOWN = ("amx_bf16", "avx512_bf16", "bf16")  # the instructions for it, as torch names them; the last is ARM's

_gains: dict[str, float] = {}  # of this process, by machine


class Gain(Facts):
    """How many times faster an LSTM layer trains in bf16 than in fp32 on ``machine``."""

    machine: str
    gain: float


def faster_in_bf16(device: str) -> bool:
    """Whether the device multiplies matrices faster in bf16 than in fp32. On a CPU with instructions for it this is measured, once."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return gain() >= LEAST_GAIN


def can_bf16(device: str) -> bool:
    """Whether the device multiplies matrices in bf16 at all, be it slowly: torch does not on a CPU that has AVX2 and no more."""
    if device != "cpu" or not torch.backends.mkldnn.is_available():
        return True
    return bool(torch.ops.mkldnn._is_mkldnn_bf16_supported())


def check_precision(precision: str, device: str) -> None:
    """UserError where the device lacks bf16, and it is asked for."""
    if precision == "bf16" and not can_bf16(device):
        raise UserError("precision bf16: this CPU has no instructions for it (AVX-512 is needed); take fp32, or auto, which finds that out")


def products(precision: str, device: str, size: int) -> torch.dtype:
    """The dtype of matrix products in training. ``precision``: "fp32", "bf16", or "auto": bf16 where the device is faster in it and,
    on a CPU, the hidden states have ``TRAINING_SIZE`` numbers or more. Elsewhere bf16 may be slower than fp32, but is allowed.

    UserError where bf16 is asked for, and the device has none.
    """
    check_precision(precision, device)
    if precision != "auto":
        return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    wide = device.startswith("cuda") or size >= TRAINING_SIZE
    return torch.bfloat16 if wide and faster_in_bf16(device) else torch.float32


def inference_products(precision: str, device: str, size: int) -> torch.dtype:
    """As :func:`products`, for prediction. On a CPU with a matrix unit nothing is measured, for one text should not wait for that."""
    if precision == "auto" and size < INFERENCE_SIZE:
        return torch.float32
    if precision == "auto" and device == "cpu" and _has_matrix_unit():
        return torch.bfloat16
    return products(precision, device, size)


def _has_matrix_unit() -> bool:
    return _knows_bf16() and bool(torch.cpu.get_capabilities().get("amx_bf16")) and "ONEDNN_MAX_CPU_ISA" not in os.environ


def _knows_bf16() -> bool:
    found = torch.cpu.get_capabilities()
    return torch.backends.mkldnn.is_available() and any(found.get(name) for name in KNOWN)


def machine() -> str:
    """What the gain depends on: the processor, the instructions that oneDNN may use, and torch's version."""
    found = torch.cpu.get_capabilities()
    known = [name for name in KNOWN if found.get(name)]
    limit = os.environ.get("ONEDNN_MAX_CPU_ISA", "")
    return " ".join([str(found.get("cpu_name") or platform.machine()), *known, limit, f"torch {torch.__version__}"])


def gain() -> float:
    """How many times faster an LSTM layer trains in bf16 than in fp32 on this CPU; measured once by a process, in a second. 0 where
    it has no instructions for bf16."""
    if not _knows_bf16():
        return 0.0
    if machine() not in _gains:
        _gains[machine()] = _measure()
    return _gains[machine()]


def take_gain(found: float) -> None:
    """Use the gain that another process of this machine has found: all processes of a training use the same dtype."""
    _gains[machine()] = found


def keep_gain(file: Path) -> None:
    """Take this CPU's gain from ``file``; where it is not there, measure it and write it there, so that later processes agree on it."""
    if _knows_bf16() and not take_kept_gain(file):
        write_bytes(file, Gain(machine=machine(), gain=round(gain(), 3)).model_dump_json().encode())


def take_kept_gain(file: Path) -> bool:
    """Whether ``file`` has this CPU's gain. It is then taken, so that one text does not wait for the measurement."""
    try:
        kept = Gain.model_validate_json(file.read_bytes())
    except (OSError, ValidationError):
        return False
    if kept.machine == machine():
        take_gain(kept.gain)
    return kept.machine == machine()


def _measure() -> float:
    """Seconds of a step in fp32 over those in bf16: the best of three each, in turn, on one core."""
    steps = {dtype: _lstm_step(dtype) for dtype in (torch.float32, torch.bfloat16)}
    best, threads = dict.fromkeys(steps, math.inf), torch.get_num_threads()
    torch.set_num_threads(1)
    for attempt in range(4):
        for dtype, step in steps.items():
            started = time.perf_counter()
            step()
            if attempt:  # the first makes the kernels
                best[dtype] = min(best[dtype], time.perf_counter() - started)
    torch.set_num_threads(threads)
    found = best[torch.float32] / best[torch.bfloat16]
    chosen = "bf16" if found >= LEAST_GAIN else "fp32"
    log.info("precision: an LSTM layer trains %.1f times as fast in bf16 as in fp32 on this CPU, so auto is %s", found, chosen)
    return found


def _lstm_step(dtype: torch.dtype) -> Callable[[], None]:
    """A forward and a backward pass of torch's LSTM layer, of the sizes of the preset ``small``."""
    time_steps, batch, units = 10, 64, 512
    layer = torch.nn.LSTM(units, units).to(dtype)
    x = torch.zeros(time_steps, batch, units, dtype=dtype)

    def step() -> None:
        layer(x)[0].sum().backward()

    return step
