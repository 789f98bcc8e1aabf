"""The language model's head: a linear layer over the vocabulary fused with its cross-entropy, in chunks of rows.

The logits of a step, N x V, would need the most memory of all tensors. Here a chunk of them stays in the cache, is turned into
its gradient in place, and is then overwritten.
"""

from typing import Any

import torch
from torch import Tensor

CHUNK = {"fp32": 256, "bf16": 2048, "gpu": 8192}  # rows at a time: the last two also feed the matrix units


def linear_cross_entropy(rows_NE: Tensor, weight_VE: Tensor, bias_V: Tensor, targets_N: Tensor) -> Tensor:
    """``cross_entropy(linear(rows, weight, bias), targets)``: the mean in nats, fp32.

    ``rows`` fp32 or bf16: the type of the products. In bf16 the logits are rounded to it; the softmax over them, with its
    log-sum-exp, is computed in fp32 and then rounded, which moves the mean by some 1e-5; sums over chunks are fp32.
    """
    return LinearCrossEntropy.apply(rows_NE, weight_VE, bias_V, targets_N, torch.is_grad_enabled())


class SavedGradients(torch.autograd.Function):
    """A mean over ``ctx.count`` rows whose forward pass saves the gradients of the sum, by rows, weight and bias; two more inputs have none."""

    @staticmethod
    def backward(ctx: Any, *grads: Tensor) -> tuple[Tensor | None, ...]:
        """The saved gradients, turned in place into those of the mean."""
        scale = grads[0] / ctx.count
        return *(None if saved is None else saved.mul_(scale.to(saved.dtype)) for saved in ctx.saved_tensors), None, None


class LinearCrossEntropy(SavedGradients):
    """Gradients are computed in the forward pass, where ``learning``; autograd gives a function no sign that it runs under ``no_grad``."""

    @staticmethod
    def forward(ctx: Any, rows_NE: Tensor, weight_VE: Tensor, bias_V: Tensor, targets_N: Tensor, learning: bool) -> Tensor:
        wanted = [learning and need for need in ctx.needs_input_grad[:2]]
        grad_rows = torch.empty_like(rows_NE) if wanted[0] else None
        grad_weight = torch.zeros_like(weight_VE) if wanted[1] else None
        grad_bias = torch.zeros_like(bias_V) if wanted[1] else None
        chunk = CHUNK["gpu" if rows_NE.is_cuda else "fp32" if rows_NE.dtype == torch.float32 else "bf16"]
        linear = ChunkLinear(weight_VE, bias_V, rows_NE.dtype, min(chunk, len(rows_NE)))
        total = rows_NE.new_zeros((), dtype=torch.float32)
        for start in range(0, len(rows_NE), chunk):
            rows, targets = rows_NE[start : start + chunk], targets_N[start : start + chunk]
            errors, loss = softmax_and_loss(linear(rows), targets)
            total = total + loss
            if any(wanted):  # the gradient by the logits; ``scatter_add_`` would look at every number
                errors[torch.arange(len(errors), device=errors.device), targets] -= 1
            if grad_rows is not None:
                torch.mm(errors, linear.weight, out=grad_rows[start : start + chunk])
            if grad_weight is not None and grad_bias is not None:
                accumulate(grad_weight, grad_bias, errors, rows)
        ctx.save_for_backward(grad_rows, grad_weight, grad_bias)
        ctx.count = len(rows_NE)
        return total / len(rows_NE)


class ChunkLinear:
    """The layer for one chunk after another. Its weight is cast once, and for bf16 on a CPU also packed once."""

    def __init__(self, weight_VE: Tensor, bias_V: Tensor, dtype: torch.dtype, rows: int):
        self.weight, self.bias = weight_VE.detach().to(dtype), bias_V.detach().to(dtype)
        packs = dtype == torch.bfloat16 and not weight_VE.is_cuda and torch.backends.mkldnn.is_available()
        self.packed = torch.ops.mkldnn._reorder_linear_weight(self.weight, rows) if packs else None
        # One buffer serves all chunks: fresh memory costs more than the arithmetic on it.
        self.buffer = None if packs else self.weight.new_empty(rows, len(weight_VE))

    def __call__(self, rows_NE: Tensor) -> Tensor:
        """Logits [N, V], valid until the next call."""
        if self.buffer is None:
            return torch.ops.mkldnn._linear_pointwise(rows_NE, self.packed, self.bias, "none", [], "")
        return torch.addmm(self.bias, rows_NE, self.weight.t(), out=self.buffer[: len(rows_NE)])


def softmax_and_loss(logits_NV: Tensor, targets_N: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities, which overwrite the logits, and the rows' summed cross-entropy in fp32."""
    if logits_NV.dtype == torch.float32:
        expected = logits_NV.gather(1, targets_N[:, None])
        highest = logits_NV.amax(1, keepdim=True)
        odds = logits_NV.sub_(highest).exp_()
        sums = odds.sum(1, keepdim=True)
        return odds.div_(sums), (highest + sums.log() - expected).sum()
    probabilities = torch.ops.aten._softmax.out(logits_NV, 1, False, out=logits_NV)
    expected = probabilities.gather(1, targets_N[:, None]).float()
    return probabilities, -expected.clamp_min(torch.finfo(torch.float32).tiny).log().sum()


def accumulate(grad_weight: Tensor, grad_bias: Tensor, errors_NV: Tensor, rows_NE: Tensor) -> None:
    """Add a chunk's gradients of weight and bias."""
    if errors_NV.dtype == torch.float32:
        grad_weight.addmm_(errors_NV.t(), rows_NE)
    else:
        grad_weight.add_(torch.mm(errors_NV.t(), rows_NE))
    grad_bias.add_(errors_NV.new_ones(1, len(errors_NV)).mm(errors_NV)[0])
