"""Weights in 8 bits: how far off they may be, and that they are read back as a model."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from ulmfit.config import Dropouts, ModelConfig
from ulmfit.errors import UserError
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.quantised import SCALE, quantise, restore
from ulmfit.models.saving import WEIGHTS, ModelFacts, load_language_model, save_model


def model() -> LanguageModel:
    return LanguageModel(50, ModelConfig(embedding=12, hidden=20, layers=2), Dropouts(), seed=3)


def test_no_weight_is_off_by_more_than_half_a_step_of_its_row() -> None:
    generator = torch.Generator().manual_seed(0)
    matrix = torch.randn(40, 30, generator=generator) * torch.logspace(-6, 4, 40)[:, None]
    matrix[7] = 0
    whole = restore(quantise({"w": matrix}))["w"]
    assert bool(((whole - matrix).abs() <= matrix.abs().amax(1, keepdim=True) / 127 / 2 * (1 + 1e-5)).all())
    assert bool((whole[7] == 0).all())


def test_what_is_no_matrix_and_what_was_never_packed_stay_as_they_are() -> None:
    plain = {"b": torch.randn(5), "w": torch.randn(2, 3)}
    assert torch.equal(quantise(plain)["b"], plain["b"])
    assert all(torch.equal(value, plain[name]) for name, value in restore(plain).items())


def test_packing_twice_changes_nothing_more() -> None:
    once = restore(quantise({"w": torch.randn(20, 10)}))
    torch.testing.assert_close(restore(quantise(once))["w"], once["w"], rtol=1e-6, atol=0)


def test_a_packed_model_is_a_model(tmp_path: Path) -> None:
    original = model()
    save_model(tmp_path, original, ModelFacts(direction="forward"), small=True)
    stored = load_file(tmp_path / WEIGHTS)
    assert {tensor.dtype for name, tensor in stored.items() if tensor.dim() == 2} == {torch.int8}
    loaded = load_language_model(tmp_path)
    ids = torch.randint(0, 50, (9, 4))
    with torch.no_grad():
        torch.testing.assert_close(loaded.eval()(ids)[0], original.eval()(ids)[0], rtol=0, atol=0.02)


def test_a_matrix_without_its_scales_is_told_in_one_line(tmp_path: Path) -> None:
    from safetensors.torch import save_file

    save_model(tmp_path, model(), ModelFacts(direction="forward"), small=True)
    stored = {name: tensor for name, tensor in load_file(tmp_path / WEIGHTS).items() if not name.endswith(SCALE)}
    save_file(stored, tmp_path / WEIGHTS)
    with pytest.raises(UserError, match="damaged, or no fit"):
        load_language_model(tmp_path)
