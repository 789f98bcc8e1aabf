"""Weights as 8-bit integers, for shipping: a quarter of the size, with one scale per row.

A row ``w`` becomes ``round(w / s)`` with ``s = max|w| / 127``, so no weight is off by more than ``s / 2``. What has one dimension (biases)
stays fp32. A model that is read is in fp32 again, so training and prediction need not know of it.
"""

import torch
from torch import Tensor

SCALE = ".scale"  # behind a matrix's name: the name of its scales


def quantise(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """Each matrix fp32 [R, C] as int8 [R, C], beside its scales fp32 [R]; all else as it is."""
    packed: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        if tensor.dim() != 2:
            packed[name] = tensor
            continue
        scale = tensor.abs().amax(1).clamp_min(torch.finfo(torch.float32).tiny) / 127
        packed |= {name: (tensor / scale[:, None]).round().clamp(-127, 127).to(torch.int8), name + SCALE: scale}
    return packed


def restore(packed: dict[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in fp32, of :func:`quantise`'s or of ones that were never packed. KeyError for a matrix without its scales."""
    whole: dict[str, Tensor] = {}
    for name, tensor in packed.items():
        if not name.endswith(SCALE):
            whole[name] = tensor.float() * packed[name + SCALE][:, None] if tensor.dtype == torch.int8 else tensor
    return whole
