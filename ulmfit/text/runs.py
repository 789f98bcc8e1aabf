"""Long runs without white space, cut: spaCy's time grows with the square of their length, and some of its tokenizers refuse them."""

from __future__ import annotations

import re

LONGEST_RUN = 512  # characters without white space that spaCy is given
LONG_RUN = re.compile(r"\S{512}(?=\S)")
CLOSING = "。！？；，、"  # after which a long run is better cut than anywhere else: those of languages without spaces


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
