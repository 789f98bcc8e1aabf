"""``resolve_device``: names of devices against the machine at hand."""

import pytest
import torch

from ulmfit.compute.devices import resolve_device
from ulmfit.errors import UserError


@pytest.mark.parametrize(("name", "gpus", "expected"), [("auto", 0, "cpu"), ("auto", 1, "cuda"), ("cpu", 1, "cpu"), ("cuda", 2, "cuda")])
def test_auto_takes_a_gpu_where_there_is_one(name, gpus, expected, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    assert resolve_device(name) == expected
    assert resolve_device("cpu", 8) == "cpu"


@pytest.mark.parametrize(
    ("name", "processes", "gpus", "said"),
    [
        ("tpu", 1, 1, "there is no device 'tpu'"),
        ("cuda", 1, 0, "torch finds no CUDA device"),
        ("cuda", 3, 2, "--devices 3: torch sees 2 CUDA devices; give --devices 2, or --device cpu"),
        ("auto", 3, 2, "--devices 3: torch sees 2 CUDA devices"),
    ],
)
def test_what_the_machine_lacks_is_the_users_error(name, processes, gpus, said, monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UserError, match=said):
        resolve_device(name, processes)
