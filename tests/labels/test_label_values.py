"""Labels as files give them."""

import math
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import pytest

from ulmfit.labels.label_values import NoLabel, label_string


@pytest.mark.parametrize(
    ("value", "string"),
    [(1, "1"), (1.0, "1"), (1.5, "1.5"), (" pos ", "pos"), (True, "True"), (math.inf, "inf"), (Decimal("1.50"), "1.50"), ("x\0", "x")],
)
@pytest.mark.parametrize("separator", [None, "|"])
def test_a_scalar_is_a_label(value, string, separator):
    assert label_string(value, separator) == string


@pytest.mark.parametrize("value", [None, math.nan, "", " \t", "\0"])
@pytest.mark.parametrize("separator", [None, "|"])
def test_nothing_is_no_label(value, separator):
    with pytest.raises(NoLabel, match=r"^no label$"):
        label_string(value, separator)


STRANGE = [{"a": 1}, {}, b"a", ("a", "b"), date(2024, 1, 1), datetime(2024, 1, 1, tzinfo=UTC), timedelta(1), {"a"}, 1j]


@pytest.mark.parametrize("value", STRANGE)
@pytest.mark.parametrize("separator", [None, "|"])
def test_what_is_no_scalar_is_refused(value, separator):
    with pytest.raises(NoLabel, match=f"label of type {type(value).__name__}, not"):
        label_string(value, separator)
    if separator:
        with pytest.raises(NoLabel, match=f"label of type {type(value).__name__}, not"):
            label_string(["a", value], separator)


@pytest.mark.parametrize("value", [[], ["a"], ["a", "b"], [1, 2], [["a"]]])
def test_a_list_is_no_single_label(value):
    with pytest.raises(NoLabel, match=r"classifier\.task=multi-label takes lists"):
        label_string(value, None)


@pytest.mark.parametrize(
    ("value", "string"),
    [(["b", "a"], "a|b"), (["a", " a "], "a"), ([], "|"), ([2, 1.0], "1|2"), (["New York"], "New York"), ([True], "True")],
)
def test_a_list_holds_the_labels_of_a_document(value, string):
    assert label_string(value, "|") == string


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (["a|b"], "a label with the separator"),
        (["a", " "], "a label that is empty"),
        (["a", None], "a label that is empty"),
        ([math.nan], "a label that is empty"),
        (["a", ["b"]], "label of type list"),
        ("['a', 'b']", "a list written as text"),
        ('["a"]', "a list written as text"),
        ("['a' 'b']", "a list written as text"),
        ("[1, 2]", "a list written as text"),
        ("[]", "a list written as text"),
    ],
)
def test_a_list_that_cannot_be_used(value, reason):
    with pytest.raises(NoLabel, match=reason):
        label_string(value, "|")


def test_brackets_may_be_part_of_a_label():
    assert label_string("[other]", "|") == "[other]" and label_string("['a']", None) == "['a']"
