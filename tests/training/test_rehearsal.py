"""A few steps before a training: measured once for a machine and a shape; and the costs that follow from them."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.training.test_work import SIZES, TEXT
from ulmfit.config import ClassifierConfig, LMConfig
from ulmfit.training import rehearsal
from ulmfit.training.rehearsal import classifier_task, costs_of, estimate, lm_task, speed_of, usual_amounts

LM = LMConfig(batch_size=4, bptt=10, epochs=2)
CLASSIFIER = ClassifierConfig(batch_size=8, bptt=10, epochs=6)


@pytest.fixture(autouse=True)
def short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rehearsal, "SECONDS", 0.03)


def test_a_speed_is_measured_once_for_a_machine_and_a_shape(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    both = [lm_task(TEXT, SIZES, LM), lm_task(TEXT, SIZES, LM)]
    classifier = [classifier_task(TEXT, SIZES, CLASSIFIER)]
    speed, other = speed_of(both, 1, tmp_path / "speeds"), speed_of(classifier, 1, tmp_path / "speeds")
    assert speed > 0 and other > 0 and len(list((tmp_path / "speeds").iterdir())) == 2
    monkeypatch.setattr(rehearsal, "_measured", lambda task, threads: 1.0)
    assert speed_of(both, 1, tmp_path / "speeds") == speed and speed_of(classifier, 1, tmp_path / "speeds") == other
    wider, more = LM.model_copy(update={"batch_size": 6}), LM.model_copy(update={"epochs": 3})
    assert speed_of([lm_task(TEXT, SIZES, wider)] * 2, 1, tmp_path / "speeds") == 1, "another shape"
    assert speed_of(both, 2, tmp_path / "speeds") == 1, "other threads"
    assert speed_of([lm_task(TEXT, SIZES, more)] * 2, 1, tmp_path / "speeds") == speed, "the amount is no part of the shape"
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX2")
    assert speed_of(both, 1, tmp_path / "speeds") == 1, "another machine"
    assert torch.get_num_threads() >= 1


def test_costs_add_up_to_the_estimates() -> None:
    lm, classifier = lm_task(TEXT, SIZES, LM), classifier_task(TEXT, SIZES, CLASSIFIER)
    costs, usual = costs_of(lm, classifier, (1e9, 2e9), TEXT.valid), usual_amounts(lm, classifier, TEXT.valid)
    assert usual.epochs == 6 and usual.labelled == 60 and usual.judged == 20 and usual.tokens == lm.tokens
    trained = costs.seconds(usual) - costs.fixed - usual.judged * costs.judged - usual.labelled * costs.labelled
    assert trained == pytest.approx(estimate(lm, 1e9) + estimate(classifier, 2e9), rel=0.05)
    after = costs_of(lm, classifier, (1e9, 2e9), None, turns=2)
    assert (after.judged, after.labelled) == (0, 0) and after.token == 2 * costs.token and after.document == 2 * costs.document
