import json

import pytest
import torch

from tests.bf16 import needs_bf16
from ulmfit.compute import precision
from ulmfit.compute.precision import (
    INFERENCE_SIZE,
    LEAST_GAIN,
    TRAINING_SIZE,
    faster_in_bf16,
    inference_products,
    keep_gain,
    products,
    take_kept_gain,
)
from ulmfit.errors import UserError

FP32, BF16 = torch.float32, torch.bfloat16


@pytest.fixture(params=[True, False], ids=["faster in bf16", "slower in bf16"])
def unit(request, monkeypatch) -> bool:
    monkeypatch.setattr(precision, "faster_in_bf16", lambda device: request.param)
    monkeypatch.setattr(precision, "can_bf16", lambda device: True)
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    return request.param


@pytest.mark.parametrize("choose", [products, inference_products])
@pytest.mark.parametrize("device", ["cpu", "cuda", "cuda:1"])
@pytest.mark.parametrize("size", [8, 4096])
def test_a_precision_that_is_asked_for_is_taken(unit, choose, device, size):
    assert choose("fp32", device, size) == FP32 and choose("bf16", device, size) == BF16
    with pytest.raises(KeyError, match="fp8"):
        choose("fp8", device, size)


@pytest.mark.parametrize("choose", [products, inference_products])
def test_a_precision_that_the_cpu_lacks_is_told(monkeypatch, choose):
    monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: True)
    monkeypatch.setattr(torch.ops.mkldnn, "_is_mkldnn_bf16_supported", lambda: False)
    with pytest.raises(
        UserError, match=r"^precision bf16: this CPU has no instructions for it \(AVX-512 is needed\); take fp32, or auto, "
    ):
        choose("bf16", "cpu", 4096)
    assert choose("fp32", "cpu", 4096) == FP32 and choose("bf16", "cuda", 4096) == BF16


def test_training_takes_bf16_where_it_pays(unit):
    wide = BF16 if unit else FP32
    assert products("auto", "cpu", TRAINING_SIZE) == wide and products("auto", "cpu", TRAINING_SIZE - 1) == FP32
    assert products("auto", "cuda", 8) == products("auto", "cuda:1", 4096) == wide


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_prediction_takes_bf16_for_large_models_alone(unit, device):
    assert inference_products("auto", device, INFERENCE_SIZE) == (BF16 if unit else FP32)
    assert inference_products("auto", device, INFERENCE_SIZE - 1) == FP32


@pytest.fixture
def cpu(monkeypatch):
    """A CPU that knows some instructions and has a gain, and the number of times that the gain was measured."""
    measured = list[float]()

    def make(*instructions: str, gain: float = 2.0, library: bool = True) -> list[float]:
        monkeypatch.setattr(precision, "_gains", {})
        monkeypatch.setattr(precision, "_measure", lambda: measured.append(gain) or gain)
        monkeypatch.setattr(torch.backends.mkldnn, "is_available", lambda: library)
        monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"cpu_name": "some", **dict.fromkeys(instructions, True)})
        return measured

    return make


@pytest.mark.parametrize(
    ("instructions", "limit", "expected"), [("amx_bf16", "", []), ("amx_bf16", "AVX512_CORE", [2.0]), ("avx512_bf16", "", [2.0])]
)
def test_prediction_measures_nothing_where_there_is_a_matrix_unit(cpu, monkeypatch, instructions, limit, expected):
    if limit:
        monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", limit)
    measured = cpu(instructions)
    assert inference_products("auto", "cpu", INFERENCE_SIZE) == BF16 and measured == expected


@pytest.mark.parametrize("instructions", [("amx_bf16",), ("avx512_bf16",), ("bf16",), ("avx512_bf16", "amx_bf16")])
@pytest.mark.parametrize("gain", [0.5, LEAST_GAIN - 0.01, LEAST_GAIN, 4.0])
def test_a_cpu_that_knows_bf16_takes_it_where_it_was_measured_to_be_faster(cpu, instructions, gain):
    measured = cpu(*instructions, gain=gain)
    assert [faster_in_bf16("cpu") for _ in range(3)] == [gain >= LEAST_GAIN] * 3
    assert measured == [gain]


@pytest.mark.parametrize(("instructions", "library"), [(("avx2",), True), ((), True), (("amx_bf16",), False)])
def test_a_cpu_that_does_not_know_bf16_is_not_measured(cpu, tmp_path, instructions, library):
    measured = cpu(*instructions, library=library)
    keep_gain(tmp_path / "machine.json")
    assert not faster_in_bf16("cpu") and measured == [] and not list(tmp_path.iterdir())


def test_the_gain_is_kept_for_later_processes(cpu, tmp_path):
    file, measured = tmp_path / "machine.json", cpu("avx512_bf16", gain=1.7)
    keep_gain(file)
    cpu("avx512_bf16", gain=0.5)  # as a process that would measure something else
    keep_gain(file)
    assert faster_in_bf16("cpu") and measured == [1.7]


def test_one_text_takes_what_is_kept_and_measures_nothing(cpu, tmp_path):
    file, measured = tmp_path / "machine.json", cpu("avx512_bf16", gain=1.7)
    assert not take_kept_gain(file) and not file.exists()
    keep_gain(file)
    cpu("avx512_bf16", gain=0.5)
    assert take_kept_gain(file) and faster_in_bf16("cpu") and measured == [1.7]


@pytest.mark.parametrize("content", [b"", b"{", json.dumps({"machine": "another", "gain": 9.0}).encode()])
def test_what_another_machine_measured_or_nobody_can_read_is_measured_again(cpu, tmp_path, monkeypatch, content):
    file, measured = tmp_path / "machine.json", cpu("avx512_bf16", gain=0.5)
    file.write_bytes(content)
    keep_gain(file)
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")  # oneDNN is told to use less of the processor
    keep_gain(file)
    assert not faster_in_bf16("cpu") and measured == [0.5, 0.5]


@needs_bf16
def test_the_gain_is_measured_in_steps_of_both_types(monkeypatch):
    monkeypatch.setattr(precision, "_gains", {})
    monkeypatch.setattr(precision, "_knows_bf16", lambda: True)
    threads = torch.get_num_threads()
    assert 0.01 < precision.gain() < 1000 and torch.get_num_threads() == threads


@pytest.mark.parametrize("supported", [True, False])
def test_a_gpu_is_asked_for_the_unit_itself_not_for_its_emulation(monkeypatch, supported):
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation=True: including_emulation or supported)
    assert faster_in_bf16("cuda:0") == supported
