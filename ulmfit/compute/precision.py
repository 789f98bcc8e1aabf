"""bf16 or fp32: which dtype the matrix products have, by the settings, the device and the size of the model."""

import torch

# Hidden sizes from which bf16 pays on a CPU with a unit for it. In prediction a small model is fast enough in fp32, and exact.
TRAINING_SIZE, INFERENCE_SIZE = 256, 512


def has_bf16_unit(device: str) -> bool:
    """Whether the device multiplies matrices faster in bf16 than in fp32."""
    if device.startswith("cuda"):
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return torch.backends.mkldnn.is_available() and torch.cpu._is_amx_tile_supported()


def products(precision: str, device: str, size: int) -> torch.dtype:
    """The dtype of matrix products in training. ``precision``: "fp32", "bf16", or "auto": bf16 where the device has a unit for it and,
    on a CPU, the hidden states have ``TRAINING_SIZE`` numbers or more. On a CPU without the unit bf16 is slower than fp32, but allowed."""
    if precision != "auto":
        return {"fp32": torch.float32, "bf16": torch.bfloat16}[precision]
    wide = device.startswith("cuda") or size >= TRAINING_SIZE
    return torch.bfloat16 if wide and has_bf16_unit(device) else torch.float32


def inference_products(precision: str, device: str, size: int) -> torch.dtype:
    """As :func:`products`, for prediction."""
    return torch.float32 if precision == "auto" and size < INFERENCE_SIZE else products(precision, device, size)
