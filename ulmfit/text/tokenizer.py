"""The tokenizer: text is split into tokens here, many texts at a time.

Much text has few distinct chunks (the text between white space). So a batch of texts becomes a list of distinct chunks and, for
every position, a number into it (Arrow). Rules and spaCy see each distinct chunk once, and it is remembered. The tokens of the texts
are a gather. Rules that look beyond a chunk (entities, repeated words) run on the few texts that a cheap test selects.
The reference in ``tests/oracles`` does the same without memory or short cuts.
"""

import gc
import logging
import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from itertools import chain
from typing import Any, Self, TypedDict

import numpy as np
import pyarrow as pa

from ulmfit.errors import UserError
from ulmfit.text.columns import BOS_MARK, PARAGRAPH_MARK, cut_in_columns
from ulmfit.text.detokenise import detokenise
from ulmfit.text.languages import SPACY_VERSION, Language
from ulmfit.text.rules import BOS, MAJ, RULES, UP, cut_at_white_space

__all__ = ["TOKENS", "Tokenizer", "detokenise", "without_lone_surrogates"]

log = logging.getLogger(__name__)

BATCH = 4_000_000  # characters that are tokenised together; their columns stay in the processor's cache
REMEMBERED = 150_000  # distinct chunks per generation; two generations are kept, about 80 MB
MOST_TOKENS = 300_000  # distinct tokens that are numbered before all of them are forgotten; about 60 MB
LONGEST_REMEMBERED = 64  # characters; a longer chunk rarely occurs twice
FEW = 5_000  # characters; for less text, Arrow's columns are slower

TOKENS = pa.list_(pa.dictionary(pa.int32(), pa.string()))

LONE_SURROGATE = re.compile("[\ud800-\udfff]")


class Definition(TypedDict):
    """What makes the tokens what they are: training and serving must agree on it."""

    lang: str
    rules: str
    rules_version: int
    spacy: str


class Tokenizer:
    """Texts to tokens: ``Tokenizer(lang="en", rules="default")(texts) -> list[list[str]]``; each starts with ``xxbos``.

    Raises UserError for a language that spaCy does not have, unknown rules, or texts that are not strings.
    """

    def __init__(self, lang: str = "en", rules: str = "default"):
        if rules not in RULES:
            raise UserError(f"there are no rules {rules!r}; choose one of: {', '.join(RULES)}")
        self.lang, self.rules = lang, rules
        self._rules = RULES[rules]
        self._language = Language(lang)
        self._start()

    def __call__(self, texts: Iterable[str]) -> list[list[str]]:
        found: list[list[str]] = []
        with _without_collection():
            for batch in _batches(texts):
                ids, offsets = self._encode(batch)
                tokens = np.array(list(self._ids), dtype=object)[ids]
                found += [tokens[start:end].tolist() for start, end in zip(offsets[:-1].tolist(), offsets[1:].tolist(), strict=True)]
        return found

    def columns(self, texts: Iterable[str]) -> pa.ListArray:
        """The same tokens as an Arrow column, list<dictionary<int32, string>>; the dictionary is in order of first occurrence."""
        parts, lengths = [pa.DictionaryArray.from_arrays(pa.array([], pa.int32()), pa.array([], pa.string()))], [np.zeros(1, np.int64)]
        for batch in _batches(texts):
            with _without_collection():
                ids, offsets = self._encode(batch)
            encoded = pa.array(ids).dictionary_encode()
            tokens = list(self._ids)
            names = pa.array([tokens[number] for number in encoded.dictionary.to_pylist()], pa.string())
            parts.append(pa.DictionaryArray.from_arrays(encoded.indices, names))
            lengths.append(np.diff(offsets))
        flat = pa.chunked_array(parts).combine_chunks()
        return pa.ListArray.from_arrays(pa.array(np.cumsum(np.concatenate(lengths)), pa.int32()), flat)

    def __reduce__(self) -> tuple[type[Self], tuple[str, str]]:
        return type(self), (self.lang, self.rules)

    @property
    def definition(self) -> Definition:
        """Language, rules and the versions of both."""
        return {"lang": self.lang, "rules": self.rules, "rules_version": self._rules.version, "spacy": SPACY_VERSION}

    @classmethod
    def from_definition(cls, definition: Definition) -> Self:
        """The tokenizer of a definition. UserError where this library's rules are of another version."""
        tokenizer = cls(definition["lang"], definition["rules"])
        here = tokenizer.definition
        if here["rules_version"] != definition["rules_version"]:
            raise UserError(
                f"the model was trained with version {definition['rules_version']} of the {tokenizer.rules!r} rules, this library has "
                f"version {here['rules_version']}; use the library the model was trained with, or train again"
            )
        if here["spacy"] != definition["spacy"]:
            log.warning(
                "the model was trained with spaCy %s, this is %s: a few words may be split differently", definition["spacy"], here["spacy"]
            )
        return tokenizer

    def _start(self) -> None:
        self._ids = _Numbers()  # of tokens; they hold for a batch only
        self._words: dict[str, tuple[int, ...]] = {}  # spaCy's token -> the numbers of ours
        self._begin = {None: self._numbers([BOS])}
        self._chunks: dict[Any, tuple[int, ...]] = dict(self._begin)
        self._older: dict[Any, tuple[int, ...]] = {}
        self._marks = self._numbers([UP, MAJ])

    def _age(self) -> None:
        """Bound the memory: drop chunks that did not occur for a generation; drop all of them if there are too many tokens."""
        if len(self._ids) > MOST_TOKENS:
            self._language.forget()
            self._start()
        elif len(self._chunks) > REMEMBERED:
            self._older, self._chunks = self._chunks, dict(self._begin)

    def _numbers(self, tokens: Iterable[str]) -> tuple[int, ...]:
        return tuple(map(self._ids.__getitem__, tokens))

    def _encode(self, texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
        """Numbers of the tokens of all texts, int32 [T], and the offsets of each text's, int64 [N + 1]."""
        self._age()
        for rule in self._rules.document:
            texts = list(map(rule, texts))
        columnar = (
            self._rules.cut is cut_at_white_space
            and sum(map(len, texts)) > FEW
            and not any(BOS_MARK in text or PARAGRAPH_MARK in text for text in texts)
        )
        chunks, places, offsets = cut_in_columns(texts, self._language.marks_apart) if columnar else self._cut(texts)
        known = self._look_up(chunks)
        lengths = np.fromiter(map(len, known), np.int64, len(known))
        flat = np.fromiter(chain.from_iterable(known), np.int32, int(lengths.sum()))
        ids, ends = _gather(flat, lengths, places)
        return self._finish(ids, ends[offsets])

    def _cut(self, texts: Sequence[str]) -> tuple[list[str | None], np.ndarray, np.ndarray]:
        """As ``cut_in_columns``, text by text."""
        cut = self._rules.cut or self._language.cut
        parts: list[list[str | None]] = [[None, *cut(text)] for text in texts]
        number: dict[str | None, int] = {}
        places = [number.setdefault(chunk, len(number)) for part in parts for chunk in part]
        return list(number), np.array(places, np.int64), np.cumsum([0, *map(len, parts)])

    def _look_up(self, chunks: Sequence[str | None]) -> list[tuple[int, ...]]:
        """The numbers of the tokens of each chunk."""
        known: list[Any] = list(map(self._chunks.get, chunks))
        missing = [chunk for chunk, numbers in zip(chunks, known, strict=True) if numbers is None and chunk is not None]
        if missing:
            found: dict[Any, tuple[int, ...]] = {chunk: self._older[chunk] for chunk in missing if chunk in self._older}
            found |= self._learn([chunk for chunk in missing if chunk not in found])
            known = [found[chunk] if numbers is None else numbers for chunk, numbers in zip(chunks, known, strict=True)]
            self._chunks.update((chunk, numbers) for chunk, numbers in found.items() if len(chunk) <= LONGEST_REMEMBERED)
        return known

    def _learn(self, chunks: Sequence[str]) -> dict[str, tuple[int, ...]]:
        """Apply rules and spaCy. Plain chunks are split together, and the tokens of their words are remembered as well.

        In a language without spaces between words, no chunk is plain.
        """
        plain = list(filter(self._rules.plain, chunks)) if self._language.by_chunks else []
        words, splits = self._words, self._language.split_all(plain)
        for word in dict.fromkeys(chain.from_iterable(splits)):
            if word not in words:
                words[word] = self._numbers(self._rules.word(word))
        found = {
            chunk: words[split[0]] if len(split) == 1 else tuple(chain.from_iterable(map(words.__getitem__, split)))
            for chunk, split in zip(plain, splits, strict=True)
        }
        for chunk in chunks:
            if chunk not in found:
                found[chunk] = self._numbers(self._rules.chunk(chunk, self._language.split_one))
        return found

    def _finish(self, ids: np.ndarray, offsets: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Apply the last rule to the texts that have a word three times in a row."""
        if self._rules.finish is None:
            return ids, offsets
        up, maj = self._marks
        words = np.flatnonzero((ids != up) & (ids != maj))
        repeated = ids[words[1:]] == ids[words[:-1]]
        thrice = words[:-2][repeated[1:] & repeated[:-1]]
        if not len(thrice):
            return ids, offsets
        parts, start, numbered = [], 0, list(self._ids)
        lengths = np.diff(offsets)
        for text in np.unique(np.searchsorted(offsets, thrice, side="right") - 1).tolist():
            tokens = [numbered[number] for number in ids[offsets[text] : offsets[text + 1]].tolist()]
            changed = self._numbers(self._rules.finish(tokens))
            parts += [ids[start : offsets[text]], np.array(changed, np.int32)]
            start, lengths[text] = offsets[text + 1], len(changed)
        return np.concatenate([*parts, ids[start:]]), np.concatenate([[0], np.cumsum(lengths)])


class _Numbers(dict[str, int]):
    """Token -> its number; a new token gets the next one. The tokens in order are ``list(numbers)``."""

    def __missing__(self, token: str) -> int:
        number = self[token] = len(self)
        return number


@contextmanager
def _without_collection() -> Iterator[None]:
    """Without garbage collection of cycles: there are none, and it would look through a million small objects again and again."""
    was = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was:
            gc.enable()


def _batches(texts: Iterable[str]) -> Iterator[list[str]]:
    if isinstance(texts, str):
        raise UserError(f"a tokenizer takes a list of texts; given one text, {texts[:40]!r}: put it into a list")
    batch: list[str] = []
    size = 0
    for number, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(f"text {number} is no string but {text!r}; leave it out, or give a string")
        batch.append(without_lone_surrogates(text))
        size += len(text)
        if size >= BATCH:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch


def without_lone_surrogates(text: str) -> str:
    """``text`` with U+FFFD for halves of surrogate pairs, which no encoding can write."""
    if text.isascii():
        return text
    try:
        text.encode()  # ten times as fast as looking for them
    except UnicodeEncodeError:
        return LONE_SURROGATE.sub("\ufffd", text)
    return text


def _gather(flat: np.ndarray, lengths: np.ndarray, places: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The runs of ``flat`` (of the given lengths) at ``places``, one after the other; and where each place's begins, int64 [places + 1]."""
    each = lengths[places]
    ends = np.concatenate([[0], np.cumsum(each)])
    starts = (np.cumsum(lengths) - lengths)[places]
    index = np.repeat(starts - ends[:-1], each) + np.arange(ends[-1])
    return flat[index], ends
