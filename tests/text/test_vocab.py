"""The vocabulary: order, limits, and a file that says what is wrong with it."""

import json
import random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit.errors import UserError
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import BOS, PAD, UNK, Vocab

COUNTS = {"the": 9, "cat": 4, "a": 4, "sat": 2, "once": 1, "xxmaj": 50, "xxbos": 7}


def test_special_tokens_have_fixed_ids():
    assert SPECIALS == ("xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj")
    assert (UNK, PAD, BOS) == (0, 1, 2)
    assert Vocab.from_counts({}, 100, 1).tokens == SPECIALS


def test_order_is_frequency_then_token_and_special_tokens_are_not_repeated():
    assert Vocab.from_counts(COUNTS, 100, 1).tokens[9:] == ("the", "a", "cat", "sat", "once")


def test_order_of_the_counts_has_no_say():
    items = list(COUNTS.items())
    random.Random(0).shuffle(items)
    assert Vocab.from_counts(dict(items), 100, 1) == Vocab.from_counts(COUNTS, 100, 1)


@pytest.mark.parametrize(("max_size", "min_count", "expected"), [(11, 1, 2), (100, 2, 4), (100, 3, 3), (9, 1, 0), (5, 1, 0), (100, 10, 0)])
def test_max_size_counts_everything_and_min_count_is_inclusive(max_size, min_count, expected):
    assert len(Vocab.from_counts(COUNTS, max_size, min_count)) == len(SPECIALS) + expected


def test_added_tokens_stand_behind_the_others_each_once():
    vocab = Vocab.from_counts(COUNTS, 100, 1)
    grown = vocab.with_added(["dog", "the", "xxmaj", "dog", "ant"])
    assert grown.tokens == (*vocab.tokens, "dog", "ant") and vocab.with_added([]) == vocab


def test_it_is_filled_up_to_its_size():
    vocab = Vocab.from_counts(COUNTS, 100, 1)
    more = ["dog", "the", "xxmaj", "ant", "bee"]
    assert vocab.filled(more, len(vocab) + 2).tokens == (*vocab.tokens, "dog", "ant")
    assert vocab.filled(more, 100).tokens == (*vocab.tokens, "dog", "ant", "bee")
    assert vocab.filled(more, len(vocab)) == vocab.filled(more, 3) == vocab.filled([], 100) == vocab


def test_encode_gives_int64_and_unknown_for_strangers():
    vocab = Vocab.from_counts(COUNTS, 100, 1)
    ids = vocab.encode(["xxbos", "the", "dog", "cat"])
    assert ids.dtype == np.int64
    assert ids.tolist() == [2, 9, 0, 11]
    assert vocab.decode(ids) == ["xxbos", "the", "xxunk", "cat"]
    assert vocab.encode([]).shape == (0,)
    assert vocab.decode([]) == []


@pytest.mark.parametrize("ids", [[-1], [14], [3, 999]])
def test_decode_refuses_ids_outside(ids):
    with pytest.raises(IndexError, match="0 to 13"):
        Vocab.from_counts(COUNTS, 100, 1).decode(ids)


@pytest.mark.parametrize(("size", "dtype"), [(9, np.uint16), (65_535, np.uint16), (65_536, np.uint16), (65_537, np.uint32)])
def test_ids_are_as_narrow_as_they_fit(size, dtype):
    vocab = Vocab([*SPECIALS, *(f"w{i}" for i in range(size - 9))])
    assert vocab.dtype == dtype
    last = vocab.encode([vocab.tokens[-1]])
    assert last.astype(vocab.dtype)[0] == last[0] == size - 1


@pytest.mark.parametrize(
    ("tokens", "says"),
    [
        (["the", "cat"], "starts with xxunk"),
        ([*SPECIALS, "cat", "dog", "cat"], "'cat' again"),
        ([*SPECIALS, "xxmaj"], "'xxmaj' again"),
        ([], "starts with"),
    ],
)
def test_a_vocabulary_that_is_none_is_refused(tokens, says):
    with pytest.raises(ValueError, match=says):
        Vocab(tokens)


@settings(max_examples=30, deadline=None)
@given(st.sets(st.text(st.characters(exclude_categories=["Cs"]), max_size=5), max_size=20))
def test_file_holds_any_token(tmp_path_factory, words):
    path = tmp_path_factory.mktemp("vocab") / "vocab.json"
    vocab = Vocab([*SPECIALS, *sorted(words - set(SPECIALS))])
    vocab.save(path)
    assert Vocab.load(path) == vocab
    assert json.loads(path.read_text(encoding="utf-8")) == {"version": 1, "tokens": list(vocab.tokens)}


@pytest.mark.parametrize(
    ("content", "says"),
    [
        ("not json", "not a vocabulary file"),
        ("[1, 2]", "not a vocabulary file"),
        ('{"version": 1}', "it has no 'tokens'"),
        ('{"version": 2, "tokens": []}', "its version is 2, this library reads 1"),
        ('{"version": 1, "tokens": ["the"]}', "starts with xxunk"),
        ('{"version": 1, "tokens": 7}', "not a vocabulary file"),
        ('{"version": 1, "tokens": [["a"]]}', "not a vocabulary file"),
    ],
)
def test_a_wrong_file_is_named_in_one_line(tmp_path, content, says):
    path = tmp_path / "vocab.json"
    path.write_text(content)
    with pytest.raises(UserError, match=says) as caught:
        Vocab.load(path)
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match=r"gone\.json"):
        Vocab.load(tmp_path / "gone.json")


def test_bytes_that_are_no_text_are_refused(tmp_path):
    path = tmp_path / "vocab.json"
    path.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(UserError, match="not a vocabulary file"):
        Vocab.load(path)
