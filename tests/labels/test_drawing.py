"""Draws of labelled documents: seeded, nested, of each label in proportion."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ulmfit.config import ClassifierConfig, LabelsConfig
from ulmfit.errors import UserError
from ulmfit.labels.drawing import draw, rows_to_learn
from ulmfit.labels.label_set import LabelSet

CODES = np.repeat([2, 0, 1], [600, 300, 100])


def drawn(number: int | None, seed: int = 0, codes: np.ndarray = CODES) -> np.ndarray:
    return draw(codes, LabelsConfig(number=number, seed=seed))


@pytest.mark.parametrize("number", [None, 1000, 5000])
def test_all_rows_where_no_fewer_are_asked_for(number: int | None) -> None:
    assert drawn(number).tolist() == list(range(1000))


def test_each_label_in_proportion() -> None:
    assert np.bincount(CODES[drawn(100)]).tolist() == [30, 10, 60]


def test_a_seed_decides_which() -> None:
    assert drawn(100).tolist() == drawn(100).tolist()
    assert len(set(drawn(100, 0)) & set(drawn(100, 1))) < 30, "some ten by chance"


@given(st.lists(st.integers(0, 3), min_size=4, max_size=60), st.integers(0, 5), st.integers(4, 60), st.integers(4, 60))
def test_sorted_rows_and_a_smaller_draw_is_a_part_of_a_larger_one(labels: list[int], seed: int, one: int, other: int) -> None:
    codes = np.array(labels)
    fewer, more = (drawn(number, seed, codes).tolist() for number in sorted((one, other)))
    assert set(fewer) <= set(more) and fewer == sorted(set(fewer)) and more == sorted(set(more))
    assert len(fewer) == min(one, other, len(codes)) and set(codes[fewer]) == set(labels)


def test_fewer_than_there_are_labels_is_refused() -> None:
    with pytest.raises(UserError, match="fewer than the 3 classes"):
        drawn(2)


def test_of_several_labels_the_rarest_is_the_stratum() -> None:
    strings = ["a", "a|b", "a|c", "|"]
    codes = np.array([0] * 50 + [1] * 30 + [2] * 10 + [3] * 10)
    several = LabelSet.of(strings, ClassifierConfig(task="multi-label"))
    strata = several.strata_of(codes)
    assert len(set(strata[codes == 0]) | set(strata[codes == 3])) == 2 and len(set(strata)) == 4
    assert np.bincount(codes[draw(strata, LabelsConfig(number=10))]).tolist() == [5, 3, 1, 1]
    one = LabelSet.of(["a", "b"], ClassifierConfig())
    assert one.strata_of(np.array([1, 0])).tolist() == [1, 0]


def test_oversampling_repeats_the_rows_of_rarer_labels_in_turn() -> None:
    rows = rows_to_learn(CODES, LabelsConfig(number=50, oversample=True))
    counts = np.bincount(CODES[rows])
    assert counts.tolist() == [30, 30, 30]
    assert set(rows) == set(drawn(50)), "the same documents"
    assert np.bincount(np.unique(rows, return_counts=True)[1]).tolist() == [0, 30, 15, 0, 0, 0, 5], "15 rows twice, 5 rows six times"


def test_without_oversampling_each_row_once() -> None:
    assert rows_to_learn(CODES, LabelsConfig(number=50)).tolist() == drawn(50).tolist()
    balanced = np.repeat([0, 1], 20)
    assert rows_to_learn(balanced, LabelsConfig(oversample=True)).tolist() == list(range(40))
