"""Repair characters: HTML entities, entities that lost their ``&``, misread control characters, invisible marks.

In AG News and similar corpora every ``&`` became a blank: ``world #39;s``, ``AT amp;T``, ``called  quot;fair quot; by``. But ``lamp;`` is a
lamp, ``amp;`` may be an amplifier, and ``ticket #39;`` a ticket. So the ``&`` is restored where an entity is certain (``quot;``,
``#36;5``), and elsewhere (``the ban #39; was``) only in a text that has a certain one.
"""

import html
import re
from collections.abc import Iterator
from html.entities import html5

ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
BARE_ENTITY = re.compile(r"(?<![&\w;])(#[0-9]{2,5}|#x[0-9a-fA-F]{2,5}|amp|quot|lt|gt|nbsp|apos|hellip|[mn]dash|[lr][sd]quo);")
BARE_AT_END = re.compile(BARE_ENTITY.pattern + r"\Z")
LONGEST_BARE = len("#x27722;")
NEVER_BARE = frozenset({*range(48, 58), *range(65, 91), *range(97, 123)})  # letters and digits: nobody escapes them
OFTEN_BARE = frozenset({*range(33, 127), *range(128, 256), *range(8192, 8304), 8364, 8482, *range(64256, 64263)}) - NEVER_BARE
APOSTROPHES = frozenset({39, 146, 8217, "apos;", "rsquo;"})
CONTRACTION = re.compile(r"(?:s|t|re|ve|ll|d|m)\b", re.IGNORECASE)
ONE_LETTER = re.compile(r"(?<![^\W_])[b-hj-z] $", re.IGNORECASE)  # O #39;Neill; but "a #39;b", "I #39;b"
AMPLIFIER = re.compile(
    r"(?<![^\W_])(?:an?|the|this|that|my|your|his|her|its|our|their|each|every|one|no|guitar|bass|tube) $", re.IGNORECASE
)

# Windows-1252 read as Latin-1, as HTML reads "&#150;"; the five codes that Windows does not use are dropped.
WINDOWS = {code: bytes([code]).decode("cp1252", "ignore") for code in range(0x80, 0xA0)}
# The soft hyphen, marks of direction, the word joiner, the choice of an emoji's look, the byte order mark.
INVISIBLE = "\u00ad\u200e\u200f\u202a-\u202e\u2060\u2066-\u2069\ufe0e\ufe0f\ufeff"
ZERO_WIDTH_SPACE = "\u200b"
MISREAD = re.compile(f"[\x80-\x9f{INVISIBLE}{ZERO_WIDTH_SPACE}]")


def decode_entities(text: str) -> str:
    """``&amp;`` -> ``&``, also where it was escaped two or three times, and where its ``&`` was lost."""
    if ";" not in text:
        return text
    text = mend_entities(text)
    for _ in range(3):
        if "&" not in text:
            break
        text = ENTITY.sub(_character, text)
    return text


def _character(entity: re.Match[str]) -> str:
    # html.unescape would also read names by their beginnings: "&notable;" as "¬able;".
    return html.unescape(entity[0]) if entity[0][1] == "#" else html5.get(entity[0][1:], entity[0])


def mend_entities(text: str) -> str:
    """``#39;``, ``amp;`` and the like with the ``&`` that they lost; without the blank that stands for it within a word."""
    found = [match for match in _bare_entities(text) if _can_be_entity(match)]
    sure = any(map(_is_entity, found))
    parts = []
    end = 0
    for match in found:
        if sure or _is_possessive(match):
            parts += [text[end : match.start() - _is_within_word(match)], "&", match[0]]
            end = match.end()
    return "".join([*parts, text[end:]]) if parts else text


def _bare_entities(text: str) -> Iterator[re.Match[str]]:
    """Candidates, found from their semicolons, which are few."""
    end = text.find(";") + 1
    while end:
        if match := BARE_AT_END.search(text, max(0, end - LONGEST_BARE), end):
            yield match
        end = text.find(";", end) + 1


def _can_be_entity(match: re.Match[str]) -> bool:
    """Whether the character is one that is often escaped, and ``amp;`` is no amplifier."""
    if match[0] == "amp;" and not match.string[match.end() : match.end() + 1].isalnum():
        return not AMPLIFIER.search(match.string[max(0, match.start() - 8) : match.start()])
    return match[0][0] != "#" or _code(match) in OFTEN_BARE


def _code(match: re.Match[str]) -> int | str:
    """39 for ``#39;``; a name as it is."""
    if match[0][0] != "#":
        return match[0]
    return int(match[0][2:-1], 16) if match[0][1] == "x" else int(match[0][1:-1])


def _is_entity(match: re.Match[str]) -> bool:
    """Names are entities. Numbers are where a word begins with them, where they occur twice in a row, and after two blanks."""
    after = match.string[match.end() : match.end() + LONGEST_BARE + 1]
    before = match.string[max(0, match.start() - LONGEST_BARE - 1) : match.start()]
    if match[0][0] != "#" or before.endswith("  "):
        return True
    return after[:1].isalnum() or after.startswith(f" {match[0]}") or before.endswith(f"{match[0]} ")


def _is_possessive(match: re.Match[str]) -> bool:
    """``players #39; union``, and the end of a quotation; not ``tickets #39; #40;``."""
    before = match.string[max(0, match.start() - 2) : match.start()]
    if before[1:] != " " or before[0] not in "sxzSXZ.,!?" or match.string.startswith(" #", match.end()):
        return False
    return _code(match) in APOSTROPHES


def _is_within_word(match: re.Match[str]) -> bool:
    """Whether it is part of the word before, after exactly one blank: ``AT amp;T``, ``didn #39;t``."""
    before, after = match.string[max(0, match.start() - 3) : match.start()], match.string[match.end() : match.end() + 3]
    if before[-1:] != " " or not before[-2:-1].isalnum() or not after[:1].isalnum():
        return False
    if match[0] == "amp;":
        return True
    return _code(match) in APOSTROPHES and bool(CONTRACTION.match(after) or (after[0].isalpha() and ONE_LETTER.search(before)))


def mend_characters(text: str) -> str:
    """Remove invisible characters, and replace misread control characters by the dashes and quotation marks they stand for."""
    return text if text.isascii() or not MISREAD.search(text) else MISREAD.sub(_seen, text)


def _seen(character: re.Match[str]) -> str:
    return " " if character[0] == ZERO_WIDTH_SPACE else WINDOWS.get(ord(character[0]), "")
