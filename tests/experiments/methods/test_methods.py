"""What every method of words promises."""

import numpy as np
import pytest

from ulmfit.errors import UserError
from ulmfit.experiments.methods.mean_vectors import MeanVectors, mean_vectors, vocabulary
from ulmfit.experiments.methods.nbsvm import NaiveBayesSVM
from ulmfit.experiments.methods.tfidf import TfidfRegression

WORDS = {0: ["dull", "hated", "terrible"], 1: ["fine", "loved", "wonderful"], 2: ["late", "broken", "parcel"]}
VECTORS = {word: np.eye(3, dtype=np.float32)[code] + 0.01 * number for code, words in WORDS.items() for number, word in enumerate(words)}
METHODS = [TfidfRegression(), NaiveBayesSVM(), MeanVectors(VECTORS)]


def texts(labels, seed):
    """A text per label: two words of its class among words of none."""
    random = np.random.default_rng(seed)
    return [" ".join([*random.choice(WORDS[code], 2), *random.choice(["the", "a", "it"], 3)]) for code in labels]


@pytest.fixture(params=METHODS, ids=lambda method: type(method).__name__)
def method(request):
    return request.param


@pytest.mark.parametrize("classes", [2, 3])
def test_it_learns_what_words_say(method, classes):
    labels = np.arange(30) % classes
    found = method.fit(texts(labels, 0), labels, classes).probabilities(texts(labels, 1))
    assert found.shape == (30, classes) and found.sum(1) == pytest.approx(1)
    assert found.argmax(1).tolist() == labels.tolist()


def test_a_class_without_texts_keeps_its_column(method):
    labels = np.arange(20) % 2 * 2  # 0 and 2 of four
    found = method.fit(texts(labels, 0), labels, 4).probabilities(texts(labels, 1))
    assert found.shape == (20, 4) and (found[:, [1, 3]] == 0).all() and found.argmax(1).tolist() == labels.tolist()


@pytest.mark.parametrize("counts", [[1, 1], [1, 1, 1], [1, 9], [1, 1, 20]])
def test_classes_of_a_single_text(method, counts):
    labels = np.repeat(np.arange(len(counts)), counts)
    found = method.fit(texts(labels, 0), labels, len(counts)).probabilities(texts([0, 1], 1))
    assert np.isfinite(found).all() and found.sum(1) == pytest.approx(1)


def test_one_class_is_refused(method):
    with pytest.raises(UserError, match="two labels or more"):
        method.fit(texts([1, 1], 0), np.array([1, 1]), 3)


def test_texts_of_unknown_words(method):
    labels = np.arange(12) % 3
    found = method.fit(texts(labels, 0), labels, 3).probabilities(["кот", "?"])
    assert np.isfinite(found).all() and found.sum(1) == pytest.approx(1)


def test_same_seed_same_probabilities(method):
    labels = np.arange(40) % 3
    runs = [method.fit(texts(labels, 0), labels, 3).probabilities(texts(labels, 1)) for _ in range(2)]
    assert np.array_equal(*runs)


def test_mean_vectors_are_of_the_words_that_have_one():
    assert vocabulary(["Fine, fine", "dull"]) == {"fine", ",", "dull"}
    found = mean_vectors(["Fine dull unknown", "nothing"], VECTORS)
    assert found[0] == pytest.approx((VECTORS["fine"] + VECTORS["dull"]) / 2) and (found[1] == 0).all()
