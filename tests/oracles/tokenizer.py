"""What the tokenizer does, written to be read: one text at a time, no memory, no cheap tests, characters one by one.

The tests hold ``Tokenizer`` to it. Functions here share no code with the fast path but the tables and expressions in ``rules.py`` and
``characters.py``.
"""

from __future__ import annotations

import html
import html.entities
import re
import unicodedata
from itertools import accumulate, groupby, pairwise

from ulmfit.text.characters import AMPLIFIER, APOSTROPHES, BARE_ENTITY, CONTRACTION, ENTITY, INVISIBLE, OFTEN_BARE, ONE_LETTER
from ulmfit.text.cutting import CLOSING
from ulmfit.text.rules import (
    ADDRESS,
    BOS,
    DOTTED,
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
    RULERS,
    SMALL_ROMAN,
    SPECIALS,
    SPELT_THRICE,
    UNK,
    UP,
    WREP,
    Split,
)


def tokenize_reference(text: str, rules: str, split: Split) -> list[str]:
    """The tokens of one text, the first ``xxbos``. ``split`` is the language's tokenizer."""
    text = re.sub("[\ud800-\udfff]", "\ufffd", text)
    return default_reference(text, split) if rules == "default" else fastai_reference(text, split)


# ------------------------------------------------------------------------------------------------------------ default


def default_reference(text: str, split: Split) -> list[str]:
    text = _mended(text)
    for _ in range(3):  # "&amp;amp;lt;" was escaped three times
        text = ENTITY.sub(lambda entity: html.unescape(entity[0]) if _is_entity(entity[0]) else entity[0], text)
    text = re.sub(f"[{INVISIBLE}]", "", text).replace("\u200b", " ")
    text = re.sub("[\x80-\x9f]", lambda control: control[0].encode("latin-1").decode("cp1252", "ignore"), text)
    text = text.replace("\r\n", "\n").replace("\r", "\n")
    text = LINE_BREAK.sub("\n", text)
    text = _joined(text)
    tokens: list[str] = []
    for paragraph in re.split(r"\n\s*\n", text):
        if tokens and paragraph.strip():
            tokens.append(PARAGRAPH)
        for chunk in paragraph.split():
            for piece in _pieces(chunk):
                tokens += _chunk(piece, split)
    return [BOS, *_fold(tokens)]


def _mended(text: str) -> str:
    """Entities without ``&``: every one that can be meant so, if one of them is without doubt; else possessives alone."""
    before = [text[: match.start()] for match in BARE_ENTITY.finditer(text)]
    names = [match[1] for match in BARE_ENTITY.finditer(text)]
    after = [text[match.end() :] for match in BARE_ENTITY.finditer(text)]
    places = [place for place in zip(before, names, after, strict=True) if _can_be_entity(*place)]
    broken = any(_is_without_doubt(*place) for place in places)
    mended = ""
    rest = text
    for left, name, right in places:
        if broken or _is_possessive(left, name, right):
            taken = left[len(text) - len(rest) :]
            mended += (taken.removesuffix(" ") if _is_in_a_word(left, name, right) else taken) + f"&{name};"
            rest = right
    return mended + rest


def _code(name: str) -> int | str:
    if name.startswith("#x"):
        return int(name[2:], 16)
    return int(name[1:]) if name.startswith("#") else f"{name};"


def _can_be_entity(left: str, name: str, right: str) -> bool:
    if name == "amp" and AMPLIFIER.search(left) and not right[:1].isalnum():
        return False
    return not name.startswith("#") or _code(name) in OFTEN_BARE


def _is_without_doubt(left: str, name: str, right: str) -> bool:
    twice = left.endswith(f"{name}; ") or right.startswith(f" {name};")
    return not name.startswith("#") or left.endswith("  ") or right[:1].isalnum() or twice


def _is_possessive(left: str, name: str, right: str) -> bool:
    return _code(name) in APOSTROPHES and bool(re.search(r"[sxzSXZ.,!?] \Z", left)) and not right.startswith(" #")


def _is_in_a_word(left: str, name: str, right: str) -> bool:
    if len(left) < 2 or left[-1] != " " or not left[-2].isalnum() or not right[:1].isalnum():
        return False
    if name == "amp":
        return True
    return _code(name) in APOSTROPHES and bool(CONTRACTION.match(right) or (right[0].isalpha() and ONE_LETTER.search(left)))


def _is_entity(entity: str) -> bool:
    return entity[1] == "#" or entity[1:] in html.entities.html5


def _joined(text: str) -> str:
    """WikiText's marks between single blanks join; others lose their signs."""
    text = re.sub(r"(?<=[^\s@]) @([-,.])@ (?=[^\s@])", r"\1", text)
    return "".join(part[1] if part in ("@-@", "@,@", "@.@") else part for part in re.split(r"(\s+)", text))


def _pieces(chunk: str) -> list[str]:
    pieces = []
    while len(chunk) > 512:
        closing = [end for end in range(1, 513) if chunk[end - 1] in CLOSING]
        end = closing[-1] if closing else 512
        pieces.append(chunk[:end])
        chunk = chunk[end:]
    return [*pieces, chunk]


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
                    tokens += _marked(run)
            else:
                for word in _split("".join(group), split):
                    tokens += [*_case(word), *_elongated(word)]
    return tokens


def _split(part: str, split: Split) -> list[str]:
    lower = part.lower()
    if re.search("['’]", part) and part.isupper() and len(lower) == len(part) and not DOTTED.search(part):
        ends = list(accumulate(len(word) for word in split(lower)))
        words = [part[start:end] for start, end in pairwise([0, *ends])]
    else:
        words = split(part)
    return _unspelt(part, words, split)


def _unspelt(text: str, words: list[str], split: Split) -> list[str]:
    """Where every character is a word, those of alphabets that touch are one word together."""
    if split("ab") != ["a", "b"]:
        return words
    joined: list[str] = []
    rest = text
    for word in words:
        touches = rest.startswith(word)
        rest = rest[rest.index(word) + len(word) :]
        if joined and touches and re.match(r"[0-9A-Za-zÀ-ÖØ-öø-ɏͰ-ӿ]+\Z", joined[-1] + word):
            joined[-1] += word
        else:
            joined.append(word)
    return joined


def _runs(text: str) -> list[str]:
    """``"aab"`` -> ``["aa", "b"]``."""
    return ["".join(group) for _, group in groupby(text)]


def _is_ruler(character: str) -> bool:
    return bool(re.fullmatch(f"[{RULERS}]", character))


def _is_run_of_marks(run: str) -> bool:
    return run[0] == "\\" or (len(run) >= 3 and (_is_ruler(run[0]) or not (run[0].isalnum() or run[0] == "_")))


def _marked(run: str) -> list[str]:
    if run in ("\\", "\\\\", "***", "****", "*****"):
        return [run]
    return [run[0] * 3] if _is_ruler(run[0]) else [REP, str(len(run)), run[0].lower()]


def _case(word: str) -> list[str]:
    if word == "I":
        return []
    capitals = [character for character in word if character.isupper()]
    cased = [character for character in word if character.lower() != character.upper()]
    if len(capitals) >= 2 and word.isupper():
        return [UP]
    if len(capitals) == 1 and len(word) == 2 and word.startswith(("'", "’")):
        return []
    return [MAJ] if cased and (cased[0].isupper() or cased[0].istitle()) else []


def _elongated(word: str) -> list[str]:
    low = word.lower()
    has_digit = any(character.isdecimal() for character in word)
    if has_digit or low == "www" or ROMAN.fullmatch(word) or SMALL_ROMAN.fullmatch(word) or _is_acronym(word):
        return _unspecial(low)
    tokens: list[str] = []
    plain = ""
    done = 0
    for _, group in groupby(low, key=lambda character: "σ" if character == "ς" else character):
        run = "".join(group)
        done += len(run)
        letter = "σ" if run[0] == "ς" else run[0]
        in_compound = len(run) == 3 and letter in SPELT_THRICE and done - 3 >= 2 and len(low) - done >= 3
        if len(run) >= 3 and letter.isalpha() and not letter.isnumeric() and not in_compound:
            tokens += [*_unspecial(plain), REP, str(len(run)), letter]
            plain = ""
        else:
            plain += run
    return tokens + _unspecial(plain)


def _is_acronym(word: str) -> bool:
    return len(word) == 3 and word.isupper() and len(set(word)) == 1


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
        words.append((unit, unit[-1] if length < 3 and _can_repeat(unit[-1]) else ""))
    folded: list[str] = []
    for word, group in groupby(words, key=lambda unit_and_word: unit_and_word[1]):
        units = [unit for unit, _ in group]
        if word and len(units) >= 3:
            folded += [WREP, str(len(units)), *units[0]]
        else:
            folded += [token for unit in units for token in unit]
    return folded


def _can_repeat(word: str) -> bool:
    kinds = [unicodedata.category(character)[0] for character in word]
    return word not in SPECIALS and not word.isnumeric() and kinds[0] == "L" and set(kinds) <= {"L", "M"}


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
    return [BOS, *(token.replace(" ", "▁") for token in _unspelt(text, split(text), split))]


def _without_long_runs(text: str) -> str:
    parts = []
    for part in re.split(r"(\s+)", text):
        parts.append(" ".join(part[start : start + 512] for start in range(0, len(part), 512)) if part.strip() else part)
    return "".join(parts)
