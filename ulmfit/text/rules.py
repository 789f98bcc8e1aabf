"""The special tokens, and the two named sets of rules that set them. Pure functions on strings; no spaCy here.

``fastai`` gives the text that fastai 2.8 hands to its tokenizer, so that models trained there can be taken over.
``default`` is the special tokens of Howard & Ruder (2018, sec. 3.1) done with care:

* capitals: ``xxmaj`` before a capitalised word, ``xxup`` before one of two or more capitals, also in quotes and brackets and
  for any alphabet; a single capital letter alone ("I", "A") carries no mark, for it says nothing;
* elongation: ``xxrep n c`` for three or more equal letters or marks; digits are left alone, and a run of ``- = _ * . ~ #``
  is a ruler or an ellipsis, shortened to three;
* repetition: ``xxwrep n word`` for three or more equal words, compared without case;
* HTML line breaks and entities are decoded; ``#39;`` and the like are mended where their ``&`` was lost, but "lamp;" is a lamp;
* WikiText's ``@-@``, ``@,@``, ``@.@`` and ``<unk>`` become what they stand for;
* a special token written out in a document is broken up (``xxmaj`` -> ``xx maj``), so it cannot pass for one;
* white space only separates.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass

SPECIALS = ("xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj")
BOS, UNK, REP, WREP, UP, MAJ = "xxbos", "xxunk", "xxrep", "xxwrep", "xxup", "xxmaj"


@dataclass(frozen=True)
class RuleSet:
    """A named, versioned set of rules. ``version`` is raised when any text comes out differently."""

    name: str
    version: int
    clean: Callable[[str], str]  # a document's text before it is cut at white space


# --- default: the document ------------------------------------------------------------------------------------------

_LITERAL = re.compile(r"(?<!\w)(xx)(unk|pad|bos|eos|fld|rep|wrep|up|maj)(?!\w)", re.IGNORECASE)
_BREAK = re.compile(r"<br\s*/?>|</?p>", re.IGNORECASE)
_BROKEN_NUMBER = re.compile(r"(?<![&\w])#(\d{2,5}|x[0-9a-fA-F]{2,4});")
_BROKEN_NAME = re.compile(r"(?<![&\w])(amp|quot|lt|gt|nbsp);")
_WIKITEXT = re.compile(r" @([-,.])@ ")
_NEEDS_CLEANING = re.compile(r"xx|[&<;@\x00]", re.IGNORECASE)


def clean_default(text: str) -> str:
    """The document with markup resolved and literal special tokens broken up. Most documents pass a cheap test and stay as they are."""
    if not _NEEDS_CLEANING.search(text):
        return text
    text = text.replace("\x00", " ")
    text = _LITERAL.sub(r"\1 \2", text)
    text = _BREAK.sub("\n", text)
    text = _BROKEN_NUMBER.sub(r"&#\1;", _BROKEN_NAME.sub(r"&\1;", text))
    text = html.unescape(text)
    text = _BREAK.sub("\n", text)  # a break that was written as entities
    text = _LITERAL.sub(r"\1 \2", text)  # and a special token
    text = _WIKITEXT.sub(r"\1", text)
    return text.replace("<unk>", f" {UNK} ")


# --- default: the chunk (what stands between white space) ------------------------------------------------------------

_RUN = re.compile(r"([^\W\d_])\1{2,}|([^\w\s])\2{2,}")
_RULER = frozenset("-=_*.~#…")
_RULER_RUN = re.compile(r"([-=_*.~#])\1{3,}")
_ADDRESS = re.compile(r"https?://|www\.|\w@\w", re.IGNORECASE)


def split_elongation(chunk: str) -> list[str | tuple[str, int]]:
    """A chunk as pieces: plain strings, and ``(character, times)`` where a letter or mark stands three times or more."""
    chunk = _RULER_RUN.sub(lambda run: run.group(1) * 3, chunk)
    if _ADDRESS.search(chunk):
        return [chunk]
    pieces: list[str | tuple[str, int]] = []
    end = 0
    for run in _RUN.finditer(chunk):
        character = run.group()[0]
        if character in _RULER:
            continue
        if run.start() > end:
            pieces.append(chunk[end : run.start()])
        pieces.append((character, len(run.group())))
        end = run.end()
    if end < len(chunk) or not chunk:
        pieces.append(chunk[end:])
    return pieces


def mark_case(word: str) -> tuple[str, ...]:
    """A word in lower case, after the token that says what its case was."""
    low = word.lower()
    if low == word:
        return (word,)
    letters = [letter for letter in word if letter.isalpha()]
    if len(letters) == 1:
        return (low,)
    if all(letter.isupper() for letter in letters):
        return (UP, low)
    return (MAJ, low) if letters[0].isupper() or letters[0].istitle() else (low,)


# --- default: the run of tokens --------------------------------------------------------------------------------------


def fold_repetition(tokens: list[str]) -> list[str]:
    """``xxwrep n word`` for three or more equal words in a row. Case marks between the words are passed over; the first stays."""
    folded: list[str] = []
    position = 0
    while position < len(tokens):
        mark, word, end = _word_at(tokens, position)
        times = 1
        while end < len(tokens):
            _, other, after = _word_at(tokens, end)
            if other != word or not word.isalpha():
                break
            times, end = times + 1, after
        if times >= 3:
            folded += [WREP, str(times), *mark, word]
            position = end
        else:
            after_first = _word_at(tokens, position)[2]
            folded += tokens[position:after_first]
            position = after_first
    return folded


def _word_at(tokens: list[str], position: int) -> tuple[list[str], str, int]:
    """The case mark (or none), the word and the place after it."""
    if tokens[position] in (UP, MAJ) and position + 1 < len(tokens):
        return [tokens[position]], tokens[position + 1], position + 2
    return [], tokens[position], position + 1


# --- fastai ----------------------------------------------------------------------------------------------------------

_FASTAI_MENDED = (
    ("#39;", "'"),
    ("amp;", "&"),
    ("#146;", "'"),
    ("nbsp;", " "),
    ("#36;", "$"),
    ("\\n", "\n"),
    ("quot;", "'"),
    ("<br />", "\n"),
    ('\\"', '"'),
    ("<unk>", UNK),
    (" @.@ ", "."),
    (" @-@ ", "-"),
    ("...", " …"),
)
_FASTAI_REP = re.compile(r"(\S)(\1{2,})")
_FASTAI_WREP = re.compile(r"(?:\s|^)(\w+)\s+((?:\1\s+)+)\1(\s|\W|$)")
_FASTAI_SPACED = re.compile(r"([/#\\])")
_FASTAI_SPACES = re.compile(r" {2,}")
_FASTAI_CAPS = re.compile(r"(\s|^)([A-Z]+[^a-z\s]*)(?=(\s|$))")
_FASTAI_MAJ = re.compile(r"(\s|^)([A-Z][^A-Z\s]*)(?=(\s|$))")


def clean_fastai(text: str) -> str:
    """The rules of fastai 2.8 in its order: HTML, repeated characters, repeated words, spacing, capitals, lower case."""
    for wrong, right in _FASTAI_MENDED:
        text = text.replace(wrong, right)
    text = html.unescape(text)
    text = _FASTAI_REP.sub(lambda run: f" {REP} {len(run.group(2)) + 1} {run.group(1)} ", text)
    text = _FASTAI_WREP.sub(lambda run: f" {WREP} {len(run.group(2).split()) + 2} {run.group(1)} {run.group(3)}", text)
    text = _FASTAI_SPACES.sub(" ", _FASTAI_SPACED.sub(r" \1 ", text))
    text = _FASTAI_CAPS.sub(lambda word: _fastai_mark(word, UP), text)
    text = _FASTAI_MAJ.sub(lambda word: _fastai_mark(word, MAJ), text)
    return text.lower().strip()


def _fastai_mark(word: re.Match[str], mark: str) -> str:
    return f"{word.group(1)}{f'{mark} ' if len(word.group(2)) > 1 else ''}{word.group(2).lower()}"


RULES = {"default": RuleSet("default", 1, clean_default), "fastai": RuleSet("fastai", 1, clean_fastai)}
