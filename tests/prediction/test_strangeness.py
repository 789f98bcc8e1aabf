"""How strange a text is to a model: the figures against plain sums, and the comparison with held-out text that is kept beside it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from tests.prediction.test_predictor import WORDS, texts_of
from tests.serving.conftest import make_bundle
from ulmfit.errors import UserError
from ulmfit.models.saving import load_classifier
from ulmfit.prediction.familiar import FILE, Familiar, as_strange, read_familiar, write_familiar
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.strangeness import figures, strangeness

OWN = texts_of(*([12] * 300))


@pytest.fixture
def predictor(tmp_path: Path) -> Predictor:
    return Predictor(make_bundle(tmp_path / "made", 1))


def knowing(predictor: Predictor, **changed: tuple[float, ...]) -> Predictor:
    """With the figures of its own texts."""
    predictor.bundle = replace(predictor.bundle, familiar=Familiar.of(*figures(predictor, OWN)).model_copy(update=changed))
    return predictor


def test_a_loss_is_what_the_encoder_says_of_the_next_word(predictor: Predictor, tmp_path: Path) -> None:
    text = "the film was good and long"
    losses, unknown = figures(predictor, ["a story", text, "the Katze bellt"])
    ids = torch.from_numpy(predictor.encode([text]).doc(0).astype(np.int64))
    encoder = load_classifier(tmp_path / "made" / "forward").encoder.eval()
    with torch.no_grad():
        states = predictor.language_model.hidden(ids[:-1, None], encoder.initial_state(1))[0][:, 0]
        expected = F.cross_entropy(states @ encoder.embedding.weight.T, ids[1:]).item()
    assert losses[1] == pytest.approx(expected, abs=1e-5) and len(set(losses.round(4))) == 3
    assert unknown[:2].tolist() == [0, 0] and unknown[2] == pytest.approx(2 / 3, abs=0.2)


def test_a_prediction_is_the_same_after_it(predictor: Predictor) -> None:
    before = predictor.probabilities(OWN[:5])
    strangeness(predictor, OWN[:5])
    assert np.array_equal(predictor.probabilities(OWN[:5]), before)


def test_its_own_texts_are_seldom_told(predictor: Predictor) -> None:
    found = strangeness(knowing(predictor), texts_of(*([12] * 500))[300:])
    assert sum(one.warning is not None for one in found) <= 8  # of 200, at 1% by each figure


def test_words_that_it_does_not_know_are_told(predictor: Predictor) -> None:
    usual, strange = strangeness(knowing(predictor), ["the film was good", "der Hund bellt laut im Wald"])
    assert usual.warning is None and usual.unknown == 0
    assert strange.warning and strange.warning.startswith(f"{strange.unknown:.0%} of the words are unknown, which less than 1%")


def test_words_that_it_does_not_expect_are_told(predictor: Predictor) -> None:
    low = tuple(np.linspace(0, 0.1, 300).tolist())
    (found,) = strangeness(knowing(predictor, losses=low), [" ".join(WORDS)])
    assert (
        found.perplexity
        and found.warning
        == f"the perplexity is {found.perplexity:,.0f}, which less than 1% of its own texts reach: the text is far from what the model was trained on"
    )
    both = strangeness(knowing(predictor, losses=low), ["der Hund bellt laut"])[0].warning
    assert both and "unknown" in both and " and the perplexity" in both


def test_few_texts_say_nothing_of_what_is_seldom(predictor: Predictor) -> None:
    few = knowing(predictor, losses=(0.1,) * 50, unknown=(0.0,) * 50)
    expected, unknown = strangeness(few, ["the film was good", "der Hund bellt"])
    assert (
        expected.warning is None
        and unknown.warning == f"{unknown.unknown:.0%} of the words are unknown: the text is far from what the model was trained on"
    )


def test_texts_without_a_word(predictor: Predictor) -> None:
    for model in (predictor, knowing(predictor)):
        assert [(one.perplexity, one.unknown, one.warning) for one in strangeness(model, ["", "  "])] == [(None, 0.0, None)] * 2
    assert strangeness(predictor, []) == []


def test_the_share_of_texts_as_strange() -> None:
    reference = tuple(range(99))
    assert as_strange(reference, 98) == pytest.approx(2 / 100) and as_strange(reference, 99) == pytest.approx(1 / 100)
    assert as_strange(reference, -1) == 1 and as_strange((), 5) == 1


def test_it_is_kept_beside_the_model(predictor: Predictor, tmp_path: Path) -> None:
    known = knowing(predictor).bundle.familiar
    predictor.save(tmp_path / "saved")
    assert known and Predictor(tmp_path / "saved").bundle.familiar == known
    assert read_familiar(tmp_path) is None
    write_familiar(tmp_path, Familiar.of(np.array([2.0, np.nan, 1.0]), np.array([0.5, 0.0])))
    assert read_familiar(tmp_path) == Familiar(losses=(1.0, 2.0), unknown=(0.0, 0.5))
    (tmp_path / "saved" / FILE).write_text("[")
    with pytest.raises(UserError, match=r"familiarity.json: damaged"):
        Predictor(tmp_path / "saved")
