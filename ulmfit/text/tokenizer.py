"""The tokenizer: rules and spaCy. The only place that imports spaCy.

Much text has few distinct chunks between its white space; so each is made into tokens once and remembered.
``reference.py`` says the same without memory or short cuts.
"""

from __future__ import annotations

import logging
import re
from collections import defaultdict
from collections.abc import Iterable
from itertools import chain, pairwise
from typing import Any

import spacy
from spacy.tokenizer import Tokenizer as SpacyTokenizer

from ulmfit.errors import UserError
from ulmfit.text.rules import BOS, EOS, MAJ, PAD, REP, RULES, UP, WREP, RuleSet

log = logging.getLogger(__name__)

REMEMBERED = 400_000  # distinct chunks; about 100 MB at the most
LONGEST_REMEMBERED = 64  # characters; a longer chunk is hardly seen twice

REMEDIES = {
    "ja": "run: pip install sudachipy sudachidict_core",
    "ko": "install mecab-ko and mecab-ko-dic, and run: pip install natto-py",
    "th": "run: pip install pythainlp",
    "vi": "run: pip install pyvi",
}

LONE_SURROGATE = re.compile("[\ud800-\udfff]")
GAP = re.compile(r"\s+")
ODD_GAP = re.compile(r"(\s{2,}|[^\S ])")


class Tokenizer:
    """Texts to tokens: ``Tokenizer(lang="en", rules="default")(texts) -> list[list[str]]``; each starts with ``xxbos``.

    Raises UserError for a language that spaCy does not have, rules that are none, or texts that are no strings.
    """

    def __init__(self, lang: str = "en", rules: str = "default"):
        if rules not in RULES:
            raise UserError(f"there are no rules {rules!r}; choose one of: {', '.join(RULES)}")
        self.lang, self.rules = lang, rules
        self._rules = RULES[rules]
        self._language = Language(lang)
        self._cut = self._rules.cut or self._language.cut
        self._memory = _Memory(self._rules, self._language)

    def __call__(self, texts: Iterable[str]) -> list[list[str]]:
        if isinstance(texts, str):
            raise UserError(f"a tokenizer takes a list of texts; given one text, {texts[:40]!r}: put it into a list")
        return [self._tokens(text, number) for number, text in enumerate(texts)]

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
        here = tokenizer.definition
        if here["rules_version"] != definition["rules_version"]:
            raise UserError(
                f"the model was trained with version {definition['rules_version']} of the {tokenizer.rules!r} rules, this library has "
                f"version {here['rules_version']}; use the library the model was trained with, or train again"
            )
        if here["spacy"] != definition["spacy"]:
            log.warning(
                "the model was trained with spaCy %s, this is %s: a few words may be split otherwise", definition["spacy"], here["spacy"]
            )
        return tokenizer

    def _tokens(self, text: str, number: int) -> list[str]:
        if not isinstance(text, str):
            raise UserError(f"text {number} is no string but {text!r}; leave it out or give a string")
        text = without_lone_surrogates(text)
        for rule in self._rules.document:
            text = rule(text)
        return self._rules.finish([BOS, *chain.from_iterable(map(self._memory.__getitem__, self._cut(text)))])


class _Memory(dict[str, list[str]]):
    """Chunk -> its tokens, worked out when first asked for."""

    def __init__(self, rules: RuleSet, language: Language):
        self._rules, self._language = rules, language

    def __missing__(self, chunk: str) -> list[str]:
        tokens = self._rules.chunk(chunk, self._language.split)
        if len(chunk) <= LONGEST_REMEMBERED:
            if len(self) >= REMEMBERED:
                self.clear()
                self._language.forget()
            self[chunk] = tokens
        return tokens


def without_lone_surrogates(text: str) -> str:
    """``text`` with U+FFFD for halves of surrogate pairs, which no encoding can write."""
    return text if text.isascii() else LONE_SURROGATE.sub("\ufffd", text)


class Language:
    """spaCy's tokenizer of one language, and where it may be given a text piecemeal."""

    def __init__(self, lang: str):
        self._lang = lang
        self._spacy = _blank(lang)
        self._can_cut = isinstance(self._spacy, SpacyTokenizer)  # as those of Chinese, Japanese, Thai and a few more are not
        self._seams = _seams(lang, self._spacy) if self._can_cut else {}
        self._seam = _gap_between(self._seams)

    def forget(self) -> None:
        """Load spaCy's tokenizer anew: it keeps every word it has seen."""
        self._spacy = _blank(self._lang)

    def split(self, text: str) -> list[str]:
        """spaCy's tokens."""
        return [token.text for token in self._spacy(text)]

    def cut(self, text: str) -> list[str]:
        """Parts of a text without white space at its ends, such that their tokens, one after the other, are those of the whole.

        spaCy splits what stands between white space by itself, takes one blank as the end of the word before and other
        white space as a token; only its special cases may reach over a gap (see ``_seams``), and there the text stays whole.
        """
        if not self._can_cut:
            return [text]
        whole = {gap.start() for gap in self._seam.finditer(text) if self._is_seam(text, gap)}
        if whole:
            return _cut_but(text, whole)
        parts: list[str] = []
        for number, stretch in enumerate(ODD_GAP.split(text)):  # stretches with single blanks, and between them the odd gaps
            parts += [stretch.removeprefix(" ")] if number % 2 else stretch.split(" ")
        return parts

    def _is_seam(self, text: str, gap: re.Match[str]) -> bool:
        pairs = self._seams.get((text[gap.start() - 1], text[gap.end()]), ())
        return any(text.endswith(left, 0, gap.start()) and text.startswith(right, gap.end()) for left, right in pairs)


def _blank(lang: str) -> Any:
    try:
        return spacy.blank(lang).tokenizer
    except ImportError as error:
        reason = " ".join(str(error).split())
        if "E048" in reason:
            reason, remedy = "spaCy does not have it", "give a code such as en, de, fr, zh, or xx for any other"
        else:
            reason, remedy = "it needs packages that are not installed", REMEDIES.get(lang, reason[:160])
        raise UserError(f"the language {lang!r} cannot be tokenised: {reason}; {remedy}") from error


def _cut_but(text: str, whole: set[int]) -> list[str]:
    """``text`` cut at its gaps but for those that start at ``whole``."""
    parts: list[str] = []
    start = 0
    for gap in GAP.finditer(text):
        if gap.start() in whole:
            continue
        parts.append(text[start : gap.start()])
        if gap[0] != " ":
            parts.append(gap[0].removeprefix(" "))
        start = gap.end()
    return [*parts, text[start:]]


def _seams(lang: str, tokenizer: SpacyTokenizer) -> dict[tuple[str, str], list[tuple[str, str]]]:
    """Pairs of tokens that stand side by side in a special case of spaCy (``:)``, ``a.m.``), by the characters that meet.

    spaCy looks for its special cases among the tokens of the whole text, gaps or not. One that it finds over a gap is not
    applied, but it keeps others that it overlaps from being applied: ``:p:x`` alone begins with ``:p``, in ``( :p:x`` it does not.
    """
    plain = _blank(lang)
    plain.rules = {}
    seams: dict[tuple[str, str], set[tuple[str, str]]] = defaultdict(set)
    for case in tokenizer.rules or {}:
        tokens = [token.text for token in plain(case)]
        for left, right in pairwise(tokens):
            seams[left[-1], right[0]].add((left, right))
    return {meeting: sorted(pairs) for meeting, pairs in seams.items()}


def _gap_between(seams: dict[tuple[str, str], list[tuple[str, str]]]) -> re.Pattern[str]:
    """White space where a seam may be, by the characters beside it; letters apart from the others, which keeps hits few."""
    gaps = []
    for letters in (True, False):
        meetings = [(last, first) for last, first in sorted(seams) if last.isalnum() == letters]
        if meetings:
            before, after = (re.escape("".join(dict.fromkeys(characters))) for characters in zip(*meetings, strict=True))
            gaps.append(rf"(?<=[{before}])\s+(?=[{after}])")
    return re.compile("|".join(gaps) or r"(?!)")


_NO_SPACE_BEFORE = frozenset(".,;:!?)]}%'’”…\n")
_NO_SPACE_AFTER = frozenset("([{$#“\n")
_MOST_TIMES = 1000  # a language model may write any number


def detokenise(tokens: Iterable[str]) -> str:
    """Readable text from tokens, for reports: marks applied, punctuation joined. Not an exact inverse: spacing is guessed."""
    text = ""
    glued = False  # to an elongation before it: "s xxrep 3 o n" is "sooon" or "sooo n", and nobody knows
    case = None
    items = iter([token for token in tokens if token not in (BOS, PAD, EOS)])
    for token in items:
        if token in (UP, MAJ):
            case = token
            continue
        word, times, between = token, 1, ""
        if token in (REP, WREP):
            count = next(items, "")
            word = next(items, "")
            if token == WREP and word in (UP, MAJ):
                case, word = word, next(items, "")
            times = min(int(count), _MOST_TIMES) if count.isdecimal() and len(count) < 10 else 1
            glued = token == REP and word.isalpha() and text[-1:].isalpha()
            between = " " if token == WREP else ""
        word = _with_case(between.join([word] * times), case)
        case = None
        joined = glued or not text or not word or word[0] in _NO_SPACE_BEFORE or word == "n't" or text[-1] in _NO_SPACE_AFTER
        text += word if joined else f" {word}"
        glued = False
    return text


def _with_case(word: str, case: str | None) -> str:
    if case == UP:
        return word.upper()
    return word[:1].upper() + word[1:] if case == MAJ else word
