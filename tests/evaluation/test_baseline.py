import numpy as np
import pytest

from ulmfit.errors import UserError
from ulmfit.evaluation.baseline import baseline_probabilities

GOOD = ["a fine film", "wonderful acting, fine story", "I loved the story", "loved it!"]
BAD = ["a dull film", "terrible acting, dull story", "I hated the story", "hated it!"]


def test_it_learns_what_words_say():
    probabilities = baseline_probabilities(GOOD + BAD, [1] * 4 + [0] * 4, ["loved the fine acting", "hated the dull acting"], seed=0)
    assert probabilities.shape == (2, 2)
    assert probabilities.argmax(1).tolist() == [1, 0]
    assert probabilities.sum(1) == pytest.approx(1)


def test_same_seed_same_probabilities():
    runs = [baseline_probabilities(GOOD + BAD, [1] * 4 + [0] * 4, GOOD, seed=3) for _ in range(2)]
    assert np.array_equal(*runs)


def test_a_class_without_training_rows_keeps_its_column():
    probabilities = baseline_probabilities(GOOD + BAD, [2] * 4 + [0] * 4, GOOD, seed=0, n_labels=4)
    assert probabilities.shape == (4, 4)
    assert (probabilities[:, [1, 3]] == 0).all() and probabilities.argmax(1).tolist() == [2] * 4


def test_single_characters_are_words():
    probabilities = baseline_probabilities(["a", "b", "!", "?"], [0, 1, 0, 1], ["a !", "b ?"], seed=0)
    assert probabilities.argmax(1).tolist() == [0, 1]


def test_one_class_is_refused():
    with pytest.raises(UserError, match="two labels or more"):
        baseline_probabilities(GOOD, [1] * 4, BAD, seed=0)


def test_no_documents_to_judge():
    assert baseline_probabilities(GOOD + BAD, [1] * 4 + [0] * 4, [], seed=0).shape == (0, 2)


def test_several_labels_are_as_many_classifiers():
    labels = np.array([[1, 0]] * 4 + [[0, 1]] * 4, dtype=bool)
    labels[[0, 4]] = True
    found = baseline_probabilities(GOOD + BAD, labels, ["loved the fine acting", "hated the dull acting"], seed=0)
    for label in range(2):
        alone = baseline_probabilities(GOOD + BAD, labels[:, label].astype(int), ["loved the fine acting", "hated the dull acting"], seed=0)
        assert found[:, label] == pytest.approx(alone[:, 1])
    assert found[0, 0] > found[1, 0] and found[1, 1] > found[0, 1]


def test_a_label_of_all_texts_or_of_none_needs_no_classifier():
    labels = np.array([[True, False, row % 2 == 0] for row in range(8)])
    found = baseline_probabilities(GOOD + BAD, labels, GOOD, seed=0)
    assert (found[:, 0] == 1).all() and (found[:, 1] == 0).all() and ((found[:, 2] > 0) & (found[:, 2] < 1)).all()
    assert baseline_probabilities(GOOD + BAD, labels, [], seed=0).shape == (0, 3)


def test_texts_that_share_no_word():
    """As in scripts without spaces, where a text is a word: its words are in one document each."""
    texts = [f"word{number}" for number in range(400)]
    assert baseline_probabilities(texts, [number % 2 for number in range(400)], texts[:2], seed=0).argmax(1).tolist() == [0, 1]
