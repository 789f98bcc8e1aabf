from datetime import date

import numpy as np
import pandas as pd
import pytest
from scipy.sparse import csr_matrix

from ulmfit.errors import UserError
from ulmfit.labels.estimator_labels import GivenLabels, same_sets


def given(labels, multi_label=False, separator="|"):
    number = labels.shape[0] if hasattr(labels, "shape") else len(labels)
    return GivenLabels.of(labels, number, separator, multi_label)


def sets_of(found):
    """The labels of each text, by way of strings and codes."""
    return [set(found.strings[code].split("|")) - {""} for code in found.codes]


def test_one_label_a_text():
    found = given(["b", "a", "b"])
    assert (found.kind, found.classes.tolist(), found.strings, found.codes.tolist()) == ("class", ["a", "b"], ["a", "b"], [1, 0, 1])
    assert found.groups.tolist() == [1, 0, 1]
    numbers = given(np.array([10, 2, 10]))
    assert (numbers.classes.tolist(), numbers.strings, numbers.codes.tolist()) == ([2, 10], ["2", "10"], [1, 0, 1])


@pytest.mark.parametrize("form", [list, tuple, set, frozenset, lambda labels: np.array(labels, dtype=object)])
def test_any_collection_of_labels(form):
    found = given([form(["b", "a"]), form([]), form(["c"])])
    assert (found.kind, found.classes.tolist()) == ("sets", ["a", "b", "c"])
    assert sets_of(found) == [{"a", "b"}, set(), {"c"}]


def test_numbers_in_lists_keep_their_type_and_order():
    found = given([[10, 2], [2], []])
    assert found.classes.tolist() == [2, 10] and found.classes.dtype.kind == "i"
    assert sets_of(found) == [{"10", "2"}, {"2"}, set()]


def test_strings_are_taken_apart_where_the_task_says_so():
    assert given(["a|b", "b", "|"], multi_label=True).classes.tolist() == ["a", "b"]
    assert given(["a|b", "b", "|", "b"]).kind == "class"
    assert given([["a|b"], ["b"]], separator=";").strings == ["a|b", "b"]
    with pytest.raises(UserError, match=r"labels\[0\] is 1: give lists of labels, or strings of labels joined by '\|'"):
        given([1, 2], multi_label=True)


@pytest.mark.parametrize("form", [np.asarray, csr_matrix])
def test_a_table_of_zeros_and_ones(form):
    found = given(form([[1, 0, 1], [0, 0, 0], [0, 0, 1]]))
    assert (found.kind, found.classes.tolist()) == ("matrix", [0, 1, 2])
    assert sets_of(found) == [{"0", "2"}, set(), {"2"}]


def test_a_data_frame_brings_the_names():
    found = given(pd.DataFrame({"sport": [1, 0], "art": [True, False]}))
    assert found.classes.tolist() == ["sport", "art"] and sets_of(found) == [{"art", "sport"}, set()]


def test_texts_are_grouped_by_their_rarest_label():
    found = given([["a", "b"], ["a"], ["b", "a"], ["a"], [], ["a", "b", "c"]])
    assert found.groups.tolist() == [2, 1, 2, 1, 0, 3]


def test_sets_are_compared_in_any_order():
    assert same_sets([["a", "b"], [], ["a"]], [("b", "a"), set(), ["b"]]).tolist() == [True, True, False]


@pytest.mark.parametrize(
    "strange", [None, float("nan"), pd.NA, pd.NaT, b"a", {"a": 1}, date(2024, 1, 1), np.datetime64("2024-01-01"), 1j, object]
)
def test_a_label_that_is_no_string_or_number_is_refused_by_row(strange):
    """What no file of a corpus may hold either (``label_values``), and what no model could save."""
    with pytest.raises(UserError, match=r"labels\[1\] is "):
        given(["a", strange, "b", "a"])
    with pytest.raises(UserError, match=r"labels\[1\] is "):
        given([["a"], [strange], ["b"], ["a"]])


@pytest.mark.parametrize("strange", [["b"], [["b"]], ("b",), {"b"}])
def test_lists_in_lists_are_refused_by_row(strange):
    with pytest.raises(UserError, match=r"labels\[1\] is "):
        given([["a"], ["b", strange], ["b"], ["a"]])


@pytest.mark.parametrize("labels", ["ab", b"ab", {"a": 1, "b": 2}, {"a"}, None, 2, np.array("a")], ids=repr)
def test_labels_that_are_no_list_are_refused(labels):
    with pytest.raises(UserError, match=f"labels is a {type(labels).__name__}: give a list"):
        GivenLabels.of(labels, 2, "|", False)


@pytest.mark.parametrize(
    "column",
    [
        pd.Series(["a", "b", None], dtype="string"),
        pd.Series([1, 2, None], dtype="Int64"),
        pd.Series([True, False, None], dtype="boolean"),
        pd.Series(["a", "b", None], dtype="category"),
        pd.Series([1.0, 2.0, None]),
        pd.Series(["a", "b", date(2026, 1, 2)], dtype=object),
    ],
    ids=lambda column: str(column.dtype),
)
def test_columns_of_pandas(column):
    with pytest.raises(UserError, match=r"^labels\[2\] is "):
        given(column)
    assert given(column[:2]).classes.tolist() == sorted(column[:2])


@pytest.mark.parametrize("cell", [None, pd.NA, float("nan"), "1", b"1", 2])
def test_a_table_with_anything_but_0_and_1(cell):
    with pytest.raises(UserError, match=r"^labels\[1\] is .*a table of labels holds 0 and 1"):
        given(pd.DataFrame({"sport": [1, cell], "art": [0, 1]}, dtype=object))


@pytest.mark.parametrize("cell", [0, 1, "a", 5])
def test_a_table_of_one_column_may_mean_two_things(cell):
    for table in (np.array([[1], [cell]], dtype=object), pd.DataFrame({"y": [1, cell]})):
        with pytest.raises(UserError, match="labels is a table of one column: give that column"):
            given(table)


def test_two_columns_of_one_name_are_refused():
    with pytest.raises(UserError, match="labels has two columns of the name 'a'"):
        given(pd.DataFrame(np.eye(3, dtype=int), columns=["a", "b", "a"]))


def test_the_row_that_is_no_table_of_0_and_1_is_shown_as_it_is():
    with pytest.raises(UserError, match=r"labels\[0\] is \['x', None\]"):
        given(pd.DataFrame({"a": ["x", "y"], "b": [None, None]}))


@pytest.mark.parametrize("label", ["a\0", "a\0b", "\ud800", "a\udcff"])
def test_a_label_that_cannot_be_kept_is_refused(label):
    for labels in ([label, "a", "a"], [[label], ["a"], ["a"]]):
        with pytest.raises(UserError, match=r"labels\[0\] is .*: a label holds no NUL"):
            given(labels)


def test_white_space_around_a_label_of_several_is_refused():
    with pytest.raises(UserError, match="label 'a ' has white space around it"):
        given([["a "], ["a"]])


@pytest.mark.parametrize("labels", [["one text", "another text", "a third"], np.arange(9)])
def test_labels_that_are_all_different_are_refused(labels):
    with pytest.raises(UserError, match=r"each of the \d labels is there once"):
        given(labels)
