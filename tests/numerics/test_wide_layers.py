"""The gradients of bf16 layers of many widths, held against fp32: oneDNN's own are wrong for some, while losses look right."""

import pytest
import torch

from ulmfit.models.awd_lstm import LSTMLayer, wrong_backward

RELATIVE = 0.01  # of a whole tensor, by its norm; bf16 rounds single numbers by 0.4%


def passed(layer: LSTMLayer, dtype: torch.dtype) -> list[torch.Tensor]:
    """Everything that comes out of the layer, and every gradient, for one and the same input, mask and incoming gradient."""
    layer.zero_grad()
    generator = torch.Generator().manual_seed(1)
    size = layer.hidden_size
    x = torch.randn(6, 16, layer.weight_ih.shape[1], generator=generator).requires_grad_()
    state = tuple((torch.randn(1, 16, size, generator=generator) / 2).requires_grad_() for _ in range(2))
    dropped = (torch.rand(4 * size, size, generator=generator) > 0.5).float() * 2
    out, (h, c) = layer(x.to(dtype), state, dropped)
    ((out.float() * torch.randn(out.shape, generator=generator)).sum() + h.sum() + 2 * c.sum()).backward()
    found = [out, h, c, x.grad, state[0].grad, state[1].grad, *(parameter.grad for parameter in layer.parameters())]
    return [tensor.detach().float().clone() for tensor in found]


@pytest.mark.parametrize(("inputs", "size"), [(24, 64), (400, 512), (24, 1024), (400, 1152), (64, 1150), (1152, 400)])
def test_bf16_layers_of_any_width_have_the_gradients_of_fp32(inputs, size):
    layer = LSTMLayer(inputs, size, torch.Generator().manual_seed(0))
    for number, (bf16, fp32) in enumerate(zip(passed(layer, torch.bfloat16), passed(layer, torch.float32), strict=True)):
        assert float((bf16 - fp32).norm() / fp32.norm()) < RELATIVE, number


def test_only_the_widths_at_fault_are_widened():
    assert [size for size in (400, 960, 1024, 1150, 1152, 1168) if wrong_backward(torch.bfloat16, size)] == [1024, 1152]
    assert not wrong_backward(torch.float32, 1152)
