"""Detokenise: from tokens back to readable text, for reports.

Capitals, elongations and repetitions are restored. Blanks, which the rules drop, are guessed by the habits of English. ``iPhone``
has no mark for its capital and stays ``iphone``.
"""

import re
from collections.abc import Iterable, Iterator

from ulmfit.text.rules import BOS, EOS, MAJ, PAD, REP, UP, WREP

MOST_TIMES = 1000  # a language model may write any number

CLOSING = frozenset(".,;:!?)]}%’”…°")
OPENING = frozenset("([{“‘„¿¡")
BEFORE_DIGITS = frozenset("$£€¥₤#")
TYING = frozenset("-–—/")  # a compound more often than a dash
QUOTES = ('"', "''")
# Endings that spaCy splits off, and the halves of words that it splits.
ENDING = re.compile(r"(?:['’](?:s|m|d|t|ll|re|ve)|n['’]?t|-[^\W\d_]+)\Z", re.IGNORECASE)
ELIDED = re.compile(r"(?:(?:^|-)(?!ol)\w{1,2}|qu)['’]\Z", re.IGNORECASE)  # l', d', y', qu'; an ol' man
HALVES = frozenset({("can", "not"), ("gon", "na"), ("wan", "na"), ("got", "ta")})
WITHOUT_VOWEL = re.compile(r"[b-df-hj-np-tv-z]{1,4}")
# Scripts that are written without blanks: Thai, Lao, Burmese, Khmer, Chinese, Japanese, and full-width signs.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u2e80-\u9fff\uf900-\ufaff\uff00-\uffef]")


def detokenise(tokens: Iterable[str], lang: str = "en") -> str:
    """Text from tokens of either rule set. Misplaced special tokens, which a language model may write, are tolerated."""
    words = list(_words(iter([token for token in tokens if token not in (BOS, PAD, EOS)]), lang))
    text: list[str] = []
    open_quotes: set[str] = set()
    tied = True
    for number, (word, glued) in enumerate(words):
        before = words[number - 1][0] if number else "\n"
        after = words[number + 1][0] if number + 1 < len(words) else "\n"
        if word == "\n":
            open_quotes.clear()
        before_tie, after_tie = _ties(word, before, after, open_quotes)
        unspaced = UNSPACED.match(word[:1]) or UNSPACED.match(before[-1:])
        text += [word] if glued or tied or before_tie or unspaced else [" ", word]
        tied = after_tie
    return "".join(text)


def _words(items: Iterator[str], lang: str) -> Iterator[tuple[str, bool]]:
    """Words in their case, and whether each continues the one before: ``s xxrep 3 o`` is ``s`` and ``ooo``."""
    case: str | None = None  # of the word that comes
    last = None  # case of the word that is there
    elongated = False
    for token in items:
        if token in (UP, MAJ):
            case = token
            continue
        if token == REP:
            times, letter = _times(next(items, "")), next(items, "")
            glued = case is None and last is not None
            continued = glued if letter.isalpha() else letter in CLOSING
            yield _in_case(letter * times, UP if glued and last == UP else case), continued
            last, elongated = (last if glued else case or ""), letter.isalpha()
        elif token == WREP:
            times, word = _times(next(items, "")), next(items, "")
            if word in (UP, MAJ):
                case, word = word, next(items, "")
            yield _in_case(" ".join([word] * times) if word else "", case), False
            last, elongated = None, False
        elif token.replace("▁", " ").isspace():
            yield ("\n" if "\n" in token else " "), True
            last, elongated = None, False
        else:
            glued = elongated and case is None and bool(WITHOUT_VOWEL.fullmatch(token))
            yield ("I" if token == "i" and lang == "en" and not case else _in_case(token, UP if glued and last == UP else case)), glued
            last, elongated = (last if glued else (case or "")) if token.isalpha() else None, False
        case = None


def _times(count: str) -> int:
    return min(int(count), MOST_TIMES) if count.isdecimal() and len(count) < 10 else 1


def _in_case(word: str, case: str | None) -> str:
    if case == UP:
        return word.upper()
    if case != MAJ:
        return word
    first = next((place for place, letter in enumerate(word) if letter.lower() != letter.upper()), 0)
    return word[:first] + word[first : first + 1].title() + word[first + 1 :]


def _ties(word: str, before: str, after: str, open_quotes: set[str]) -> tuple[bool, bool]:
    """Whether there is no blank between a word and the one before, and the one after. ``open_quotes`` is updated."""
    if not word.strip():
        return True, True
    if word in QUOTES:
        return _turn(open_quotes, '"')
    if word == "'" and after[:1].isdecimal():
        return False, True  # the '90s
    if word == "'":
        possessive = "'" not in open_quotes and before[-1:] in tuple("sxz") and before[0] != "'"
        return (True, False) if possessive else _turn(open_quotes, "'")
    if word == "“" and "„" in open_quotes:
        open_quotes.discard("„")
        return True, False
    if word == "„":
        open_quotes.add("„")
    if word in TYING:
        tied = before[-1:].isalnum() and after[:1].isalnum()
        return tied, tied
    smiles = len(word) > 1 and word[0] in ":;"
    ends = (word[0] in CLOSING and not smiles) or bool(ENDING.match(word)) or (before.lower(), word) in HALVES
    return ends, word in OPENING or (word[-1] in BEFORE_DIGITS and after[:1].isdecimal()) or bool(ELIDED.search(word))


def _turn(open_quotes: set[str], mark: str) -> tuple[bool, bool]:
    """An opening mark is tied to the next word, a closing one to the word before."""
    closes = mark in open_quotes
    open_quotes.symmetric_difference_update({mark})
    return closes, not closes
