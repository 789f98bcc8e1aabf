"""Cut what is too long for the tokenizer: very long texts into pieces, and long runs without white space.

A text is cut where no rule looks over the cut. The tokens of the pieces, one after the other, are those of the whole text, unless
a cut had to be made within a word (in a text without a gap between plain words for ``SEARCH`` characters).

Runs are cut because spaCy's time grows with the square of their length, and some of its tokenizers refuse them.
"""

import re
from collections import deque
from collections.abc import Iterator

LONGEST_PIECE = 2_000_000  # characters
SEARCH = 20_000  # characters before the end of a piece that are searched for a gap

# Four plain words with single blanks between them, no two neighbours alike: no elongation, entity, repetition or mark reaches over
# the gap in the middle. Words that a language may join ("can not") are short; these are not.
GAP = re.compile(r"(?<=\s)(?P<a>[a-z]{6,}) (?!(?P=a)\s)(?P<b>[a-z]{6,})(?= (?!(?P=b)\s)\S)")
WHITE_SPACE = re.compile(r"\s(?=\S)")


def pieces(text: str, longest: int = LONGEST_PIECE) -> Iterator[str]:
    """Pieces of ``longest`` characters at most, one at a time; joined they are ``text``."""
    start = 0
    while len(text) - start > longest:
        end = _gap(text, max(start + 1, start + longest - SEARCH), start + longest)
        yield text[start:end]
        start = end
    yield text[start:]


def _gap(text: str, first: int, last: int) -> int:
    """Where to cut between ``first`` and ``last``: after the blank between two plain words, else after white space, else at ``last``."""
    plain = deque(GAP.finditer(text, first, last), maxlen=1)
    if plain:
        return plain[0].start("b")
    white = deque(WHITE_SPACE.finditer(text, first, last), maxlen=1)
    return white[0].end() if white else last


# --- long runs without white space

LONGEST_RUN = 512  # characters without white space that spaCy is given
LONG_RUN = re.compile(r"\S{512}(?=\S)")
CLOSING = "。！？；，、"  # of languages without spaces: the best marks to cut a long run after


def cut_long_runs(text: str) -> str:
    """A space after every 512 characters without one."""
    return LONG_RUN.sub(r"\g<0> ", text) if _has_long_stretch(text) else text


def _has_long_stretch(text: str) -> bool:
    """Whether 512 characters are without a blank: looks at a few of them only."""
    start = 0
    while len(text) - start > LONGEST_RUN:
        blank = text.rfind(" ", start, start + LONGEST_RUN)
        if blank < 0:
            return True
        start = blank + 1
    return False


def cut_long_chunk(chunk: str) -> list[str]:
    """Pieces of 512 characters at most."""
    pieces = []
    start = 0
    while len(chunk) - start > LONGEST_RUN:
        end = 1 + max(chunk.rfind(mark, start, start + LONGEST_RUN) for mark in CLOSING)
        end = end if end > start else start + LONGEST_RUN
        pieces.append(chunk[start:end])
        start = end
    return [*pieces, chunk[start:]]
