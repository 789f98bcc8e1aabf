"""Cut many texts into chunks at once, on the bytes of all of them.

A chunk ends before white space. It also ends between a plain word and a mark beside it (``word,``, ``"word".``): English splits there
whatever the word is, and so a corpus has a third fewer distinct chunks.
"""

import string
from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from ulmfit.text.rules import BLANK_LINE, PARAGRAPH

BOS_MARK, PARAGRAPH_MARK = "\x02", "\x03"  # chunks that represent the beginning of a text and the end of a paragraph

# Kinds of bytes, as bits.
SPACE, LETTER, LOWER, OPENING, CLOSING, CLOSING_ALONE, PERIOD = (1 << bit for bit in range(7))
MEMBERS = {
    SPACE: " \t\n\v\f\r\x1c\x1d\x1e\x1f",
    LETTER: string.ascii_letters,
    LOWER: string.ascii_lowercase,
    OPENING: '"(',
    CLOSING: '.,!?)"',
    CLOSING_ALONE: ":;",  # with another mark behind them they may be a face: ":)"
    PERIOD: ".",
}
KINDS = bytes(sum(kind for kind, members in MEMBERS.items() if chr(byte) in members) for byte in range(256))
SPACES_BEYOND_ASCII = np.array([0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F, 0x205F, 0x3000])

SHORTEST_WORD = 2  # letters: one and a mark may be a face too
SHORTEST_BEFORE_PERIOD = 7  # shorter ones may be abbreviations: "Messrs."


def cut_in_columns(texts: Sequence[str], marks_apart: bool) -> tuple[list[str | None], np.ndarray, np.ndarray]:
    """Distinct chunks; for every place in the texts a number into them; and where each text's places begin and end, int64 [N + 1].

    A text's first chunk is None, for its beginning. As ``cut_at_white_space``, save that long chunks are left whole, and that marks
    beside plain words are chunks where ``marks_apart``. No text may hold ``BOS_MARK`` or ``PARAGRAPH_MARK``.
    """
    column = pa.array(list(map(_marked, texts)), pa.string())
    begins, data = np.frombuffer(column.buffers()[1], np.int32, len(column) + 1), np.frombuffer(column.buffers()[2], np.uint8)
    kinds = np.frombuffer(data.tobytes().translate(KINDS), np.uint8)
    white = _white_space(data, kinds)
    first, last = ~white, ~white  # bytes of chunks
    first[1:] &= white[:-1]
    last[:-1] &= white[1:]
    if marks_apart:
        marks = _marks(data, kinds)
        first[marks] = last[marks - 1] = True
    starts = np.flatnonzero(first)
    offsets = np.append(0, np.cumsum(np.flatnonzero(last) + 1 - starts)).astype(np.int32)
    chunks = pa.StringArray.from_buffers(len(starts), pa.py_buffer(offsets), pa.py_buffer(np.compress(~white, data)))
    encoded = chunks.dictionary_encode()
    stand_for = {BOS_MARK: None, PARAGRAPH_MARK: PARAGRAPH}
    distinct = [stand_for.get(chunk, chunk) for chunk in encoded.dictionary.to_pylist()]
    return distinct, encoded.indices.to_numpy(), np.searchsorted(starts, begins)


def _marked(text: str) -> str:
    text = text.strip()
    return f"{BOS_MARK} {BLANK_LINE.sub(f' {PARAGRAPH_MARK} ', text) if chr(10) in text else text} "


def _white_space(data: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """bool [B]: which bytes of UTF-8 are part of what ``str.split`` takes as white space."""
    white = kinds & SPACE != 0
    two, three = np.flatnonzero(data == 0xC2), np.flatnonzero((data >= 0xE1) & (data <= 0xE3))
    two = two[np.isin(data[two + 1], SPACES_BEYOND_ASCII)]
    codes = (data[three] & 15).astype(np.int32) << 12 | (data[three + 1] & 63).astype(np.int32) << 6 | data[three + 2] & 63
    three = three[np.isin(codes, SPACES_BEYOND_ASCII)]
    white[np.concatenate([two, two + 1, three, three + 1, three + 2])] = True
    return white


def _marks(data: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Where a chunk begins within a run without white space: after a mark before a plain word, and at one or two marks behind it."""
    places = np.flatnonzero(kinds & LETTER == 0)  # a plain word lies between two neighbours of these
    mark, kind, letters = data[places], kinds[places], np.diff(places, prepend=-1) - 1  # letters: in the word before
    touches = letters == 0
    space = kind & SPACE != 0
    before_space = np.append(touches[1:] & space[1:], False)
    opening = (kind & OPENING != 0) & touches & np.append(False, space[:-1])
    last = (kind & CLOSING != 0) & before_space
    pair = (kind & CLOSING != 0) & np.append(touches[1:] & last[1:] & (mark[1:] != mark[:-1]), False)
    tail = last | pair | (kind & CLOSING_ALONE != 0) & before_space
    tail &= (kind & PERIOD == 0) | (letters >= SHORTEST_BEFORE_PERIOD) & (kinds[places - 1] & LOWER != 0)
    word = (letters[1:] >= SHORTEST_WORD) & (space | opening)[:-1] & (space | tail)[1:]
    return np.concatenate([places[:-1][word & opening[:-1]] + 1, places[1:][word & tail[1:]], places[1:][word & pair[1:]] + 1])
