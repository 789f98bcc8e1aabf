"""What workers measure of the texts of a part: HTML, broken encoding, languages.

Measured before duplicates and overlaps are removed. These documents are counted:

- HTML left in the text. ``tags``: opening or closing tags of HTML's elements, comments, document types, but for ``line_breaks``
  (``<br>``, ``<br />``) and ``entities`` (``&amp;``, ``&#39;``, and those that lost their ``&``, such as `` #39;``), both of which the
  tokenizer understands. A document with any of the three counts as ``html``. Tags of no HTML element (``<unk>``) do not count.
- A broken encoding: U+FFFD, a C1 control (U+0080 to U+009F), or UTF-8 that was read as Latin-1 or Windows-1252. The last is known by
  pairs of characters that no language writes: ``Ã©`` for é, ``â€™`` for ’, ``Ð¿`` for п, ``Å‚`` for ł, ``ä¸­`` for 中.
- What is not text: a document ``without_letters``, such as a number; ``identifiers``, one word of ASCII with a digit in it; and ``missing``: a
  word that programs write for a missing value (``nan``, ``None``).
- A guess of the language, for at most ``SAMPLE`` evenly spaced documents of a part, from their first ``EXCERPT`` characters.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, fields
from functools import lru_cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulmfit.text.characters import ENTITY
from ulmfit.text.rules import LINE_BREAK

if TYPE_CHECKING:
    from py3langid.langid import LanguageIdentifier

SAMPLE = 64  # documents of a part whose language is guessed: half a millisecond each
EXCERPT = 400  # characters of each; with 200, one in a hundred English articles was taken for another language
SHORT = 64  # characters of what may be a number, an identifier or a missing value, at most
CERTAIN = 0.5  # a guess with less certainty is dropped

_ELEMENTS = (
    "a|abbr|acronym|address|article|aside|audio|b|base|big|blockquote|body|br|button|canvas|caption|center|cite|code|col|colgroup|"
    "dd|del|details|div|dl|dt|em|embed|fieldset|figcaption|figure|font|footer|form|frame|frameset|h[1-6]|head|header|hr|html|i|"
    "iframe|img|input|ins|kbd|label|legend|li|link|main|map|mark|meta|nav|noscript|object|ol|optgroup|option|p|param|picture|pre|q|"
    "s|samp|script|section|select|small|source|span|strike|strong|style|sub|summary|sup|svg|table|tbody|td|template|textarea|tfoot|"
    "th|thead|time|title|tr|tt|u|ul|var|video|wbr"
)
# Each of these begins with one plain character, which Python's regular expressions search for at the speed of memory.
TAG = re.compile(rf"<(?!br\s*/?>)(?:/?(?:{_ELEMENTS})(?:\s[^<>]*|/)?>|!--|!doctype\s)", re.IGNORECASE)
_DIGITS = [rf"#[0-9]{{{n}}}|#x[0-9a-fA-F]{{{n}}}" for n in range(2, 6)]
_LOST = "|".join([*_DIGITS, "amp|quot|lt|gt|nbsp|apos"]).split("|")
LOST_ENTITY = re.compile(";(?:" + "|".join(rf"(?<=(?<![&\w;]){name};)" for name in _LOST) + ")")
MARKUP = re.compile(r"<[^<>]*>")

# For RE2, which tests all of these at once. What could be a last letter and a closing quotation mark ("groß“", "passé…”") is left out.
BROKEN = "|".join(
    (
        "[\x80-\x9f\ufffd]",
        "Â[\xa0-\xbf]|Ã[\xa0-\xba\xbc-\xbf]",  # À to ÿ, and signs such as ° and £
        "â€|ðŸ|ï¿½|ï»¿",  # quotation marks and dashes; emoji; U+FFFD and the byte order mark, themselves misread
        "[ÄÅ][™›Ÿ¼¾]|Å‚|Ä±|Å¡",  # Polish, Czech, Turkish
        "[ÐÑ][°-º¼-¿€‚ƒ„†‡ˆ‰]",  # Cyrillic
        "Î[±-º¼-¿]|Ï[€‚ƒ„†‡ˆ‰]",  # Greek
        "Ø[§-ª±-´¹]|Ù[„†‡ˆŠ]",  # Arabic
        "[äåæçèé][¡-ª¬-º¼-¿][¡-ª¬-º¼-¿‚ƒ„†‡ˆ‰Š‹Œ™š›œ]",  # Chinese, Japanese, Korean
    )
)


LETTER, IDENTIFIER = r"\pL", r"^\s*[!-~]*[0-9][!-~]*\s*$"
MISSING = re.compile(r"\s*(?:nan|null|none|n/a|<na>|nat|#n/a|undefined)\s*", re.IGNORECASE)


@dataclass(frozen=True)
class Measurements:
    """Counts of documents, but for ``characters``. Of very long documents the first piece alone is measured.

    ``sampled``: documents whose language was guessed; ``languages``: ISO 639 code -> documents, without those that cannot be told.
    """

    documents: int = 0
    characters: int = 0
    html: int = 0
    tags: int = 0
    line_breaks: int = 0
    entities: int = 0
    broken: int = 0
    without_letters: int = 0
    identifiers: int = 0
    missing: int = 0
    sampled: int = 0
    languages: dict[str, int] = field(default_factory=dict)


def measure(texts: Sequence[str]) -> Measurements:
    """The measurements of one part. No text may hold a lone surrogate."""
    tags = {i for i, text in enumerate(texts) if "<" in text and TAG.search(text)}
    breaks = {i for i, text in enumerate(texts) if "<" in text and LINE_BREAK.search(text)}
    entities = {i for i, text in enumerate(texts) if ";" in text and (("&" in text and ENTITY.search(text)) or LOST_ENTITY.search(text))}
    short = pa.array([text for text in texts if len(text) <= SHORT], pa.string())
    sample = [texts[i * len(texts) // SAMPLE] for i in range(SAMPLE)] if len(texts) > SAMPLE else texts
    return Measurements(
        documents=len(texts),
        characters=sum(map(len, texts)),
        html=len(tags | breaks | entities),
        tags=len(tags),
        line_breaks=len(breaks),
        entities=len(entities),
        broken=_broken(texts),
        without_letters=len(short) - _matching(short, LETTER),
        identifiers=_matching(short, IDENTIFIER),
        missing=sum(1 for text in texts if len(text) <= SHORT and MISSING.fullmatch(text)),
        sampled=len(sample),
        languages=languages(sample),
    )


def _broken(texts: Sequence[str]) -> int:
    return _matching(pa.array([text for text in texts if not text.isascii()], pa.large_string()), BROKEN)


def _matching(texts: pa.StringArray, pattern: str) -> int:
    return pc.sum(pc.match_substring_regex(texts, pattern)).as_py() or 0


def languages(texts: Iterable[str]) -> dict[str, int]:
    """Documents by the language (ISO 639 code) that their beginnings suggest, without those that cannot be told."""
    guessed: Counter[str] = Counter()
    for text in texts:
        language, certainty = _identifier().classify(MARKUP.sub(" ", text[: 2 * EXCERPT])[:EXCERPT])
        if certainty >= CERTAIN and language != "zxx":  # the code for what is no language
            guessed[language] += 1
    return dict(sorted(guessed.items()))


@lru_cache(maxsize=1)
def _identifier() -> LanguageIdentifier:
    from py3langid.langid import MODEL_FILE, LanguageIdentifier  # its model takes a second and 100 MB, and only scans need it

    return LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)


def merge(parts: Iterable[Measurements]) -> Measurements:
    """The measurements of many parts as those of one."""
    sums: Counter[str] = Counter()
    guessed: Counter[str] = Counter()
    for part in parts:
        guessed.update(part.languages)
        sums.update({item.name: getattr(part, item.name) for item in fields(part) if item.name != "languages"})
    return Measurements(**sums, languages=dict(sorted(guessed.items())))


def histogram(characters: Sequence[int] | np.ndarray) -> list[int]:
    """Documents by length: the count at k is of those with 2**k to 2**(k+1) - 1 characters. Lengths are 1 or more."""
    return np.bincount(np.frexp(np.asarray(characters, dtype=np.float64))[1] - 1).tolist() if len(characters) else []
