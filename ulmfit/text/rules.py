"""The special tokens and the two rule sets, as lists of pure functions.

A rule set works in four steps. Its *document* rules change the whole text, each ``str -> str``. Its ``cut`` divides the
text into chunks, mostly at white space. Its ``chunk`` turns one chunk into tokens with ``split``, the tokenizer of the
language; it looks at nothing outside the chunk, so that its results can be remembered. Its ``finish`` gets all tokens of a text.

``default`` marks what Howard & Ruder (2018, sec. 3.2) name: upper case, elongation and repetition. It works on the
tokens that ``split`` gives, so that a mark is found inside quotes and brackets, and a special token can come from a rule alone:

====================  ==========================  ===========================================================================
in the text           tokens                      notes
====================  ==========================  ===========================================================================
``Hello "Élan A``     ``xxmaj hello " xxmaj élan  the English pronoun ``I`` stays bare: it has no other form; so does the
                      xxmaj a``                   ``'M`` of ``I'M``, which follows its word; ``iPhone`` has no mark to say it
``NASA U.S.``         ``xxup nasa xxup u.s.``     two letters or more, all of them upper-case
``sooo NOOO !!!!``    ``s xxrep 3 o xxup n        three or more, compared without case. Left alone: numbers, words with a digit
                      xxrep 3 o xxrep 4 !``       in them (``0xFFFF``), Roman numerals (``xiii``), three capitals (``KKK``),
                                                  addresses and ``www``, three of ``flmnprst`` within a long word
                                                  (``Schifffahrt``)
``Ha ha HA``          ``xxwrep 3 xxmaj ha``       three words or more with nothing between them, compared without case; the
                                                  first one's mark stands for all. ``ha-ha-ha`` stays, its hyphens are tokens
``-----  .....``      ``--- ...``                 a ruler of three or more (``-=_*.~#``, dashes, lines) is one token, cut to three
                                                  characters; but up to five stars stay, for they are ratings: ``*****``
``said\\on``          ``said \\ on``              a backslash is a token, however it stands: AG News has it for a line's end
empty line            ``\\n``                      a paragraph's end; a single line break is white space like any other
``xxmaj`` itself      ``xx maj``                  a document cannot speak the special tokens
``<unk>``             ``xxunk``                   as WikiText writes it; its ``@-@`` becomes ``-``
``&amp; it #39;s``    ``& it 's``                 entities, and what is left of them, as ``characters.py`` says
====================  ==========================  ===========================================================================

``fastai`` gives the tokens that fastai 2.8 gives, its oddities included, for models and vocabularies made with it. Both cut
long runs without white space (``cutting.py``), which fastai does not.
"""

import html
import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from itertools import accumulate, compress, pairwise
from operator import and_, eq

from ulmfit.text.characters import decode_entities, mend_characters
from ulmfit.text.cutting import LONGEST_RUN, cut_long_chunk, cut_long_runs

SPECIALS = ("xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj")
UNK, PAD, BOS, EOS, FLD, REP, WREP, UP, MAJ = SPECIALS
PARAGRAPH = "\n"

Split = Callable[[str], list[str]]


@dataclass(frozen=True)
class RuleSet:
    """A named set of rules; ``version`` is raised when its tokens change.

    ``cut`` is None where the language's tokenizer needs the whole text; the text is then cut where that makes no difference.
    Where ``plain(chunk)``, ``chunk(chunk, split)`` is ``word`` of each token of ``split(chunk)``, and nothing more. ``finish`` changes
    nothing unless a token occurs three times in a row, marks of case aside.
    """

    name: str
    version: int
    document: tuple[Callable[[str], str], ...]
    cut: Callable[[str], list[str]] | None
    chunk: Callable[[str, Split], list[str]]
    plain: Callable[[str], bool]
    word: Callable[[str], list[str]]
    finish: Callable[[list[str]], list[str]] | None


# ---------------------------------------------------------------------------------------------- default: the document

LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
# These look back from within, as an expression that begins with plain characters is found ten times as fast.
WIKITEXT = re.compile(r" @(?<=[^\s@] @)([-,.])@ (?=[^\s@])")
LONE_WIKITEXT = re.compile(r"@(?<!\S@)([-,.])@(?!\S)")
BLANK_LINE = re.compile(r"\n\s*\n")


def break_lines(text: str) -> str:
    """``<br />`` and the line ends of other systems become newlines."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return LINE_BREAK.sub("\n", text) if "<" in text else text


def join_wikitext(text: str) -> str:
    """``state @-@ owned``, ``1 @,@ 000`` -> ``state-owned``, ``1,000``; a mark beside nothing or another mark stays apart: ``-``."""
    return LONE_WIKITEXT.sub(r"\1", WIKITEXT.sub(r"\1", text)) if "@" in text else text


def cut_at_white_space(text: str) -> list[str]:
    """The chunks between white space, with ``PARAGRAPH`` between paragraphs."""
    paragraphs = [chunks for chunks in map(str.split, BLANK_LINE.split(text)) if chunks]
    chunks = paragraphs[0] if paragraphs else []
    for paragraph in paragraphs[1:]:
        chunks += [PARAGRAPH, *paragraph]
    return chunks


# ------------------------------------------------------------------------------------------------- default: the chunk

RULERS = r"\-=_*.~#\u2010-\u2015\u2212\u2500\u2501\u2550…·•＿＝－～〜"
MARKS = re.compile(rf"(?P<ruler>[{RULERS}])(?P=ruler){{2,}}|(?P<mark>[^\w\s])(?P=mark){{2,}}|(?P<slash>\\+)")
MOST_STARS = 5
LETTERS = re.compile(r"([^\W\d_])\1{2,}")
THRICE = re.compile(r"(.)\1\1", re.DOTALL)  # found in a quarter of the time
ADDRESS = re.compile(r"://|(?<!\w)www\.|\w@\w", re.IGNORECASE)
NOT_PLAIN = re.compile(r"<unk>|[\\@]|://|[Ww]{3}\.|([^\w\s]|[_＿])\1\1")
ROMAN = re.compile(r"M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")
SMALL_ROMAN = re.compile(r"c?(xl|l?x{0,3})(ix|iv|v?i{0,3})", re.IGNORECASE)
SPELT_THRICE = "flmnprst"  # where German words meet: Schifffahrt, Betttuch, Flussschiff
DOTTED = re.compile(r"\w\.\w")
ALPHABETIC = re.compile("[0-9A-Za-zÀ-ÖØ-öø-ɏͰ-ӿ]")


def default_chunk(chunk: str, split: Split) -> list[str]:
    """The tokens of a chunk."""
    if chunk == PARAGRAPH:
        return [PARAGRAPH]
    if len(chunk) > LONGEST_RUN:
        return [token for piece in cut_long_chunk(chunk) for token in default_chunk(piece, split)]
    tokens: list[str] = []
    for number, part in enumerate(chunk.split("<unk>")):
        if number:
            tokens.append(UNK)
        tokens += _address(part, split) if ADDRESS.search(part) else _marks_and_words(part, split)
    return tokens


def _address(part: str, split: Split) -> list[str]:
    return [token for word in _split(part, split) for token in (*case_mark(word), *break_special(word.lower()))]


def _marks_and_words(part: str, split: Split) -> list[str]:
    tokens: list[str] = []
    end = 0
    for run in MARKS.finditer(part):
        tokens += [*_words(part[end : run.start()], split), *_marks(run)]
        end = run.end()
    return tokens + _words(part[end:], split)


def _marks(run: re.Match[str]) -> list[str]:
    if run["mark"]:
        return [REP, str(len(run[0])), run["mark"].lower()]
    return [run[0]] if run["slash"] or (run["ruler"] == "*" and len(run[0]) <= MOST_STARS) else [run["ruler"] * 3]


def _words(part: str, split: Split) -> list[str]:
    return [token for word in _split(part, split) for token in default_word(word)] if part else []


def _split(part: str, split: Split) -> list[str]:
    """``split``, but ``DON'T`` is split as ``don't`` is, which spaCy knows."""
    lower = part.lower()
    if ("'" in part or "’" in part) and part.isupper() and len(lower) == len(part) and not DOTTED.search(part):
        ends = list(accumulate(map(len, split(lower)), initial=0))
        words = [part[start:end] for start, end in pairwise(ends)]
    else:
        words = split(part)
    return _unspelt(part, words, split)


def _unspelt(text: str, words: list[str], split: Split) -> list[str]:
    """``words`` of ``text``, with alphabetic words whole: for Chinese, spaCy splits ``NASA`` and ``xxrep`` into characters too."""
    pairs = (before + after for before, after in pairwise(words) if len(before) == len(after) == 1)
    if not any(map(str.isalnum, pairs)) or split("ab") != ["a", "b"]:
        return words
    whole = [""]
    end = 0
    for word in words:
        start = text.index(word, end)
        if start == end and ALPHABETIC.match(word) and ALPHABETIC.match(whole[-1]):
            whole[-1] += word
        else:
            whole.append(word)
        end = start + len(word)
    return whole[1:]


def default_plain(chunk: str) -> bool:
    """Whether a chunk is split as a whole, without runs of marks, addresses or contractions in capitals."""
    if len(chunk) > LONGEST_RUN:
        return False
    return chunk.isalnum() or not (chunk == PARAGRAPH or NOT_PLAIN.search(chunk) or (("'" in chunk or "’" in chunk) and chunk.isupper()))


def default_word(word: str) -> list[str]:
    """One of the language's tokens with its marks."""
    return [*case_mark(word), *elongation(word)]


def case_mark(word: str) -> tuple[str, ...]:
    """``xxup``, ``xxmaj`` or nothing: what is lost in the lower-case form of ``word``."""
    if word.isascii():
        if word.islower():  # most words
            return ()
        if word[:1].isupper() and word[1:].islower():  # most others
            return (MAJ,)
    capitals = sum(map(str.isupper, word))
    if word == "I" or (capitals == 1 and len(word) == 2 and word[0] in "'’"):
        return ()
    if capitals >= 2 and word.isupper():
        return (UP,)
    first = next((character for character in word if character.lower() != character.upper()), "")
    return (MAJ,) if first.isupper() or first.istitle() else ()


def elongation(word: str) -> list[str]:
    """``word`` in lower case, with ``xxrep n c`` for a letter that is repeated three times or more."""
    low = word.lower()
    letters = low.replace("ς", "σ")  # one letter, by its place
    if not THRICE.search(letters):
        return break_special(low)
    tokens: list[str] = []
    end = 0
    for run in LETTERS.finditer(letters):
        if not _is_spelling(word, run):
            tokens += [*break_special(low[end : run.start()]), REP, str(len(run[0])), run[1]]
            end = run.end()
    return [*tokens, *break_special(low[end:])] if end else break_special(low)


def _is_spelling(word: str, run: re.Match[str]) -> bool:
    """Whether that is the word's usual spelling: www, KKK, VIII, xiii, 0xFFFF, 一〇〇〇, Schifffahrt."""
    before, length, after = run.start(), len(run[0]), len(run.string) - run.end()
    if length == 3 and before >= 2 and after >= 3 and run[1] in SPELT_THRICE:
        return True
    if length == 3 and before == after == 0 and (word.isupper() or run[0] == "www"):
        return True
    if not run[1].isalpha() or run[1].isnumeric() or any(map(str.isdecimal, word)):
        return True
    return bool(ROMAN.fullmatch(word) or SMALL_ROMAN.fullmatch(word))


def break_special(low: str) -> list[str]:
    """``xxmaj`` -> ``xx``, ``maj``, so that a text cannot write special tokens; no token for an empty string."""
    if low.startswith("xx") and low in SPECIALS:
        return ["xx", low[2:]]
    return [low] if low else []


# --------------------------------------------------------------------------------------------- default: the whole run


def fold_repetition(tokens: list[str]) -> list[str]:
    """``xxwrep n word`` for three or more equal words in a row; the first one's case mark goes before ``word``."""
    places = [place for place, token in enumerate(tokens) if token != UP and token != MAJ]
    words = [tokens[place] for place in places]
    equal = list(map(eq, words, words[1:]))
    folded: list[str] = []
    end = 0
    for number in compress(range(len(words)), map(and_, equal, equal[1:])):
        place = places[number]
        first = place - 1 if place and tokens[place - 1] in (UP, MAJ) else place
        elongated = REP in tokens[max(0, place - 2) : place]  # 3 and o of ``xxrep 3 o`` are no words
        if first < end or elongated or not _can_repeat(words[number]):
            continue
        times = 3
        while words[number + times : number + times + 1] == words[number : number + 1]:
            times += 1
        folded += [*tokens[end:first], WREP, str(times), *tokens[first : place + 1]]
        end = places[number + times - 1] + 1
    return folded + tokens[end:]


def _can_repeat(word: str) -> bool:
    """Whether a word consists of letters, including the combining marks of some alphabets."""
    if word in SPECIALS or word.isnumeric() or not word[0].isalpha():
        return False
    return word.isalpha() or all(letter.isalpha() or unicodedata.category(letter)[0] == "M" for letter in word)


# ------------------------------------------------------------------------------------------------------------- fastai

WHITE_SPACE = re.compile(r"\s")
FASTAI_HTML = (
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
FASTAI_REP = re.compile(r"(\S)(\1{2,})")
FASTAI_WREP = re.compile(r"(?:\s|^)(\w+)\s+((?:\1\s+)+)\1(\s|\W|$)")
FASTAI_SPEC = re.compile(r"([/#\\])")
FASTAI_SPACE = re.compile(r" {2,}")
FASTAI_CAPS = re.compile(r"(\s|^)([A-Z]+[^a-z\s]*)(?=(\s|$))")
FASTAI_MAJ = re.compile(r"(\s|^)([A-Z][^A-Z\s]*)(?=(\s|$))")


def fastai_fix_html(text: str) -> str:
    """Replacements one after the other, wherever they match, then the entities."""
    for wrong, right in FASTAI_HTML:
        text = text.replace(wrong, right)
    return html.unescape(text)


def fastai_replace_rep(text: str) -> str:
    """Any character three times or more."""
    return FASTAI_REP.sub(lambda run: f" {REP} {len(run[2]) + 1} {run[1]} ", text)


def fastai_replace_wrep(text: str) -> str:
    """Any word three times or more, compared with case."""
    chunks = text.split()
    if not any(map(eq, chunks, chunks[1:])):  # the expression is slow, and it needs two equal chunks side by side
        return text
    return FASTAI_WREP.sub(lambda run: f" {WREP} {len(run[2].split()) + 2} {run[1]} {run[3]}", text)


def fastai_spaces(text: str) -> str:
    """Spaces around ``/ # \\``; runs of spaces become one."""
    return FASTAI_SPACE.sub(" ", FASTAI_SPEC.sub(r" \1 ", text))


def fastai_case(text: str) -> str:
    """``xxup`` before chunks of ASCII capitals, ``xxmaj`` before those that begin with one; one character alone has no mark."""
    text = FASTAI_CAPS.sub(lambda word: f"{word[1]}{f'{UP} ' if len(word[2]) > 1 else ''}{word[2].lower()}", text)
    return FASTAI_MAJ.sub(lambda word: f"{word[1]}{f'{MAJ} ' if len(word[2]) > 1 else ''}{word[2].lower()}", text)


def fastai_chunk(chunk: str, split: Split) -> list[str]:
    """The language's tokens; a space inside one becomes ``▁``."""
    return [token.replace(" ", "▁") for token in _unspelt(chunk, split(chunk), split)]


def fastai_plain(chunk: str) -> bool:
    """Whether there is no white space in it."""
    return bool(chunk) and not WHITE_SPACE.search(chunk)


DEFAULT_DOCUMENT = (decode_entities, mend_characters, break_lines, join_wikitext)
DEFAULT = RuleSet("default", 2, DEFAULT_DOCUMENT, cut_at_white_space, default_chunk, default_plain, default_word, fold_repetition)
FASTAI_DOCUMENT = (
    fastai_fix_html,
    fastai_replace_rep,
    fastai_replace_wrep,
    fastai_spaces,
    fastai_case,
    str.lower,
    str.strip,
    cut_long_runs,
)
FASTAI = RuleSet("fastai", 1, FASTAI_DOCUMENT, None, fastai_chunk, fastai_plain, lambda word: [word], None)
RULES = {rules.name: rules for rules in (DEFAULT, FASTAI)}
