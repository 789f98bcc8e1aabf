"""The tokenizer: rules and spaCy. The only place that imports spaCy.

spaCy splits what stands between white space independently of its surroundings, and there are few distinct such chunks in
much text; so each is split once and remembered.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from typing import Any

import spacy

from ulmfit.errors import UserError
from ulmfit.text.rules import BOS, MAJ, REP, RULES, SPECIALS, UP, WREP, fold_repetition, mark_case, split_elongation

REMEMBERED = 400_000  # distinct chunks; about 100 MB at the most
LONGEST_REMEMBERED = 64  # characters; a longer chunk is hardly seen twice

_PIECES = re.compile(r"\s+|\S+")


class Tokenizer:
    """Texts to tokens: ``Tokenizer(lang="en", rules="default")(texts) -> list[list[str]]``; each starts with ``xxbos``.

    Raises UserError for a language that spaCy does not have or rules that are none.
    """

    def __init__(self, lang: str = "en", rules: str = "default"):
        if rules not in RULES:
            raise UserError(f"there are no rules {rules!r}; choose one of: {', '.join(RULES)}")
        self.lang, self.rules = lang, rules
        self._rules = RULES[rules]
        self._spacy = _spacy_tokenizer(lang)
        self._memory: dict[str, tuple[str, ...]] = {}
        self._document: Callable[[str], list[str]] = self._default if rules == "default" else self._fastai

    def __call__(self, texts: Iterable[str]) -> list[list[str]]:
        return [self._document(text) for text in texts]

    def __reduce__(self) -> tuple[type[Tokenizer], tuple[str, str]]:
        return Tokenizer, (self.lang, self.rules)

    @property
    def definition(self) -> dict[str, Any]:
        """What makes the tokens what they are; training and serving must agree on it."""
        return {"lang": self.lang, "rules": self.rules, "rules_version": self._rules.version, "spacy": spacy.__version__}

    @classmethod
    def from_definition(cls, definition: dict[str, Any]) -> Tokenizer:
        """The tokenizer so defined. UserError where this library's rules are of another version."""
        tokenizer = cls(definition["lang"], definition["rules"])
        if tokenizer.definition["rules_version"] != definition["rules_version"]:
            raise UserError(
                f"the model was trained with version {definition['rules_version']} of the {tokenizer.rules!r} rules, this library has version "
                f"{tokenizer.definition['rules_version']}; use the library the model was trained with, or train again"
            )
        return tokenizer

    def _default(self, text: str) -> list[str]:
        tokens = [BOS]
        chunks = self._rules.clean(text).split()
        memory = self._memory
        for chunk in chunks:
            tokens += memory.get(chunk) or self._remember(chunk, self._default_chunk)
        low = [chunk.lower() for chunk in chunks]
        if any(first == second == third for first, second, third in zip(low, low[1:], low[2:], strict=False)) or _close_repeats(low):
            return [BOS, *fold_repetition(tokens[1:])]
        return tokens

    def _default_chunk(self, chunk: str) -> tuple[str, ...]:
        if chunk in SPECIALS:
            return (chunk,)
        tokens: list[str] = []
        for piece in split_elongation(chunk):
            if isinstance(piece, tuple):
                character, times = piece
                tokens += [REP, str(times), character.lower()]
            elif piece:
                for word in self._spacy(piece):
                    tokens += mark_case(word)
        return tuple(tokens)

    def _fastai(self, text: str) -> list[str]:
        tokens = [BOS]
        memory = self._memory
        for piece in _PIECES.findall(self._rules.clean(text)):
            if piece == " ":
                continue
            if piece[0].isspace():
                # spaCy takes one blank as the end of the word before, and what else there is as a token.
                tokens.append((piece[1:] if piece[0] == " " else piece).replace(" ", "▁"))
            else:
                tokens += memory.get(piece) or self._remember(piece, self._spacy)
        return tokens

    def _remember(self, chunk: str, split: Callable[[str], tuple[str, ...]]) -> tuple[str, ...]:
        tokens = split(chunk)
        if len(chunk) <= LONGEST_REMEMBERED:
            if len(self._memory) >= REMEMBERED:
                self._memory.clear()
            self._memory[chunk] = tokens
        return tokens


def _close_repeats(low: list[str]) -> bool:
    """Repeats in which a mark clings to the last word ("no no no!") or within one chunk ("ha-ha-ha")."""
    return any(_REPEAT.search(chunk) for chunk in low if "-" in chunk or "," in chunk or "." in chunk) or any(
        first == second and third.startswith(first) and not third[len(first)].isalnum()
        for first, second, third in zip(low, low[1:], low[2:], strict=False)
        if third != first and len(third) > len(first)
    )


_REPEAT = re.compile(r"\b([^\W\d_]+)\W\1\W\1\b")


def _spacy_tokenizer(lang: str) -> Callable[[str], tuple[str, ...]]:
    try:
        tokenizer = spacy.blank(lang).tokenizer
    except ImportError as error:
        reason = " ".join(str(error).split())[:160]
        raise UserError(f"the language {lang!r} cannot be tokenised: {reason}; give a spaCy language code, and install the packages it names") from error

    def split(chunk: str) -> tuple[str, ...]:
        return tuple(token.text for token in tokenizer(chunk))

    return split


_NO_SPACE_BEFORE = frozenset(".,;:!?)]}%'’”…")
_NO_SPACE_AFTER = frozenset("([{$#“")


def detokenise(tokens: Iterable[str]) -> str:
    """Readable text from tokens, for reports: marks applied, punctuation joined. Not an exact inverse: spacing is guessed."""
    words: list[str] = []
    items = iter([token for token in tokens if token != BOS])
    for token in items:
        words.append(_read(token, items))
    text = ""
    for word in words:
        joined = not text or word[:1] in _NO_SPACE_BEFORE or word == "n't" or text[-1] in _NO_SPACE_AFTER
        text += word if joined else f" {word}"
    return text


def _read(token: str, items: Any) -> str:
    """One word: the marks before it are applied to what follows."""
    if token == UP:
        return next(items, "").upper()
    if token == MAJ:
        following = _read(next(items, ""), items)
        return following[:1].upper() + following[1:]
    if token in (REP, WREP):
        times, what = next(items, "0"), next(items, "")
        count = int(times) if times.isdigit() else 1
        what = _read(what, items)
        return what * count if token == REP else " ".join([what] * count)
    return token
