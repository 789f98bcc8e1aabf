import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit.evaluation.results import Estimate
from ulmfit.report.scores import MATRIX_LABELS, Axis, matrix_of, verdict


@pytest.mark.parametrize(
    ("low", "value", "high", "tone", "told"),
    [
        (0.01, 0.02, 0.03, "better", "by 2.0 points (1.0 to 3.0)"),
        (-0.03, -0.02, -0.01, "worse", "by 2.0 points (1.0 to 3.0)"),
        (-0.01, 0.002, 0.02, "unsure", "+0.2 points (−1.0 to +2.0)"),
        (0.0, 0.0, 0.0, "unsure", "+0.0 points"),
        (None, 0.0, None, "alone", "no baseline"),
    ],
)
def test_the_verdict_goes_by_the_interval(low, value, high, tone, told):
    found, sentence = verdict(Estimate(value=value, low=low, high=high))
    assert found == tone and told in sentence


@given(st.lists(st.tuples(*[st.floats(0, 1)] * 3), min_size=1, max_size=5))
@settings(max_examples=200, deadline=None)
def test_whiskers_stay_on_their_axis(estimates):
    found = [Estimate(**dict(zip(("low", "value", "high"), sorted(item), strict=True))) for item in estimates]
    axis = Axis.of(found)
    for at in map(axis.whisker, found):
        assert -0.01 <= at.low <= at.value <= at.high <= 100.01


def test_the_matrix_has_shares_of_its_rows_and_the_most_frequent_confusions():
    matrix = matrix_of(["a", "b", "c"], [[6, 4, 0], [1, 9, 0], [0, 0, 0]])
    assert [(label, [cell.share for cell in cells]) for label, cells in matrix.rows] == [
        ("a", [0.6, 0.4, 0]),
        ("b", [0.1, 0.9, 0]),
        ("c", [0, 0, 0]),
    ]
    assert matrix.pairs == [(4, 0.4, "a", "b"), (1, 0.1, "b", "a")]
    assert matrix.whole and MATRIX_LABELS >= 3
