"""The special tokens and the two rule sets, as lists of pure functions.

A rule set works in three steps. Its *document* rules change the whole text, each ``str -> str``. Its ``cut`` takes the
text apart into chunks, which are mostly what stands between white space. Its ``chunk`` turns one chunk into tokens with
the help of ``split``, the tokenizer of the language, and looks at nothing outside the chunk, so that its results can be
remembered.

``default`` marks what Howard & Ruder (2018, sec. 3.2) name: upper case, elongation and repetition. It works on the
tokens that ``split`` gives, so that a mark is found inside quotes and brackets, and a special token can come from a rule alone:

====================  ==========================  ===========================================================================
in the text           tokens                      notes
====================  ==========================  ===========================================================================
``Hello "Élan A``     ``xxmaj hello " xxmaj élan  the English pronoun ``I`` stays bare: it has no other form
                      xxmaj a``
``NASA U.S.``         ``xxup nasa xxup u.s.``     two letters or more, all of them upper-case
``sooo NOOO !!!!``    ``s xxrep 3 o xxup n        three or more, compared without case; digits, ``www`` and Roman numerals
                      xxrep 3 o xxrep 4 !``       (``III``) are left alone
``ha Ha HA``          ``xxwrep 3 ha``             three words or more in one line, compared without case
``-----  .....``      ``--- ...``                 a ruler of three or more ``-=_*.~#`` is one token, cut to three characters
empty line            ``\\n``                      a paragraph's end; a single line break is white space like any other
``xxmaj`` itself      ``xx maj``                  a document cannot speak the special tokens
``<unk>``             ``xxunk``                   as WikiText writes it
====================  ==========================  ===========================================================================

``fastai`` gives the tokens that fastai 2.8 gives, its oddities included, for models and vocabularies made with it.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

SPECIALS = ("xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj")

Split = Callable[[str], list[str]]


@dataclass(frozen=True)
class RuleSet:
    """A named set of rules; ``version`` is raised when its tokens change.

    ``spans_chunks``: the language's tokenizer sees the whole text at once, which ``cut`` must then imitate.
    """

    name: str
    version: int
    document: tuple[Callable[[str], str], ...]
    cut: Callable[[str], list[str]]
    chunk: Callable[[str, Split], tuple[str, ...]]
    spans_chunks: bool


# ---------------------------------------------------------------------------------------------- default: the document

ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
BARE_ENTITY = re.compile(r"(?P<space>(?<=\S) (?=(?:amp|#39|#146);\w))?(?<!\S)(?P<name>#[0-9]{2,5}|amp|quot|lt|gt|nbsp|apos);|(?<=\S) (?P<joined>amp|#39|#146);(?=\w)")
LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
WIKITEXT = re.compile(r"(?<=\S) @([-,.])@ (?=\S)")


def decode_entities(text: str) -> str:
    """``&amp;`` -> ``&``: well-formed entities, once."""
    return ENTITY.sub(lambda match: html.unescape(match[0]), text) if "&" in text else text


def break_lines(text: str) -> str:
    """``<br />`` and the line ends of other systems become newlines."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return LINE_BREAK.sub("\n", text) if "<" in text else text


def join_wikitext(text: str) -> str:
    """``state @-@ owned``, ``1 @,@ 000`` -> ``state-owned``, ``1,000``."""
    return WIKITEXT.sub(r"\1", text) if "@" in text else text
