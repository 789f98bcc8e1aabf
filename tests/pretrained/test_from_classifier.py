"""A trained classifier's encoders as language models: the weights and words that it has."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from tests.prediction.test_predictor import VOCAB
from tests.serving.conftest import make_bundle
from ulmfit.directions import DIRECTIONS
from ulmfit.errors import UserError
from ulmfit.models.saving import load_classifier, load_language_model, read_saved_model
from ulmfit.pretrained.from_classifier import language_models_of
from ulmfit.text.vocab import Vocab


def test_the_encoders_go_on_being_used(tmp_path: Path) -> None:
    bundle = make_bundle(tmp_path / "made", 3)
    found = language_models_of(bundle, tmp_path / "lm")
    assert list(found) == list(DIRECTIONS)
    for direction, folder in found.items():
        lm, classifier = load_language_model(folder), load_classifier(bundle / direction)
        assert read_saved_model(folder).direction == direction and Vocab.load(folder / "vocab.json") == VOCAB
        assert all(torch.equal(value, lm.encoder.state_dict()[name]) for name, value in classifier.encoder.state_dict().items())
        assert not lm.bias.any()


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="not a model"):
        language_models_of(tmp_path, tmp_path / "lm")
