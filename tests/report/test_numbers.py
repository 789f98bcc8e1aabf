import pytest

from ulmfit.evaluation.results import Estimate
from ulmfit.report.numbers import count, duration, interval, number, percent, points, signed, size


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (None, "–"),
        (0.004, "4 ms"),
        (0.1, "0.1 s"),
        (59.94, "59.9 s"),
        (59.97, "1.0 min"),
        (90, "1.5 min"),
        (3599, "1 h 0 min"),
        (9000, "2 h 30 min"),
    ],
)
def test_duration(seconds, shown):
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (None, "–"),
        (0, "0 B"),
        (999, "999 B"),
        (1500, "1.5 kB"),
        (999_700, "1.0 MB"),
        (410_000_000, "410 MB"),
        (2.5e9, "2.5 GB"),
        (3e15, "3,000 TB"),
    ],
)
def test_size(value, shown):
    assert size(value) == shown


def test_shares_are_shown_in_percent_and_points():
    assert (percent(0.9234), percent(0.95, 0), percent(None)) == ("92.3%", "95%", "–")
    assert (points(-0.0123), signed(0.0123), signed(-0.0123), signed(None)) == ("−1.2", "+1.2", "−1.2", "–")
    assert (points(-0.0001), signed(-0.0001)) == ("0.0", "+0.0")  # nothing is not less than nothing


def test_an_interval_is_shown_where_there_is_one():
    assert interval(Estimate(value=0.9, low=0.85, high=0.951)) == "[85.0, 95.1]"
    assert interval(Estimate(value=0.9, low=None, high=None)) == ""


def test_numbers():
    assert (count(1234567), count(None)) == ("1,234,567", "–")
    assert (number(0.123456), number(81.4512), number(12345.6), number(None)) == ("0.1235", "81.45", "12,346", "–")
