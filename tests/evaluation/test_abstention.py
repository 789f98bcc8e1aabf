"""A threshold keeps its promise on new rows, and answers as many as it can."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from scipy.stats import binom

from ulmfit.errors import UserError
from ulmfit.evaluation.abstention import FILE, RISK, Abstention, measure, read_abstention, write_abstention


def rows(number: int, rng: np.random.Generator, sharpness: float = 1.0) -> Abstention:
    """Overconfident predictions of two classes."""
    margins = np.abs(rng.normal(1.5, 1.5, number))
    confidences = 1 / (1 + np.exp(-1.5 * margins))
    right = rng.random(number) < 1 / (1 + np.exp(-sharpness * margins))
    return Abstention(confidences=tuple(confidences.round(6).tolist()), right=tuple(right.tolist()))


@pytest.mark.parametrize(("number", "share"), [(100, 0.9), (400, 0.9), (400, 0.95), (1500, 0.95)])
def test_the_promise_is_kept_on_new_rows(number: int, share: float) -> None:
    rng = np.random.default_rng(0)
    new = rows(100_000, rng)
    confidences, right = np.array(new.confidences), np.array(new.right)
    broken, draws = 0, 150
    for _ in range(draws):
        found = rows(number, rng).threshold(share)
        broken += found is not None and bool(right[confidences >= found].mean() < share)
    assert broken <= binom.ppf(0.999, draws, RISK)


def test_with_many_rows_nearly_all_that_can_be_answered_is() -> None:
    rng = np.random.default_rng(1)
    found = rows(20_000, rng).threshold(0.9)
    assert found is not None
    new = rows(100_000, rng)
    right = np.array(new.right)[np.array(new.confidences) >= found]
    assert 0.9 <= right.mean() < 0.93 and len(right) > 40_000


def test_a_model_that_is_always_right_answers_all_and_one_that_guesses_nothing() -> None:
    right = Abstention(confidences=tuple(np.linspace(0.5, 1, 200).tolist()), right=(True,) * 200)
    assert right.threshold(0.95) == 0.5
    guessing = Abstention(confidences=right.confidences, right=(True, False) * 100)
    assert guessing.threshold(0.95) is None and guessing.threshold(0.4) is not None


def test_rows_of_one_confidence_stay_together() -> None:
    same = Abstention(confidences=(0.9,) * 100 + (0.8,) * 100, right=(True,) * 100 + (False,) * 100)
    assert same.threshold(0.9) == 0.9
    assert Abstention(confidences=(0.9,) * 200, right=same.right).threshold(0.9) is None


def test_few_rows_promise_nothing() -> None:
    assert Abstention(confidences=(), right=()).threshold(0.9) is None
    assert Abstention(confidences=(0.9,) * 10, right=(True,) * 10).threshold(0.9) is None


def test_coverage_is_measured_on_rows_that_the_threshold_was_not_found_on() -> None:
    rng = np.random.default_rng(2)
    held = rows(20_000, rng, 1.2)
    low, high = measure(held, (0.9, 0.95))
    assert low.coverage > high.coverage > 0 and low.accuracy and low.accuracy > 0.88 and high.accuracy and high.accuracy > 0.93
    half = 1500
    apart = Abstention(confidences=(0.9, 0.6) * half, right=(True, False) * half)  # of one half all is right, of the other nothing
    (found,) = measure(apart, (0.9,))
    assert found.coverage == 0 and found.accuracy is None
    assert measure(Abstention(confidences=(), right=()), (0.9,)) == []


def test_it_is_kept_beside_a_model(tmp_path: Path) -> None:
    assert read_abstention(tmp_path) is None
    held = Abstention.of(np.array([[0.2, 0.8], [0.7, 0.3]], dtype=np.float32), np.array([1, 1]))
    assert held == Abstention(confidences=(0.8, 0.7), right=(True, False))
    write_abstention(tmp_path, held)
    assert read_abstention(tmp_path) == held
    (tmp_path / FILE).write_text("{")
    with pytest.raises(UserError, match="damaged"):
        read_abstention(tmp_path)
