"""Words as a member of the ensemble: they are weighed, saved, loaded, explained, and named by the digest."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.prediction.test_predictor import LABELS, VOCAB, WORDS, save_classifier, texts_of
from ulmfit.directions import DIRECTIONS
from ulmfit.errors import UserError
from ulmfit.models.saving import Calibration
from ulmfit.prediction.bundle import WITH_WORDS, write_bundle
from ulmfit.prediction.explain import explain
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.weighing import add_words
from ulmfit.text.tokenizer import Tokenizer
from ulmfit.training.words import train_words

TEXT = "The film was good. A long story about cats and dogs!"


def made(folder: Path, calibration: Calibration | None = None) -> Path:
    VOCAB.save(folder / "vocab.json")
    parts = [save_classifier(folder / name, name, seed, calibration=calibration) for seed, name in enumerate(DIRECTIONS)]
    write_bundle(folder / "model", *parts, folder / "vocab.json", Tokenizer().definition)
    texts, several = texts_of(*[12] * 90), calibration is not None
    truth = np.array([["good" in text, "cats" in text, "a" in text] for text in texts])
    words = train_words(texts[:60], truth[:60] if several else truth[:60, :2].sum(1), len(LABELS), 0)
    words.save(folder / "words")
    add_words(folder / "model", folder / "words", texts[60:], truth[60:] if several else truth[60:, :2].sum(1))
    return folder / "model"


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(tmp_path_factory.mktemp("three"))


def test_the_answer_is_the_weighted_mean_through_the_temperature(model: Path) -> None:
    predictor, texts = Predictor(model), texts_of(5, 30, 0)
    members, weights = predictor.members(texts), predictor.mixture.weights
    assert list(members) == ["forward", "backward", "words"] and weights["words"] > 0.35, "the networks are of chance, the words are not"
    mean = sum(weight * members[member] for member, weight in weights.items())
    powers = np.asarray(mean, dtype=np.float64) ** (1 / predictor.mixture.temperature)
    assert np.allclose(predictor.probabilities(texts), powers / powers.sum(1, keepdims=True), atol=1e-6)
    assert predictor.probabilities([]).shape == (0, 3)


def test_it_is_saved_and_read_whole(model: Path, tmp_path: Path) -> None:
    first, texts = Predictor(model), texts_of(5, 30)
    first.save(tmp_path / "again")
    second = Predictor(tmp_path / "again")
    assert np.array_equal(second.probabilities(texts), first.probabilities(texts))
    assert second.digest == first.digest and all((tmp_path / "again" / name).is_file() for name in WITH_WORDS)
    plain = shutil.copytree(model, tmp_path / "plain")
    (plain / "ensemble.json").unlink()
    assert Predictor(plain).digest != first.digest


@pytest.mark.parametrize("name", [name for name in WITH_WORDS if name.startswith("words")])
def test_what_is_missing_is_named(model: Path, tmp_path: Path, name: str) -> None:
    folder = shutil.copytree(model, tmp_path / "model")
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name}: is missing"):
        Predictor(folder)


def test_an_explanation_is_of_the_answer(model: Path) -> None:
    predictor = Predictor(model)
    found = explain(predictor, TEXT)
    whole = predictor.probabilities([TEXT])[0]
    code = int(whole.argmax())
    assert found.probability == pytest.approx(whole[code], abs=1e-6) and found.by_words is not None
    (word,) = [word for word in found.words if word.text == "good."]
    without = [TEXT.replace("good. ", "")]
    assert word.effect == pytest.approx(whole[code] - predictor.probabilities(without)[0, code], abs=1e-6)
    assert word.by_words == pytest.approx(found.by_words - predictor.members(without)["words"][0, code], abs=1e-6)
    assert found.facts["by_words"] == found.by_words and found.facts["words"][0].keys() >= {"effect", "forward", "by_words"}


def test_a_text_may_have_several_labels(tmp_path: Path) -> None:
    predictor = Predictor(made(tmp_path, Calibration(task="multi-label", thresholds=(0.5, 0.5, 0.5))))
    assert predictor.mixture.thresholds is not None and predictor.thresholds is not None
    assert predictor.thresholds.tolist() == list(predictor.mixture.thresholds)
    answers = predictor.decide(predictor.probabilities([f"{word} {word}" for word in WORDS]))
    assert len({tuple(labels) for labels in answers}) > 1
