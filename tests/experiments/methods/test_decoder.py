"""The fine-tuned decoder, on a small random one that is made here."""

import numpy as np
import pytest
import torch

from tests.experiments.methods.random_decoder import write_decoder
from tests.experiments.methods.test_methods import WORDS, texts
from ulmfit.errors import UserError
from ulmfit.experiments.methods.decoder import Decoder, digest_of

LABELS = np.arange(24) % 3


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    words = ["the", "a", "it", *(word for words in WORDS.values() for word in words)]
    return write_decoder(tmp_path_factory.mktemp("decoder"), words)


@pytest.fixture(scope="module")
def fitted(folder):
    return Decoder(folder, epochs=25, batch=8, rate=5e-3, max_tokens=16).fit(texts(LABELS, 0), LABELS, 4)


def test_it_learns_what_words_say(fitted):
    found = fitted.probabilities(texts(LABELS, 1))
    assert found.shape == (24, 4) and found.sum(1) == pytest.approx(1) and (found[:, 3] == 0).all()
    assert (found.argmax(1) == LABELS).mean() > 0.9


def test_a_text_does_not_depend_on_its_batch_mates_and_long_ones_are_cut(fitted):
    rows = [*texts(LABELS[:5], 2), "", "fine " * 100, "dull"]
    together = fitted.probabilities(rows)
    assert together == pytest.approx(np.concatenate([fitted.probabilities([text]) for text in rows]), abs=1e-5)
    assert [len(ids) for ids in fitted.encode(["", "fine " * 100])] == [1, 16]


def test_the_auxiliary_loss_is_that_of_the_language_model(fitted):
    """Against the library's own, text by text."""
    documents = fitted.encode(["the fine loved", "dull"])
    with torch.no_grad():
        fitted.body.eval()
        _, found = fitted.read(documents)
        own = [(float(fitted.body(torch.tensor([ids]), labels=torch.tensor([ids])).loss), len(ids) - 1) for ids in documents]
    assert float(found) == pytest.approx(sum(loss * number for loss, number in own) / sum(number for _, number in own), rel=1e-5)


def test_it_lowers_the_language_model_s_loss_where_that_is_asked_for(folder):
    def loss(weight):
        fitted = Decoder(folder, epochs=6, batch=8, rate=5e-3, lm_weight=weight).fit(texts(LABELS, 0), LABELS, 3)
        with torch.no_grad():
            fitted.body.eval()
            return float(fitted.read(fitted.encode(texts(LABELS, 1)))[1])

    assert loss(1.0) < loss(0.0) - 0.2


def test_same_seed_same_probabilities_and_the_global_generator_is_left_alone(folder):
    before = torch.random.get_rng_state()
    runs = [Decoder(folder, seed=3, epochs=1).fit(texts(LABELS, 0), LABELS, 3).probabilities(["fine"]) for _ in range(2)]
    assert np.array_equal(*runs) and torch.equal(before, torch.random.get_rng_state())


def test_what_cannot_be_loaded_is_one_line(folder, tmp_path):
    with pytest.raises(UserError, match="two labels or more"):
        Decoder(folder).fit(["a", "b"], np.array([1, 1]), 2)
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="holds no transformer to load"):
        Decoder(tmp_path).fit(["a", "b"], np.array([0, 1]), 2)
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(UserError, match="the transformer cannot be loaded"):
        Decoder(tmp_path).fit(["a", "b"], np.array([0, 1]), 2)


def test_without_the_extra_the_remedy_is_told(tmp_path, monkeypatch):
    monkeypatch.setattr("ulmfit.experiments.methods.decoder.find_spec", lambda name: None)
    with pytest.raises(UserError, match=r"pip install 'ulmfit\[decoder\]'"):
        Decoder(tmp_path).fit(["a", "b"], np.array([0, 1]), 2)


def test_a_decoder_is_known_by_its_files_wherever_they_lie(tmp_path):
    for name, content in (("one", b"1"), ("same", b"1"), ("other", b"2")):
        (tmp_path / name).mkdir()
        (tmp_path / name / "model.safetensors").write_bytes(content)
    assert digest_of(tmp_path / "one") == digest_of(tmp_path / "same") != digest_of(tmp_path / "other")
