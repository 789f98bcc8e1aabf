"""The choice of C, and folds."""

import numpy as np
import pytest

from ulmfit.training.regression import cross_validated, folds

STRENGTHS = (0.001, 0.01, 0.1, 1.0, 10.0, 100.0, 1000.0)


def noisy(noise):
    random = np.random.default_rng(0)
    labels = np.arange(60) % 2
    return np.hstack([labels[:, None] + noise * random.standard_normal((60, 1)), random.standard_normal((60, 30))]), labels


def test_noise_asks_for_a_stronger_penalty_than_a_clear_signal():
    assert cross_validated(*noisy(3.0), STRENGTHS, seed=0).C < cross_validated(*noisy(0.01), STRENGTHS, seed=0).C


def test_c_is_the_middle_one_where_nothing_can_be_held_out():
    model = cross_validated(np.eye(2), np.array([0, 1]), STRENGTHS, seed=0)
    assert np.median(STRENGTHS) == model.C


@pytest.mark.parametrize("rows", [2, 7, 50])
def test_each_row_is_in_one_test_fold_and_classes_are_spread(rows):
    labels = np.arange(rows) % 3
    found = list(folds(labels, 5, seed=1))
    assert np.sort(np.concatenate([test for _, test in found])).tolist() == list(range(rows))
    for train, test in found:
        assert np.sort(np.concatenate([train, test])).tolist() == list(range(rows))
    for code in range(3):
        counts = [(labels[test] == code).sum() for _, test in found]
        assert max(counts) - min(counts) <= 1
