"""The weights of an ensemble: what few documents say counts little, what many say counts all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from ulmfit.directions import Member
from ulmfit.errors import UserError
from ulmfit.evaluation.mixture import EQUAL, Mixture, Shares, read_mixture, write_mixture
from ulmfit.evaluation.weighing import PRIOR, fit_mixture


def sure_of(truth: np.ndarray, share: float, rng: np.random.Generator) -> Shares:
    """Probabilities of three classes that are right on ``share`` of the rows, and sure of it."""
    said = np.where(rng.random(len(truth)) < share, truth, (truth + 1) % 3)
    return (np.eye(3)[said] * 0.85 + 0.05).astype(np.float32)


def members_of(rows: int, network: float, words: float) -> tuple[dict[Member, Shares], np.ndarray]:
    rng = np.random.default_rng(1)
    truth = rng.integers(3, size=rows)
    return {"forward": sure_of(truth, network, rng), "backward": sure_of(truth, network, rng), "words": sure_of(truth, words, rng)}, truth


def test_equal_weights_are_the_mean_of_both_directions() -> None:
    members, _ = members_of(50, 0.7, 0.7)
    mean = np.mean([members["forward"], members["backward"]], axis=0, dtype=np.float32)
    assert np.array_equal(EQUAL.join(members, "multi-class"), mean)


def test_where_words_alone_are_better_the_answer_uses_them() -> None:
    members, truth = members_of(2000, 0.4, 0.9)
    found = fit_mixture(members, truth, "multi-class")
    assert found.weights["words"] > 0.9
    members, truth = members_of(2000, 0.9, 0.4)
    assert fit_mixture(members, truth, "multi-class").weights["words"] < 0.15


def test_few_documents_move_the_weights_little() -> None:
    prior = PRIOR[0] / sum(PRIOR)
    members, truth = members_of(0, 0.5, 0.5)
    nothing = fit_mixture(members, truth, "multi-class")
    assert nothing.weights["words"] == pytest.approx(prior, abs=0.01) and nothing.temperature == 1.0
    few, many = (fit_mixture(*members_of(rows, 0.4, 0.9), "multi-class").weights["words"] for rows in (6, 300))
    assert prior < few < many


def test_weights_add_up_to_one_and_the_temperature_sharpens_what_is_too_unsure() -> None:
    members, truth = members_of(1000, 1.0, 1.0)
    found = fit_mixture({name: shares * 0.3 + 0.7 / 3 for name, shares in members.items()}, truth, "multi-class")
    assert sum(found.weights.values()) == pytest.approx(1) and found.temperature < 0.5
    joined = found.join(members, "multi-class")
    assert joined.dtype == np.float32 and joined.sum(1) == pytest.approx(1, abs=1e-5)
    assert not np.allclose(joined, found.join(members, "multi-class", calibrated=False))


def test_several_labels_have_thresholds_of_their_own() -> None:
    members, truth = members_of(500, 0.9, 0.6)
    several = np.eye(3)[truth].astype(bool)
    found = fit_mixture(members, several, "multi-label")
    assert found.thresholds and len(found.thresholds) == 3 and found.weights["words"] < 0.5
    decided = found.join(members, "multi-label") >= np.array(found.thresholds)
    assert (decided == several).mean() > 0.85


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_mixture(tmp_path) is None
    mixture = Mixture(weights={"forward": 0.25, "backward": 0.25, "words": 0.5}, temperature=1.25, thresholds=(0.5, 0.25))
    write_mixture(tmp_path, mixture)
    assert read_mixture(tmp_path) == mixture


@pytest.mark.parametrize(
    "text",
    [
        '{"weights": {"sideways": 1}}',
        '{"weights": {"forward": 0.5, "backward": 0.6}}',
        '{"weights": {"forward": 2, "backward": -1}}',
        '{"weights": {"forward": 0.5, "backward": 0.5}, "temperature": 0}',
        '{"weights": {"forward": 0.5, "backward": 0.5}, "temperature": NaN}',
        '{"weights": {"forward": 0.5, "backward": 0.5}, "temperature": Infinity}',
        '{"weights": {"forward": 0.5, "backward": 0.5}, "thresholds": [NaN, 0.5]}',
    ],
)
def test_what_is_no_mixture_is_damaged(tmp_path: Path, text: str) -> None:
    (tmp_path / "ensemble.json").write_text(text)
    with pytest.raises(UserError, match=r"ensemble.json: damaged"):
        read_mixture(tmp_path)
