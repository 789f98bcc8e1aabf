"""Long texts in pieces: nothing lost, no piece too long, and the tokens of the whole."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ulmfit.text import cutting
from ulmfit.text.cutting import pieces
from ulmfit.text.rules import RULES
from ulmfit.text.tokenizer import Tokenizer

TOKENIZERS = {name: Tokenizer(rules=name) for name in RULES}
WORDS = [
    "without",
    "nothing",
    "remains",
    "said said said",
    "HA ha ha",
    "can not",
    "a.m.",
    "&amp;",
    "1 @-@ 2",
    "sooo !!!",
    "(Paris)",
    "<br />",
    "\n\n",
]


@given(st.text(max_size=300), st.integers(1, 40))
def test_joined_the_pieces_are_the_text(text, longest):
    cut = list(pieces(text, longest))
    assert "".join(cut) == text
    assert all(0 < len(piece) <= longest for piece in cut if text)
    assert len(cut) == 1 or len(text) > longest


@pytest.mark.parametrize("rules", RULES)
@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.sampled_from(WORDS), max_size=12).map(" ".join), min_size=40, max_size=60))
def test_the_tokens_of_the_pieces_are_those_of_the_text(rules, stretches):
    text = " certainly without ".join(stretches)
    cut = list(pieces(text, 700))
    assert len(cut) > 1 or len(text) <= 700
    tokens = TOKENIZERS[rules](cut)
    assert tokens[0] + [token for piece in tokens[1:] for token in piece[1:]] == TOKENIZERS[rules]([text])[0]


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ("a " * 10 + "nobody remains here " + "b " * 6, ["a " * 10 + "nobody ", "remains here " + "b " * 6]),
        ("abc def ghi jkl mno pqr stu vwx yz.", ["abc def ghi jkl mno pqr stu ", "vwx yz."]),
        ("x" * 70, ["x" * 32, "x" * 32, "x" * 6]),
    ],
)
def test_a_cut_is_between_plain_words_else_at_white_space_else_anywhere(text, cut):
    assert list(pieces(text, 32)) == cut


def test_only_the_end_of_a_piece_is_looked_through(monkeypatch):
    monkeypatch.setattr(cutting, "SEARCH", 5)
    assert next(pieces("nobody remains " + "x" * 30, 40)) == "nobody remains " + "x" * 25
