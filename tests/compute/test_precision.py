import pytest
import torch

from ulmfit.compute import precision
from ulmfit.compute.precision import INFERENCE_SIZE, TRAINING_SIZE, has_bf16_unit, inference_products, products

FP32, BF16 = torch.float32, torch.bfloat16


@pytest.fixture(params=[True, False], ids=["with a unit", "without a unit"])
def unit(request, monkeypatch) -> bool:
    monkeypatch.setattr(precision, "has_bf16_unit", lambda device: request.param)
    return request.param


@pytest.mark.parametrize("choose", [products, inference_products])
@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
@pytest.mark.parametrize("size", [8, 4096])
def test_a_precision_that_is_asked_for_is_taken(unit, choose, device, size):
    assert choose("fp32", device, size) == FP32 and choose("bf16", device, size) == BF16
    with pytest.raises(KeyError, match="fp8"):
        choose("fp8", device, size)


def test_training_takes_bf16_where_it_pays(unit):
    wide = BF16 if unit else FP32
    assert products("auto", "cpu", TRAINING_SIZE) == wide and products("auto", "cpu", TRAINING_SIZE - 1) == FP32
    assert products("auto", "cuda", 8) == products("auto", "cuda:1", 4096) == wide


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_prediction_takes_bf16_for_large_models_alone(unit, device):
    assert inference_products("auto", device, INFERENCE_SIZE) == (BF16 if unit else FP32)
    assert inference_products("auto", device, INFERENCE_SIZE - 1) == FP32


@pytest.mark.parametrize(("library", "tiles"), [(True, True), (True, False), (False, True)])
def test_a_cpu_has_a_unit_where_it_has_tiles_and_a_library_for_them(monkeypatch, library, tiles):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: library)
    monkeypatch.setattr(torch.cpu, "_is_amx_tile_supported", lambda: tiles)
    assert has_bf16_unit("cpu") == (library and tiles)


@pytest.mark.parametrize("supported", [True, False])
def test_a_gpu_is_asked_for_the_unit_itself_not_for_its_emulation(monkeypatch, supported):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or supported)
    assert has_bf16_unit("cuda:0") == supported
