"""The model of words gives what scikit-learn gives, from files that are no pickles."""

from __future__ import annotations

import json
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.preprocessing import normalize

from ulmfit.errors import UserError
from ulmfit.models import words as module
from ulmfit.models.words import WORD, Features, Terms, Themes, WordModel, pieces_of, words_of
from ulmfit.training.words import known_terms

TEXTS = ["Good, good film!", "a bad film", "", "nothing known: xyzzy", "The film was good; the end bad. Bad!"]


def vectorizers() -> tuple[TfidfVectorizer, TfidfVectorizer]:
    words = TfidfVectorizer(ngram_range=(1, 2), sublinear_tf=True, token_pattern=WORD)
    pieces = TfidfVectorizer(analyzer="char_wb", ngram_range=(2, 5), sublinear_tf=True)
    return words.fit(TEXTS[:2] + TEXTS[4:]), pieces.fit(TEXTS[:2] + TEXTS[4:])


@pytest.fixture
def model() -> WordModel:
    words, pieces = (Terms(known.get_feature_names_out().tolist(), known.idf_.astype(np.float32)) for known in vectorizers())
    rng = np.random.default_rng(0)
    themes = [Themes(terms, rng.normal(size=(len(terms.terms), 4)).astype(np.float16).astype(np.float32)) for terms in (words, pieces)]
    known = Features(words, pieces, *themes)
    return WordModel(known, rng.normal(size=(known.number, 3)).astype(np.float32), np.array([0.1, 0.3, -np.inf], np.float32))


def test_features_are_those_of_scikit_learn(model: WordModel) -> None:
    expected = []
    for known, themes in zip(vectorizers(), (model.features.word_themes, model.features.piece_themes), strict=True):
        plain = known.transform(TEXTS).toarray()
        expected += [plain, normalize(plain @ themes.axes)]
    assert np.allclose(model.features.of(TEXTS).toarray(), np.hstack(expected), atol=1e-5) and expected[3][4].any()
    assert model.features.of([]).shape == (0, len(model.weights)) and model.features.of([""]).nnz == 0


def test_features_take_little_more_memory_than_they_are(model: WordModel, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BLOCK", 20)
    rng = np.random.default_rng(0)
    texts = ["".join(rng.choice([*"abcd "], size=600)) for _ in range(200)]
    terms = [known_terms(map(cut, texts), len(texts), 1, 100_000) for cut in (words_of, pieces_of)]
    known = Features(*terms, *(Themes(each, np.zeros((len(each.terms), 0), np.float32)) for each in terms))
    whole = known.of(texts)
    tracemalloc.start()
    try:
        again = known.of(texts)
        most = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert most < 4 * (whole.data.nbytes + whole.indices.nbytes + whole.indptr.nbytes)
    monkeypatch.setattr(module, "BLOCK", 1_000)
    at_once = known.of(texts)
    for name in ("data", "indices", "indptr"):
        assert np.array_equal(getattr(again, name), getattr(at_once, name)), name


def test_known_terms_are_those_of_scikit_learn() -> None:
    for known, cut in zip(vectorizers(), (words_of, pieces_of), strict=True):
        learnt = TEXTS[:2] + TEXTS[4:]
        found = known_terms(map(cut, learnt), len(learnt), 1, 1000)
        assert list(found.terms) == known.get_feature_names_out().tolist() and np.allclose(found.idf, known.idf_)


def test_probabilities(model: WordModel) -> None:
    scores = model.features.of(TEXTS).toarray() @ model.weights[:, :2]
    expected = np.exp(scores + model.biases[:2])
    found = model.probabilities(TEXTS, "multi-class")
    assert np.allclose(found[:, :2], expected / expected.sum(1, keepdims=True), atol=1e-6) and not found[:, 2].any()
    several = model.probabilities(TEXTS, "multi-label")
    assert np.allclose(several[:, :2], 1 / (1 + 1 / expected), atol=1e-6) and not several[:, 2].any()
    assert found.dtype == np.float32 and model.probabilities([], "multi-class").shape == (0, 3)


def test_it_is_the_same_when_it_is_read_again(model: WordModel, tmp_path: Path) -> None:
    known = model.features
    words = Terms([*known.words.terms[:-1], "\ud800 ☃"], known.words.idf)
    strange = WordModel(Features(words, known.pieces, known.word_themes, known.piece_themes), model.weights, model.biases)
    strange.save(tmp_path)
    again = WordModel.load(tmp_path, labels=3)
    assert again.features.words.terms == words.terms and again.digest == strange.digest != model.digest
    assert np.array_equal(again.probabilities(TEXTS, "multi-class"), strange.probabilities(TEXTS, "multi-class"))


def test_what_is_damaged_is_named(model: WordModel, tmp_path: Path) -> None:
    model.save(tmp_path)
    with pytest.raises(UserError, match=r"and 2 labels are no fit"):
        WordModel.load(tmp_path, labels=2)
    terms = json.loads((tmp_path / "terms.json").read_text())
    (tmp_path / "terms.json").write_text(json.dumps(terms | {"words": terms["words"][1:]}))
    with pytest.raises(UserError, match="no fit"):
        WordModel.load(tmp_path, labels=3)
    (tmp_path / "terms.json").write_text("[1, ")
    with pytest.raises(UserError, match="damaged"):
        WordModel.load(tmp_path, labels=3)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(UserError, match=r"(terms.json|model.safetensors).*(damaged|missing)|damaged"):
        WordModel.load(tmp_path, labels=3)
