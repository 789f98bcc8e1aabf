"""Strings of users as text that looks like what it is: nothing in them moves, hides or turns round what stands beside them."""

import re
import unicodedata

CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    """``text`` with every control letter (ANSI's escape among them), bidirectional embedding and override as a mark that names it."""
    return CONTROLS.sub(lambda found: _mark(found.group()), text)


def _mark(letter: str) -> str:
    code = ord(letter)
    if code < 0x20:
        return chr(0x2400 + code)  # SYMBOL FOR ESCAPE and the others
    return f"⟨{'DEL' if code == 0x7F else unicodedata.name(letter, f'U+{code:04X}')}⟩"
