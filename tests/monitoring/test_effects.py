"""Effect sizes and p-values beside plain references."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from ulmfit.monitoring import effects
from ulmfit.monitoring.drift_figures import Hits
from ulmfit.monitoring.effects import accuracy_change, label_shift, mean_shift, outlying_share, share_above

RNG = np.random.default_rng(0)


def test_means_are_compared_by_welch():
    new, reference = RNG.normal(0.3, 1.0, 80), RNG.normal(0, 2.0, 200)
    found = mean_shift(new, reference)
    assert found.p_value == pytest.approx(stats.ttest_ind(new, reference, equal_var=False).pvalue, rel=1e-3)
    pooled = np.sqrt((79 * new.var(ddof=1) + 199 * reference.var(ddof=1)) / 278)
    assert found.size == pytest.approx((new.mean() - reference.mean()) / pooled)
    assert mean_shift(new, reference, wander=0.5).p_value > found.p_value
    assert mean_shift(reference, new).size == -found.size


def test_the_chance_of_a_share_above_is_that_of_simulated_samples():
    reference, new = np.arange(200.0), np.r_[np.zeros(57), np.full(3, 500.0)]
    found = share_above(new, reference)
    draws = RNG.random((20_000, 260))  # any continuous distribution does
    bound = np.partition(draws[:, :200], -2)[:, -2:-1]
    chance = ((draws[:, 200:] > bound).sum(1) >= 3).mean()
    assert found.value == pytest.approx(0.05) and found.p_value == pytest.approx(chance, abs=0.01)


def test_a_document_of_the_reference_lies_as_far_from_the_others_as_a_new_one_would(monkeypatch):
    reference = RNG.multivariate_normal([1, 2, 3], [[1, 0.5, 0], [0.5, 2, 0.3], [0, 0.3, 1]], 40)
    seen: list[np.ndarray] = []
    monkeypatch.setattr(effects, "share_above", lambda new, others: seen.append(others))
    outlying_share(reference[:5], reference)
    for row in range(40):
        others = np.delete(reference, row, 0)
        off = reference[row] - others.mean(0)
        assert seen[0][row] == pytest.approx(off @ np.linalg.inv(np.cov(others.T)) @ off, rel=1e-2)


def test_what_is_far_out_in_several_figures_at_once_is_outlying():
    spread = [[1, 0.9], [0.9, 1]]
    reference, new = (RNG.multivariate_normal([0, 0], spread, rows) for rows in (1000, 200))
    new[:20] = [1.5, -1.5]  # each alone is common
    found = outlying_share(new, reference)
    assert found.value >= 0.1 and found.p_value < 1e-6
    assert outlying_share(new[20:], reference).p_value > 0.001


def test_frequent_labels_are_compared_by_chi_square():
    new, reference = {"a": 60, "b": 40}, {"a": 500, "b": 500}
    found = label_shift(new, reference)
    table = stats.chi2_contingency([[60, 500], [40, 500]], correction=False)
    assert found.p_value == pytest.approx(2 * table.pvalue) and (found.label, found.value, found.reference) == ("a", 0.6, 0.5)
    assert found.size == pytest.approx(np.sqrt((table.statistic - 1) / (100 * 1000 / 1100)))
    assert label_shift({"b": 100, "a": 100}, {"a": 100, "b": 100}).size == 0.0


@pytest.mark.parametrize(("strange", "sure"), [(0, False), (1, False), (2, False), (4, True)])
def test_one_document_of_an_unexpected_label_is_no_drift_and_four_of_fifty_are(strange, sure):
    new = {"a": 26, "b": 24} | ({"tyop": strange} if strange else {})
    found = label_shift(new, {"a": 600, "b": 600})
    assert (found.p_value < 0.0003) == sure
    fisher = stats.fisher_exact([[strange, 50], [0, 1200]], alternative="greater").pvalue
    assert not strange or found.p_value == pytest.approx(2 * fisher)


def test_labels_of_all_frequencies_alarm_as_seldom_as_they_should():
    shares = np.r_[0.5, 0.2, 0.1, np.full(40, 0.005)]
    count = lambda rows: dict(zip(map(str, range(43)), RNG.multinomial(rows, shares).tolist(), strict=True))
    p_values = np.array([label_shift(count(rows), count(800)).p_value for rows in (50, 200, 1000) for _ in range(400)])
    assert (p_values < 0.02).mean() <= 0.03


def test_accuracies_are_compared_by_fisher():
    found = accuracy_change(Hits(right=70, rows=100), Hits(right=900, rows=1000))
    assert found.p_value == pytest.approx(stats.fisher_exact([[70, 30], [900, 100]], alternative="less").pvalue)
    assert found.size == pytest.approx(2 * (np.arcsin(np.sqrt(0.7)) - np.arcsin(np.sqrt(0.9))))
