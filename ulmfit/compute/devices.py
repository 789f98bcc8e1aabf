"""Which device a training or prediction runs on: ``auto``, ``cpu`` and ``cuda`` resolved against this machine."""

import torch

from ulmfit.errors import UserError

DEVICES = ("auto", "cpu", "cuda")


def resolve_device(name: str, processes: int = 1) -> str:
    """``cpu`` or ``cuda`` for ``name``; ``auto`` is ``cuda`` where torch finds a GPU, else ``cpu``.

    UserError for another name, for ``cuda`` without a GPU, and for fewer GPUs than ``processes``.
    """
    if name not in DEVICES:
        raise UserError(f"there is no device {name!r}; choose one of: {', '.join(DEVICES)}")
    available = torch.cuda.is_available()
    if name == "cuda" and not available:
        raise UserError("device cuda: torch finds no CUDA device; choose the device cpu, or install a CUDA build of torch")
    device = ("cuda" if available else "cpu") if name == "auto" else name
    check_devices(processes, device)
    return device


def check_devices(processes: int, device: str) -> None:
    """UserError where there are fewer GPUs than ``processes``, as each process takes one."""
    if device.startswith("cuda") and processes > (found := torch.cuda.device_count()):
        raise UserError(f"--devices {processes}: torch sees {found} CUDA devices; give --devices {max(1, found)}, or --device cpu")
