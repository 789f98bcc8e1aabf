"""The model of words learns what scikit-learn's regression does, whatever the classes."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from ulmfit.training import words as module
from ulmfit.training.words import train_words

TOPICS = {0: ["invoice", "refund", "payment"], 1: ["router", "wifi", "signal"], 2: ["parcel", "courier", "box"]}


def rows_of(number: int, classes: int) -> tuple[list[str], np.ndarray]:
    rng = np.random.default_rng(0)
    codes = rng.integers(classes, size=number)
    return [f"the {rng.choice(TOPICS[int(code)])} of {rng.choice(TOPICS[int(code)])} again" for code in codes], codes


@pytest.mark.parametrize("classes", [2, 3])
def test_it_is_scikit_learns_regression(classes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MANY", 10)  # the strength is then known
    texts, codes = rows_of(80, classes)
    model = train_words(texts, codes, classes, seed=0)
    features = model.features.of(texts)
    expected = LogisticRegression(C=10.0, max_iter=1000).fit(features, codes).predict_proba(features)
    assert np.allclose(model.probabilities(texts, "multi-class"), expected, atol=1e-3)
    assert (model.probabilities(texts, "multi-class").argmax(1) == codes).mean() > 0.95


def test_a_class_without_rows_is_never_given() -> None:
    texts, codes = rows_of(60, 2)
    shares = train_words(texts, codes * 2, 4, seed=0).probabilities(texts, "multi-class")
    assert not shares[:, [1, 3]].any() and (shares.argmax(1) == codes * 2).mean() > 0.95
    alone = train_words(texts, np.full(60, 2), 4, seed=0).probabilities(["anything", ""], "multi-class")
    assert np.array_equal(alone, np.eye(4)[[2, 2]])


def test_several_labels_are_learnt_one_by_one() -> None:
    texts, codes = rows_of(90, 3)
    truth = np.stack([codes == 0, codes != 1, np.ones(90, bool), np.zeros(90, bool)], axis=1)
    shares = train_words(texts, truth, 4, seed=0).probabilities(texts, "multi-label")
    assert ((shares > 0.5) == truth).mean() > 0.95 and shares[:, 2].all() and not shares[:, 3].any()


def test_themes_tell_words_that_no_labelled_row_has(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FEWEST", 100)
    texts, _ = rows_of(400, 3)
    few = [f"the {TOPICS[code][0]}" for code in range(3)] * 4
    unseen, truth = [f"a {TOPICS[code][2]}" for code in range(3)], np.arange(3)
    shares = train_words(few, np.array([0, 1, 2] * 4), 3, seed=0, read=texts, themes=6).probabilities(unseen, "multi-class")
    assert (shares.argmax(1) == truth).all() and shares.max(1).min() > 0.4
    assert train_words(few, np.array([0, 1, 2] * 4), 3, seed=0).features.word_themes.axes.size == 0, "of few texts none are found"


def test_texts_of_no_words_leave_the_shares_of_the_classes() -> None:
    shares = train_words(["", " ", "", ""], np.array([0, 1, 1, 1]), 2, seed=0).probabilities(["anything"], "multi-class")
    assert shares[0] == pytest.approx([0.25, 0.75])
    several = train_words(["", ""], np.array([[True, False], [True, True]]), 2, seed=0).probabilities(["", "x"], "multi-label")
    assert several == pytest.approx(np.array([[1, 0.5]] * 2))
