"""Cutting many texts at once: white space as ``str.split`` takes it, and marks apart only where spaCy splits there anyway."""

import re
import sys
from itertools import cycle, pairwise

import pytest
import spacy
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ulmfit.text.columns import BOS_MARK, PARAGRAPH_MARK, cut_in_columns
from ulmfit.text.languages import Language
from ulmfit.text.rules import cut_at_white_space

ENGLISH = Language("en")
SPACES = [character for character in map(chr, range(sys.maxunicode + 1)) if character.isspace()]
MARKS = ".,:;!?)\"('-"


def chunks(texts: list[str], marks_apart: bool) -> list[list[str]]:
    """The chunks of each text."""
    distinct, places, offsets = cut_in_columns(texts, marks_apart)
    assert len(set(distinct)) == len(distinct)
    assert len(offsets) == len(texts) + 1
    cut = [[distinct[place] for place in places[start:end]] for start, end in pairwise(offsets)]
    assert all(text[0] is None and None not in text[1:] for text in cut)
    return [text[1:] for text in cut]


@settings(max_examples=150, deadline=None)
@given(st.lists(st.text(st.one_of(st.sampled_from([*SPACES, "\n", "\n"]), st.characters(exclude_categories=["Cs"])), max_size=20)))
@example(["".join(f"{chr(ord(space) - 1)}{space}{chr(ord(space) + 1)}" for space in SPACES)])
@example(["", "\u3000", "a"])
def test_without_marks_apart_it_cuts_at_white_space(texts):
    texts = [text.replace(BOS_MARK, "").replace(PARAGRAPH_MARK, "") for text in texts]
    assert chunks(texts, marks_apart=False) == list(map(cut_at_white_space, texts))


@pytest.mark.parametrize(
    ("text", "cut"),
    [
        ('He said: "Yes, certainly."', 'He said : " Yes , certainly . "'),
        ("(never) seen?!", "( never ) seen ? !"),
        ("Messrs. Calif. said. something.", "Messrs. Calif. said. something ."),  # short ones may be abbreviations
        ("SOMETHING.", "SOMETHING."),
        ("x) a, 8) :) word:) word;) (:", "x) a, 8) :) word:) word;) (:"),
        ("word... word!! ((word)) word),.", "word... word!! ((word)) word),."),
        ("don't, well-known; 10, Müller, word2,", "don't, well-known; 10, Müller, word2,"),
        ("a@b.com, http://word.", "a@b.com, http://word."),
        ("<unk>, “quoted”, word—, ,word word,word", "<unk>, “quoted”, word—, ,word word,word"),
        ('"(word', '"(word'),
    ],
)
def test_a_mark_is_a_chunk_beside_a_plain_word_alone(text, cut):
    assert chunks([text, "", text], marks_apart=True) == [cut.split(" "), [], cut.split(" ")]


def test_marks_at_the_ends_of_texts_stay_in_their_texts():
    assert chunks(["word,", "(word", "word", ")", '"', "word."], True) == [["word", ","], ["(", "word"], ["word"], [")"], ['"'], ["word."]]


def hold_to_spacy(whole: list[str]) -> None:
    """spaCy's tokens of each chunk are those of its parts."""
    parts = chunks(whole, marks_apart=True)
    assert list(map("".join, parts)) == whole
    tokens = iter(ENGLISH.ask_spacy([part for chunk in parts for part in chunk]))
    together = [[token for _ in chunk for token in next(tokens)] for chunk in parts]
    assert together == ENGLISH.ask_spacy(whole)


def test_marks_beside_all_that_spacy_has_a_special_case_for():
    cases = {run for case in spacy.blank("en").tokenizer.rules for run in [*re.findall("[A-Za-z]+", case), case] if run.split() == [run]}
    dresses = cycle([(head, first + second) for head in ("", '"', "(") for first in MARKS for second in ["", *MARKS]])
    whole = [f"{head}{case}{tail}" for case in sorted(cases) for _, (head, tail) in zip(range(6), dresses, strict=False)]
    hold_to_spacy(whole)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(st.text(MARKS, max_size=2), st.text("abMzs'k1-é", min_size=1, max_size=9), st.text(MARKS, max_size=3)).map("".join),
        min_size=1,
    )
)
@example(["somethin',", "(shouldntve.", '"theyllve."', "nothing.)", 'wouldve?"'])
def test_marks_beside_any_word(whole):
    hold_to_spacy(whole)
