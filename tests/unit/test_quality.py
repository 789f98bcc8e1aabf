"""Checks on documents: what is set aside, what is counted, what stops."""

import math

import pytest

from ulmfit.config import QualityConfig
from ulmfit.corpora.quality import Findings, check_quarantine, drop_duplicates, drop_overlap, fold, inspect, label_text
from ulmfit.corpora.readers import Row
from ulmfit.errors import UserError


def inspected(rows, labelled=True):
    findings = Findings()
    return inspect([Row("f.csv", number, *row) for number, row in enumerate(rows, 1)], labelled, findings), findings


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        ((None, "a"), "no text"),
        (("", "a"), "empty"),
        ((" \t\n\u00a0", "a"), "empty"),
        (("\0\0", "a"), "empty"),
        ((17, "a"), "text is not a string"),
        ((b"bytes", "a"), "text is not a string"),
        (("lone \ud800", "a"), "broken Unicode"),
        (("text", "\ud800"), "broken Unicode"),
        (("text", None), "no label"),
        (("text", " "), "no label"),
        (("text", math.nan), "no label"),
        (("text", "a", None, "broken quoting"), "broken quoting"),
    ],
)
def test_rows_that_cannot_be_used_are_set_aside(row, reason):
    splits, findings = inspected([("fine", "b"), row])
    assert [document.text for document in splits["train"]] == ["fine"]
    rejected = findings.quarantined[0]
    assert (rejected.source, rejected.row, rejected.reason) == ("f.csv", 2, reason)
    rejected.excerpt.encode()  # can be written


def test_excerpts_are_short():
    _, findings = inspected([("x" * 20_000_000, None)])
    assert findings.quarantined[0].excerpt == "x" * 80


def test_unlabelled_rows_need_no_label():
    splits, findings = inspected([("a", None, "unlabelled"), ("b", "x", "unlabelled")])
    assert [document.label for document in splits["unlabelled"]] == [None, None] and not findings.quarantined


def test_general_text_drops_labels():
    splits, _ = inspected([("a", None), ("b", "x", "test")], labelled=False)
    assert [item.label for item in splits["train"] + splits["test"]] == [None, None]


def test_nul_characters_are_removed_and_counted():
    splits, findings = inspected([("a\0b", "x"), ("c", "x")])
    assert [document.text for document in splits["train"]] == ["ab", "c"]
    assert findings.with_nul == 1 and "1 documents held NUL" in findings.warnings[0]


@pytest.mark.parametrize(
    ("value", "text"), [(1, "1"), (1.0, "1"), (1.5, "1.5"), (" pos ", "pos"), (True, "True"), (None, ""), (math.nan, ""), (math.inf, "inf")]
)
def test_labels_become_strings(value, text):
    assert label_text(value) == text


def test_fold_is_blind_to_case_and_white_space():
    assert fold("A  Straße\n") == fold("a STRASSE") != fold("astrasse")


@pytest.mark.parametrize(
    ("bad", "allowed", "stops"), [(1, 0.5, False), (2, 0.5, False), (3, 0.5, True), (3, 0.75, False), (4, 1.0, True), (0, 0.0, False)]
)
def test_too_many_unusable_rows_stop(bad, allowed, stops):
    _, findings = inspected([("", "a")] * bad + [("x", "a")] * (4 - bad))
    quality = QualityConfig(max_quarantined_share=allowed)
    if not stops:
        check_quarantine("f.csv", findings, quality)
        assert bool(findings.warnings) == bool(bad)
        return
    with pytest.raises(UserError, match=rf"f\.csv: {bad} of 4 rows cannot be used \({bad} empty\), the first is row 1 of f\.csv") as error:
        check_quarantine("f.csv", findings, quality)
    assert ("max_quarantined_share=0.75" in str(error.value)) == (bad == 3)


def test_the_share_that_is_advised_is_enough():
    _, findings = inspected([("", "a")] * 2 + [("x", "a")])
    with pytest.raises(UserError) as error:
        check_quarantine("f.csv", findings, QualityConfig())
    check_quarantine("f.csv", findings, QualityConfig(max_quarantined_share=float(str(error.value).rpartition("=")[2])))


def test_duplicates_are_kept_once_but_in_test():
    rows = [("a", "x"), ("a", "x"), ("A", "x"), ("a", "y"), ("t", "x", "test"), ("t", "x", "test")]
    splits, findings = inspected(rows)
    drop_duplicates(splits, findings)
    assert [(item.text, item.label) for item in splits["train"]] == [("a", "x"), ("A", "x"), ("a", "y")]
    assert len(splits["test"]) == 2 and findings.duplicates == 2
    assert any("1 texts of the training rows stand there with different labels" in warning for warning in findings.warnings)


def test_overlap_leaves_the_judge_whole():
    rows = [("A b", "x", "test"), ("a  B", "x", "valid"), ("v", "x", "valid"), ("a b", "x"), ("V", "x"), ("own", "x")]
    rows += [("a b", None, "unlabelled"), ("v", None, "unlabelled"), ("OWN", None, "unlabelled"), ("free", None, "unlabelled")]
    splits, findings = inspected(rows)
    drop_overlap(splits, findings)
    assert {split: [item.text for item in items] for split, items in splits.items()} == {
        "test": ["A b"],
        "valid": ["v"],
        "train": ["own"],
        "unlabelled": ["free"],
    }
    assert findings.overlap_removed == 6 and len(findings.warnings) == 3
