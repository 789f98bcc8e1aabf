"""A very long text in pieces, cut where no rule looks over the cut.

The tokens of the pieces, one after the other, are those of the whole text, save that each piece speaks for itself at a cut
that had to be made within a word (a text that has no gap between plain words for ``SEARCH`` characters).
"""

from __future__ import annotations

import re
from collections import deque

LONGEST_PIECE = 2_000_000  # characters
SEARCH = 20_000  # characters before the end of a piece that are looked through for a gap

# Four plain words with single blanks between them, no two neighbours alike: no elongation, entity, repetition or mark reaches over
# the gap in their middle. Words that a language may take together ("can not") are short; these are not.
GAP = re.compile(r"(?<=\s)(?P<a>[a-z]{6,}) (?!(?P=a)\s)(?P<b>[a-z]{6,})(?= (?!(?P=b)\s)\S)")
WHITE_SPACE = re.compile(r"\s(?=\S)")


def cut_text(text: str, longest: int = LONGEST_PIECE) -> list[str]:
    """Pieces of ``longest`` characters at most; joined they are ``text``."""
    pieces = []
    start = 0
    while len(text) - start > longest:
        end = _gap(text, max(start + 1, start + longest - SEARCH), start + longest)
        pieces.append(text[start:end])
        start = end
    return [*pieces, text[start:]] if pieces else [text]


def _gap(text: str, first: int, last: int) -> int:
    """Where to cut between ``first`` and ``last``: after the blank between two plain words, else after white space, else at ``last``."""
    plain = deque(GAP.finditer(text, first, last), maxlen=1)
    if plain:
        return plain[0].start("b")
    white = deque(WHITE_SPACE.finditer(text, first, last), maxlen=1)
    return white[0].end() if white else last
