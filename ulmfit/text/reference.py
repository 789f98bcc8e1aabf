"""What the tokenizer does, written to be read: one text at a time, no memory, no cheap tests, characters one by one.

The tests hold ``Tokenizer`` to it. Functions here share no code with the fast path but the tables and expressions in ``rules.py``.
"""

from __future__ import annotations

import html
import html.entities
import re
from itertools import accumulate, groupby, pairwise

from ulmfit.text.rules import (
    ADDRESS,
    BARE_ENTITY,
    BOS,
    ENTITY,
    FASTAI_CAPS,
    FASTAI_HTML,
    FASTAI_MAJ,
    FASTAI_REP,
    FASTAI_WREP,
    LINE_BREAK,
    MAJ,
    PARAGRAPH,
    REP,
    ROMAN,
    SPECIALS,
    UNK,
    UP,
    WIKITEXT,
    WREP,
    Split,
)

RULERS = "-=_*.~#"


def tokenize_reference(text: str, rules: str, split: Split) -> list[str]:
    """The tokens of one text, the first ``xxbos``. ``split`` is the language's tokenizer."""
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    return default_reference(text, split) if rules == "default" else fastai_reference(text, split)


def _without_long_runs(text: str) -> str:
    parts = []
    for part in re.split(r"(\s+)", text):
        parts.append(" ".join(part[start : start + 512] for start in range(0, len(part), 512)) if part.strip() else part)
    return "".join(parts)


# ------------------------------------------------------------------------------------------------------------ default


def default_reference(text: str, split: Split) -> list[str]:
    text = BARE_ENTITY.sub(r"&\1;", text)
    for _ in range(3):  # "&amp;amp;lt;" was escaped three times
        text = ENTITY.sub(lambda entity: html.unescape(entity[0]) if _is_entity(entity[0]) else entity[0], text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = LINE_BREAK.sub("\n", text)
    text = WIKITEXT.sub(r"\1", text)
    text = _without_long_runs(text)
    tokens: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        if tokens and paragraph.strip():
            tokens.append(PARAGRAPH)
        for chunk in paragraph.split():
            tokens += _chunk(chunk, split)
    return [BOS, *_fold(tokens)]


def _is_entity(entity: str) -> bool:
    return entity[1] == "#" or entity[1:] in html.entities.html5


def _chunk(chunk: str, split: Split) -> list[str]:
    tokens: list[str] = []
    for number, part in enumerate(chunk.split("<unk>")):
        tokens += [UNK] if number else []
        if ADDRESS.search(part):
            for word in _split(part, split):
                tokens += [*_case(word), *_unspecial(word.lower())]
            continue
        for is_run, group in groupby(_runs(part), key=_is_run_of_marks):
            if is_run:
                for run in group:
                    tokens += [run[0] * 3] if run[0] in RULERS else [REP, str(len(run)), run[0].lower()]
            else:
                for word in _split("".join(group), split):
                    tokens += [*_case(word), *_elongated(word)]
    return tokens


def _split(part: str, split: Split) -> list[str]:
    lower = part.lower()
    if re.search("['’]", part) and part.isupper() and len(lower) == len(part):
        ends = list(accumulate(len(word) for word in split(lower)))
        return [part[start:end] for start, end in pairwise([0, *ends])]
    return split(part)


def _runs(text: str) -> list[str]:
    """``"aab"`` -> ``["aa", "b"]``."""
    return ["".join(group) for _, group in groupby(text)]


def _is_run_of_marks(run: str) -> bool:
    return len(run) >= 3 and (run[0] in RULERS or not (run[0].isalnum() or run[0] == "_"))


def _case(word: str) -> list[str]:
    if word == "I":
        return []
    capitals = [character for character in word if character.isupper()]
    cased = [character for character in word if character.lower() != character.upper()]
    if len(capitals) >= 2 and word.isupper():
        return [UP]
    if len(capitals) == 1 and word.startswith(("'", "’")):
        return []
    return [MAJ] if cased and (cased[0].isupper() or cased[0].istitle()) else []


def _elongated(word: str) -> list[str]:
    low = word.lower()
    if low == "www" or ROMAN.fullmatch(word):
        return [low]
    tokens: list[str] = []
    plain = ""
    for run in _runs(low):
        if len(run) >= 3 and run[0].isalnum() and not run[0].isdecimal():
            tokens += [*_unspecial(plain), REP, str(len(run)), run[0]]
            plain = ""
        else:
            plain += run
    return tokens + _unspecial(plain)


def _unspecial(word: str) -> list[str]:
    parts = [word[:2], word[2:]] if word in SPECIALS else [word]
    return [part for part in parts if part]


def _fold(tokens: list[str]) -> list[str]:
    """Words with their marks first, then runs of equal words."""
    words: list[tuple[list[str], str]] = []  # (all tokens of the unit, the word if it can repeat)
    rest = list(tokens)
    while rest:
        length = 3 if rest[0] == REP else 2 if rest[0] in (UP, MAJ) and rest[1] != REP else 1
        unit, rest = rest[:length], rest[length:]
        repeats = length < 3 and unit[-1].isalpha() and unit[-1] not in SPECIALS
        words.append((unit, unit[-1] if repeats else ""))
    folded: list[str] = []
    for word, group in groupby(words, key=lambda unit_and_word: unit_and_word[1]):
        units = [unit for unit, _ in group]
        if word and len(units) >= 3:
            folded += [WREP, str(len(units)), *units[0]]
        else:
            folded += [token for unit in units for token in unit]
    return folded


# ------------------------------------------------------------------------------------------------------------- fastai


def fastai_reference(text: str, split: Split) -> list[str]:
    for wrong, right in FASTAI_HTML:
        text = text.replace(wrong, right)
    text = html.unescape(text)
    text = FASTAI_REP.sub(lambda run: f" {REP} {len(run[0])} {run[1]} ", text)
    text = FASTAI_WREP.sub(lambda run: f" {WREP} {len(run[2].split()) + 2} {run[1]} {run[3]}", text)
    text = re.sub(r"([/#\\])", r" \1 ", text)
    text = re.sub(" {2,}", " ", text)
    text = FASTAI_CAPS.sub(lambda word: word[1] + (f"{UP} " if len(word[2]) > 1 else "") + word[2].lower(), text)
    text = FASTAI_MAJ.sub(lambda word: word[1] + (f"{MAJ} " if len(word[2]) > 1 else "") + word[2].lower(), text)
    text = _without_long_runs(text.lower().strip())
    return [BOS, *(token.replace(" ", "▁") for token in split(text))]
