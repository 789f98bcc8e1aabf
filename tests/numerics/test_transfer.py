"""Weights carried over: rows to another vocabulary, an encoder into a classifier. Bit for bit."""

import pytest
import torch

from tests.oracles.awd_lstm import NO_DROPOUT, SMALL, text
from ulmfit.config import ModelConfig
from ulmfit.models.classifier import Classifier
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.transfer import average_weights, take_encoder, transfer_vocabulary
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab

OLD = Vocab([*SPECIALS, "the", "film", "was", "good", "bad"])
NEW = Vocab([*SPECIALS, "bad", "ticket", "the", "printer"])


@pytest.fixture
def lm() -> LanguageModel:
    model = LanguageModel(len(OLD), SMALL, NO_DROPOUT, seed=3)
    with torch.no_grad():
        model.bias.copy_(torch.randn(len(OLD), generator=torch.Generator().manual_seed(1)))
    return model


def test_shared_rows_are_kept_and_new_ones_are_the_mean(lm):
    moved = transfer_vocabulary(lm, OLD, NEW)
    for old, new in ((lm.encoder.embedding.weight, moved.encoder.embedding.weight), (lm.bias, moved.bias)):
        assert len(new) == len(NEW)
        for row, token in enumerate(NEW.tokens):
            if token in OLD.tokens:
                assert torch.equal(new[row], old[OLD.tokens.index(token)]), token
            else:
                mean = sum(old[i].double() for i in range(len(OLD))) / len(OLD)
                assert torch.allclose(new[row].double(), mean, atol=1e-6), token


def test_lstm_layers_are_kept_and_the_source_is_left_alone(lm):
    before = {name: tensor.clone() for name, tensor in lm.state_dict().items()}
    moved = transfer_vocabulary(lm, OLD, NEW)
    for name, tensor in lm.encoder.layers.state_dict().items():
        assert torch.equal(moved.encoder.layers.state_dict()[name], tensor)
    with torch.no_grad():
        for parameter in moved.parameters():
            parameter.add_(1)
    assert all(torch.equal(tensor, before[name]) for name, tensor in lm.state_dict().items())


def test_the_same_vocabulary_changes_nothing(lm):
    moved = transfer_vocabulary(lm, OLD, OLD)
    assert all(torch.equal(tensor, moved.state_dict()[name]) for name, tensor in lm.state_dict().items())


def test_dropouts_can_be_changed_on_the_way(lm):
    other = NO_DROPOUT.model_copy(update={"weight": 0.3})
    moved = transfer_vocabulary(lm, OLD, NEW, other)
    drawn = moved.encoder.draw(2)
    assert moved.encoder.dropouts == other and drawn.input is None and all(mask is not None for mask in drawn.weights)
    assert all(mask.max().item() == pytest.approx(1 / 0.7) for mask in drawn.weights)


def test_another_models_vocabulary_is_refused(lm):
    with pytest.raises(ValueError, match=f"{len(OLD)} rows, its vocabulary {len(NEW)}"):
        transfer_vocabulary(lm, NEW, OLD)


def test_the_classifier_takes_the_encoder_exactly(lm):
    classifier = Classifier(len(OLD), 2, SMALL, NO_DROPOUT, seed=9)
    take_encoder(classifier, lm)
    mine = classifier.encoder.state_dict()
    assert mine.keys() == lm.encoder.state_dict().keys()
    assert all(torch.equal(tensor, mine[name]) for name, tensor in lm.encoder.state_dict().items())
    ids = text((7, 2)) % len(OLD)
    assert torch.equal(classifier.encoder(ids, lm.encoder.initial_state(2))[0], lm.hidden(ids, lm.encoder.initial_state(2))[0])


@pytest.mark.parametrize("config", [ModelConfig(embedding=6, hidden=8, layers=3), ModelConfig(embedding=6, hidden=10, layers=2)])
def test_an_encoder_of_another_shape_is_refused(lm, config):
    with pytest.raises(ValueError, match="does not fit"):
        take_encoder(Classifier(len(OLD), 2, config, NO_DROPOUT), lm)


def test_the_average_moves_all_weights_but_the_rows_of_new_words():
    lm, earlier = LanguageModel(6, SMALL, NO_DROPOUT, seed=1), LanguageModel(6, SMALL, NO_DROPOUT, seed=2).state_dict()
    trained = {name: weight.clone() for name, weight in lm.state_dict().items()}
    known = torch.tensor([True, True, True, True, False, False])
    average_weights(lm, earlier, 0.25, known)
    for name, weight in lm.state_dict().items():
        rows = known if name in ("bias", "encoder.embedding.weight") else torch.ones(len(weight), dtype=torch.bool)
        assert torch.allclose(weight[rows], 0.75 * trained[name][rows] + 0.25 * earlier[name][rows])
        assert torch.equal(weight[~rows], trained[name][~rows])
