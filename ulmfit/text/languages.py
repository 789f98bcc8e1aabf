"""spaCy's tokenizer of a language, made fast enough for large text. No other module imports spaCy.

spaCy takes some 40 microseconds for a chunk (the text between white space) that it has not seen. Three things avoid most of that:
many chunks are given to it at once; a text is given whole only where its tokenizer looks across white space; and in a language
whose tokenizer depends on the kinds of characters, not on the letters, chunks of one *shape* are split alike (see ``Shapes``).
"""

import re
import string
from collections import defaultdict
from collections.abc import Sequence
from functools import cached_property
from itertools import accumulate, pairwise
from typing import Any

import spacy
from spacy.tokenizer import Tokenizer as SpacyTokenizer

from ulmfit.errors import UserError
from ulmfit.text.cutting import pieces

SPACY_VERSION = spacy.__version__
WORD = ""  # the shape of letters alone
LONGEST_WHOLE = 10_000  # characters; Japanese's tokenizer refuses 48 KiB
AT_ONCE = 4000  # chunks that spaCy is given in one text

REMEDIES = {
    "ja": "run: pip install sudachipy sudachidict_core",
    "ko": "install mecab-ko and mecab-ko-dic, and run: pip install natto-py",
    "th": "run: pip install pythainlp",
    "vi": "run: pip install pyvi",
}

GAP = re.compile(r"\s+")
ODD_GAP = re.compile(r"(\s{2,}|[^\S ])")


class Language:
    """spaCy's tokenizer of one language. UserError for a language that it does not have, or that needs more packages."""

    def __init__(self, lang: str):
        self._lang = lang
        self._spacy = _blank(lang)
        self.by_chunks = isinstance(self._spacy, SpacyTokenizer)  # false for Chinese, Japanese, Thai and a few more
        self.marks_apart = lang in JUDGED_BY_SHAPE  # whether the marks of ``columns.py`` are tokens whatever word they touch
        self._shapes = Shapes(self._spacy) if lang in JUDGED_BY_SHAPE else None

    @cached_property
    def _seams(self) -> dict[tuple[str, str], list[tuple[str, str]]]:
        return _seams(self._lang, self._spacy)

    @cached_property
    def _seam(self) -> re.Pattern[str]:
        return _gap_between(self._seams)

    def forget(self) -> None:
        """Free memory: spaCy keeps every word it has seen, and ``split_all`` every shape."""
        self._spacy = _blank(self._lang)
        if self._shapes:
            self._shapes = Shapes(self._spacy)

    def split(self, text: str) -> list[str]:
        """spaCy's tokens of a text."""
        return [token.text for token in self._spacy(text)]

    def split_one(self, text: str) -> list[str]:
        """As ``split``; faster where a chunk of the same shape was split before."""
        return self.split_all([text])[0] if self._shapes and text.split() == [text] else self.split(text)

    def split_all(self, chunks: Sequence[str]) -> list[list[str]]:
        """spaCy's tokens of each chunk; chunks have no white space. Several times as fast as ``split`` for many chunks."""
        if self._shapes is None:
            return self.ask_spacy(chunks)
        shapes = list(map(self._shapes.of, chunks))
        cuts = self._shapes.cuts
        new = [shape for shape in dict.fromkeys(shapes) if shape not in cuts]
        for shape, words in zip(new, self.ask_spacy(new), strict=True):
            cuts[shape] = tuple(pairwise(accumulate(map(len, words), initial=0)))
        return [
            [chunk] if shape is WORD or len(cuts[shape]) == 1 else [chunk[start:end] for start, end in cuts[shape]]
            for chunk, shape in zip(chunks, shapes, strict=True)
        ]

    def ask_spacy(self, chunks: Sequence[str]) -> list[list[str]]:
        """As ``split_all``, but spaCy splits every chunk, also where one of the same shape was split before."""
        if not self.by_chunks:
            return [self.split(chunk) for chunk in chunks]
        found: list[list[str]] = []
        for start in range(0, len(chunks), AT_ONCE):
            words: list[str] = []
            # A line break is a token of its own, so that nothing is matched over it.
            for token in self._spacy("\n".join(chunks[start : start + AT_ONCE])):
                if token.text == "\n":
                    found.append(words)
                    words = []
                else:
                    words.append(token.text)
            found.append(words)
        return found

    def cut(self, text: str) -> list[str]:
        """Parts of a text (without white space at its ends) whose tokens, one after the other, are those of the whole.

        spaCy splits at white space, takes one blank as the end of the word before and other white space as a token. Only its special
        cases may reach across a gap (see ``_seams``); the text is not cut there.
        """
        if not self.by_chunks:
            return list(pieces(text, LONGEST_WHOLE))
        whole = {gap.start() for gap in self._seam.finditer(text) if self._is_seam(text, gap)}
        if whole:
            return _cut_but(text, whole)
        parts: list[str] = []
        for number, stretch in enumerate(ODD_GAP.split(text)):  # stretches with single blanks, and between them the odd gaps
            parts += [stretch.removeprefix(" ")] if number % 2 else stretch.split(" ")
        return parts

    def _is_seam(self, text: str, gap: re.Match[str]) -> bool:
        pairs = self._seams.get((text[gap.start() - 1], text[gap.end()]), ())
        return any(text.endswith(left, 0, gap.start()) and text.startswith(right, gap.end()) for left, right in pairs)


# Languages whose expressions name letters only in whole runs of letters: units, endings such as 's, addresses. English was compared
# with spaCy on every distinct chunk of IMDB and Wikipedia; a language is added here after the same comparison.
JUDGED_BY_SHAPE = frozenset({"en"})


class Shapes:
    """Where chunks are cut, by their shape.

    A chunk's shape replaces its letters and digits by ``q``, ``Q`` and ``7``, except in runs that occur in a special case or an
    expression of spaCy's. All else that the tokenizer looks at (kind and number of characters, punctuation, non-ASCII characters)
    stays, so chunks of one shape are cut at the same positions.
    """

    RUN = re.compile("[A-Za-z]+|[0-9]+")
    LETTERS = str.maketrans(
        {**dict.fromkeys(map(chr, range(97, 123)), "q"), **dict.fromkeys(map(chr, range(65, 91)), "Q"), **dict.fromkeys("0123456789", "7")}
    )
    ADDRESS_DOTS = 3  # an IP address: the expression for addresses says which numbers it may hold

    def __init__(self, tokenizer: SpacyTokenizer):
        searches = (tokenizer.prefix_search, tokenizer.suffix_search, tokenizer.infix_finditer, tokenizer.url_match)
        self._named = {run.lower() for case in tokenizer.rules or {} for run in self.RUN.findall(case)}
        self._named.update(run.lower() for search in searches for run in self.RUN.findall(search.__self__.pattern) if run.isalpha())
        self._named.update(string.ascii_lowercase + string.digits)  # alone they stand for themselves
        assert len(tokenizer("q" * 9)) == len(tokenizer("Q" * 9)) == 1, "letters alone are one word"
        assert not any(set(run) <= {"q"} or set(run) <= {"7"} for run in self._named if len(run) > 1), "stand-ins mean nothing to spaCy"
        self.cuts: dict[str, tuple[tuple[int, int], ...]] = {WORD: ((0, 0),)}  # (start, end) of each token, by shape

    def of(self, chunk: str) -> str:
        """The shape, as long as the chunk; ``WORD`` for a run of letters that means nothing to spaCy."""
        if chunk.isalpha() and chunk.isascii() and chunk.lower() not in self._named:
            return WORD
        if chunk.count(".") >= self.ADDRESS_DOTS:
            return chunk
        if self._named.isdisjoint(self.RUN.findall(chunk.lower())):
            return chunk.translate(self.LETTERS)
        return self.RUN.sub(self._run, chunk)

    def _run(self, run: re.Match[str]) -> str:
        return run[0] if run[0].lower() in self._named else run[0].translate(self.LETTERS)


def _blank(lang: str) -> Any:
    try:
        tokenizer = spacy.blank(lang).tokenizer
    except ImportError as error:
        reason = " ".join(str(error).split())
        if "E048" in reason:
            reason, remedy = "spaCy does not have it", "give a code such as en, de, fr, zh, or xx for any other"
        else:
            reason, remedy = "it needs packages that are not installed", REMEDIES.get(lang, reason[:160])
        raise UserError(f"the language {lang!r} cannot be tokenised: {reason}; {remedy}") from error
    if isinstance(tokenizer, SpacyTokenizer):
        tokenizer.vocab.lex_attr_getters = {}  # the looks of a word, and whether it is a stop word, take half the time and are not used
    return tokenizer


def _cut_but(text: str, whole: set[int]) -> list[str]:
    """``text`` cut at its gaps, except those that start at ``whole``."""
    parts: list[str] = []
    start = 0
    for gap in GAP.finditer(text):
        if gap.start() in whole:
            continue
        parts.append(text[start : gap.start()])
        if gap[0] != " ":
            parts.append(gap[0].removeprefix(" "))
        start = gap.end()
    return [*parts, text[start:]]


def _seams(lang: str, tokenizer: SpacyTokenizer) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Pairs of tokens that are neighbours in a special case of spaCy (``:)``, ``a.m.``), by the characters that meet.

    spaCy looks for special cases among the tokens of the whole text, across gaps too. One that is found across a gap is not
    applied, but it prevents others that it overlaps: ``:p:x`` alone begins with ``:p``, in ``( :p:x`` it does not.
    """
    plain = _blank(lang)
    plain.rules = {}
    seams: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for case in tokenizer.rules or {}:
        tokens = [token.text for token in plain(case)]
        for left, right in pairwise(tokens):
            seams[left[-1], right[0]].add((left, right))
    return {meeting: sorted(pairs) for meeting, pairs in seams.items()}


def _gap_between(seams: dict[tuple[str, str], list[tuple[str, str]]]) -> re.Pattern[str]:
    """White space where a seam may be, by the characters beside it; letters are kept apart from others, so that hits are few."""
    gaps = []
    for letters in (True, False):
        meetings = [(last, first) for last, first in sorted(seams) if last.isalnum() == letters]
        if meetings:
            before, after = (re.escape("".join(dict.fromkeys(characters))) for characters in zip(*meetings, strict=True))
            gaps.append(rf"(?<=[{before}])\s+(?=[{after}])")
    return re.compile("|".join(gaps) or r"(?!)")
