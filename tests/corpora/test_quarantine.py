"""Checks on rows: what is set aside, what stops, and the digests by which documents are told apart."""

import hashlib
import math
import sys

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ulmfit.config import QualityConfig
from ulmfit.corpora.ingest import quarantine
from ulmfit.corpora.ingest.quarantine import check_quarantine, excerpt, judge
from ulmfit.corpora.reading.rows import Row
from ulmfit.corpora.text_digests import digests, exact, fold
from ulmfit.errors import UserError

# --- rows


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
        (("text", {"a": 1}), "label of type dict, not a string or number"),
        (("text", "a", None, "broken quoting"), "broken quoting"),
    ],
)
def test_rows_that_cannot_be_used_are_set_aside(row, reason):
    assert judge(Row("f.csv", 2, *row), needs_label=True) == (reason, "", 0, None)
    excerpt(row[0]).encode()  # can be written


@pytest.mark.parametrize(
    ("row", "needs_label", "found"),
    [
        (("text", "a"), True, ("text", 4, "a")),
        (("text", None), False, ("text", 4, None)),
        (("text", "a"), False, ("text", 4, None)),
        (("a\0b\0", "x\0"), True, ("ab", 2, "x")),
        (("é中😀", 1.0), True, ("é中😀", 9, "1")),
    ],
)
def test_rows_that_can_be_used(row, needs_label, found):
    assert judge(Row("f.csv", 1, *row), needs_label) == ("", *found)


def test_excerpts_are_short():
    assert excerpt("x" * 20_000_000) == "x" * 80


def test_a_document_may_have_a_list_of_labels():
    row = Row("f.jsonl", 1, "text", ["b", "a"])
    assert judge(row, True, "|") == ("", "text", 4, "a|b")
    assert judge(row, False) == ("", "text", 4, None)
    reason, *rest = judge(row, True)
    assert reason.startswith("label is a list") and rest == ["", 0, None]


# --- too many that cannot be used


@pytest.mark.parametrize(
    ("bad", "allowed", "stops"), [(1, 0.5, False), (2, 0.5, False), (3, 0.5, True), (3, 0.75, False), (4, 1.0, True), (0, 0.0, False)]
)
def test_too_many_unusable_rows_stop(bad, allowed, stops):
    settings = QualityConfig(max_quarantined_share=allowed)
    told = rf"{bad} of 4 rows cannot be used \({bad} empty\)"
    if not stops:
        warning = check_quarantine("f.csv", 4, {"empty": bad} if bad else {}, "row 1 of f.csv", settings)
        assert warning == (f"{bad} of 4 rows cannot be used ({bad} empty); they are listed in quarantine/" if bad else None)
        return
    with pytest.raises(UserError, match=rf"f\.csv: {told}, the first is row 1 of f\.csv") as error:
        check_quarantine("f.csv", 4, {"empty": bad}, "row 1 of f.csv", settings)
    assert ("max_quarantined_share=0.75" in str(error.value)) == (bad == 3)


def test_the_share_that_is_advised_is_enough():
    with pytest.raises(UserError, match="3 empty, 1 no label") as error:
        check_quarantine("f.csv", 6, {"no label": 1, "empty": 3}, "row 1", QualityConfig())
    advised = float(str(error.value).rpartition("=")[2])
    assert check_quarantine("f.csv", 6, {"no label": 1, "empty": 3}, "row 1", QualityConfig(max_quarantined_share=advised))


def test_no_rows_at_all():
    with pytest.raises(UserError, match=r"f\.csv: there are no documents in it"):
        check_quarantine("f.csv", 0, {}, "", QualityConfig())


# --- digests


def folded(text):
    """What ``fold`` is to be, in one line."""
    return hashlib.blake2b(" ".join(text.casefold().split()).encode(), digest_size=16).digest()


def test_fold_is_blind_to_case_and_white_space():
    assert fold("A  Straße\n") == fold("a STRASSE") != fold("astrasse")


# Letters whose folding keeps or changes their length in UTF-8, and white space of one to three bytes.
LETTERS = "aB zé É\t\n\x1c\x1f\x85\xa0\u2003\u2028\u3000ßẞİıΣςſKÅДд中😀𐐀ŉ\x00\x7f"
TEXTS = st.text(st.one_of(st.sampled_from(LETTERS), st.characters(exclude_categories=["Cs"])), min_size=1, max_size=12)
DOCUMENTS = st.lists(TEXTS.filter(lambda text: not text.isspace()), min_size=1, max_size=6)


@settings(max_examples=300, deadline=None)
@given(DOCUMENTS)
@example(["a ", " a", "\xa0a\xa0", "É", "ß", "a\u3000\u3000B"])
def test_digests_of_many_are_those_of_each(texts):
    exacts, folds = digests(pa.array(texts, pa.string()))
    assert folds == b"".join(map(folded, texts))
    assert exacts == b"".join(hashlib.blake2b(text.encode(), digest_size=16).digest() for text in texts)


def test_folding_takes_every_character():
    letters = [chr(code) for code in range(1, sys.maxunicode + 1) if not 0xD800 <= code < 0xE000 and not chr(code).isspace()]
    texts = ["".join(letters[start : start + 40]) for start in range(0, len(letters), 40)]
    assert digests(pa.array(texts, pa.string()))[1] == b"".join(map(folded, texts))


@settings(max_examples=200, deadline=None)
@given(st.text(st.sampled_from(LETTERS), max_size=20), st.integers(1, 4))
def test_a_long_text_is_digested_block_by_block(text, size):
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(quarantine, "BLOCK", size)
        assert fold(text) == folded(text)
        assert exact(text) == hashlib.blake2b(text.encode(), digest_size=16).digest()
