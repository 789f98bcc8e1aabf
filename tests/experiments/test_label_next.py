"""Which texts are chosen."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit.experiments.label_next import MOST, Candidates, candidates_for, chance, choose, diverse, margins


def test_a_margin_is_the_distance_of_the_two_likeliest_classes():
    assert margins(np.array([[0.5, 0.5, 0.0], [0.1, 0.2, 0.7], [1.0, 0.0, 0.0]])) == pytest.approx([0, 0.5, 1])


def test_of_several_labels_the_closest_decision_counts():
    assert margins(np.array([[0.9, 0.45], [0.1, 0.31]]), np.array([0.5, 0.3])) == pytest.approx([0.15, 0.01])


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.text(max_size=3), st.integers(0, 5)), max_size=40), st.integers(1, 8), st.integers(1, 7))
def test_candidates_are_those_of_a_sort_whatever_the_pieces(rows, most, piece):
    scores = {text: float(score) for text, score in reversed(rows)}  # a text has one score
    expected = sorted(scores, key=lambda text: (scores[text], [text for text, _ in rows].index(text)))[:most]
    found = Candidates(most)
    for start in range(0, len(rows), piece):
        texts = [text for text, _ in rows[start : start + piece]]
        found.add(range(start, start + len(texts)), texts, np.array([scores[text] for text in texts], dtype=float))
    assert [candidate.text for candidate in found.sorted()] == expected
    assert all(rows[candidate.item][0] == candidate.text for candidate in found.sorted())


def test_chance_is_the_text_s_own_and_even():
    texts = [str(number) for number in range(4000)]
    found = chance(texts, 0)
    assert np.array_equal(found[::-1], chance(texts[::-1], 0)) and not np.array_equal(found, chance(texts, 1))
    assert np.histogram(found, 4, (0, 1))[0] == pytest.approx(1000, abs=120)
    assert abs(np.corrcoef(found[1:], found[:-1])[0, 1]) < 0.06


def test_a_diverse_choice_takes_the_least_sure_of_each_group():
    scores = np.array([0.1, 0.2, 0.3, 0.4, 0.5, 0.6])
    vectors = np.array([[0, 0], [0, 1], [0, 0.5], [50, 0], [50, 1], [0, 90]])
    assert diverse(scores, vectors, 3, seed=0).tolist() == [0, 3, 5]


def test_a_diverse_choice_among_equals_is_the_least_sure():
    assert diverse(np.array([0.3, 0.1, 0.2]), np.zeros((3, 2)), 2, seed=0).tolist() == [1, 2]


def test_a_choice_without_vectors_is_the_lowest_scores():
    candidates = Candidates(4)
    candidates.add("abcd", ["a", "b", "c", "d"], np.array([0.4, 0.1, 0.3, 0.2]))
    assert choose(candidates.sorted(), 2, None, 0) == ["b", "d"]
    assert choose(candidates.sorted(), 9, lambda texts: np.zeros((len(texts), 1)), 0) == ["b", "d", "c", "a"]


def test_how_many_candidates_are_held():
    assert candidates_for(50, "breaking-ties") == 50 and candidates_for(50, "diverse") == 500
    assert candidates_for(MOST, "diverse") == MOST and candidates_for(2 * MOST, "diverse") == 2 * MOST
