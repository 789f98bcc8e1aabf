"""Digests of texts, 16 bytes each: exact, and folded for case and white space."""

import hashlib
from collections.abc import Iterator

import numpy as np
import pyarrow as pa

DIGEST = 16  # bytes
BLOCK = 1 << 20  # characters of a very long text that are hashed together

BLANK, UPPER = 0x20, range(0x41, 0x5B)
LEADING = 0xC0  # the least byte that opens a UTF-8 sequence of more than one
# ASCII folded for case, and its white space as blanks; the bytes above are as they are.
ASCII_FOLD = bytes(BLANK if byte < 128 and chr(byte).isspace() else byte + 0x20 * (byte in UPPER) for byte in range(256))
ASCII = bytes(range(128))


def blocks(text: str) -> Iterator[str]:
    """``text`` in blocks of ``BLOCK`` characters."""
    return (text[start : start + BLOCK] for start in range(0, len(text), BLOCK)) if len(text) > BLOCK else iter((text,))


def exact(text: str) -> bytes:
    """Digest of ``text`` as it is, taken block by block."""
    digest = hashlib.blake2b(digest_size=DIGEST)
    for block in blocks(text):
        digest.update(block.encode())
    return digest.digest()


def fold(text: str) -> bytes:
    """Digest of the words of ``text``, folded for case, with one blank between them; taken block by block."""
    digest = hashlib.blake2b(digest_size=DIGEST)
    started = gap = False  # a word has been met; white space after it
    for block in blocks(text):
        words = " ".join(block.casefold().split()).encode()
        if words:
            digest.update(b" " if started and (gap or block[0].isspace()) else b"")
            digest.update(words)
            started, gap = True, False
        gap = gap or block[-1:].isspace()
    return digest.digest()


def digests(texts: pa.StringArray) -> tuple[bytes, bytes]:
    """``exact`` and ``fold`` of each text, one after the other; none may be empty or null."""
    assert texts.offset == 0, "a slice's offsets count from the start of what it was cut from"
    offsets = np.frombuffer(texts.buffers()[1], np.int32, len(texts) + 1)
    flat = memoryview(texts.buffers()[2])[: offsets[-1]]
    exacts = _each(flat, offsets[:-1], offsets[1:])
    folded, others = _folded(flat)
    folds = _each(*_without_surplus(folded, offsets))
    for index in np.unique(np.searchsorted(offsets, others, side="right") - 1).tolist():
        folds[index] = fold(texts[index].as_py())
    return b"".join(exacts), b"".join(folds)


def _each(flat: memoryview, first: np.ndarray, last: np.ndarray) -> list[bytes]:
    pairs = zip(first.tolist(), last.tolist(), strict=True)
    return [hashlib.blake2b(flat[start:end], digest_size=DIGEST).digest() for start, end in pairs]


def _folded(flat: memoryview) -> tuple[np.ndarray, np.ndarray]:
    """UTF-8 folded for case in place, and blanks for white space: uint8 [bytes]; and the positions of characters that do not fit."""
    folded = np.frombuffer(bytearray(flat).translate(ASCII_FOLD), np.uint8)
    above = bytes(flat).translate(None, ASCII).decode()
    codes = np.frombuffer(above.encode("utf-32-le"), np.uint32)
    opens = np.flatnonzero(folded >= LEADING)  # where each of ``codes`` stands
    others = [np.empty(0, np.int64)]
    for letter in sorted(set(above)):
        width = len(letter.encode())
        like = b" " * width if letter.isspace() else letter.casefold().encode()
        if like == letter.encode():
            continue
        places = opens[codes == ord(letter)]
        if len(like) != width:
            others.append(places)
            continue
        for step, byte in enumerate(like):
            folded[places + step] = byte
    return folded, np.concatenate(others)


def _without_surplus(folded: np.ndarray, offsets: np.ndarray) -> tuple[memoryview, np.ndarray, np.ndarray]:
    """One blank for each run of blanks, and where each text then begins and ends, without outer blanks."""
    blank = folded == BLANK
    surplus = np.empty_like(blank)  # a blank after a blank, or one that opens a text
    surplus[1:] = blank[1:] & blank[:-1]
    surplus[offsets[:-1]] = blank[offsets[:-1]]
    dropped = np.flatnonzero(surplus)
    if len(dropped):
        folded = folded[~surplus]
        offsets = offsets - np.searchsorted(dropped, offsets)
    first, last = offsets[:-1], offsets[1:]
    return folded.data, first, last - ((last > first) & (folded[last - 1] == BLANK))
