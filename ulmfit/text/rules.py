"""The special tokens and the two rule sets, as lists of pure functions.

A rule set works in four steps. Its *document* rules change the whole text, each ``str -> str``. Its ``cut`` takes the
text apart into chunks, which are mostly what stands between white space. Its ``chunk`` turns one chunk into tokens with
the help of ``split``, the tokenizer of the language, and looks at nothing outside the chunk, so that its results can be
remembered. Its ``finish`` sees all tokens once more.

``default`` marks what Howard & Ruder (2018, sec. 3.2) name: upper case, elongation and repetition. It works on the
tokens that ``split`` gives, so that a mark is found inside quotes and brackets, and a special token can come from a rule alone:

====================  ==========================  ===========================================================================
in the text           tokens                      notes
====================  ==========================  ===========================================================================
``Hello "Élan A``     ``xxmaj hello " xxmaj élan  the English pronoun ``I`` stays bare: it has no other form; so does the
                      xxmaj a``                   ``'M`` of ``I'M``, which follows its word; ``iPhone`` has no mark to say it
``NASA U.S.``         ``xxup nasa xxup u.s.``     two letters or more, all of them upper-case
``sooo NOOO !!!!``    ``s xxrep 3 o xxup n        three or more, compared without case; digits, addresses, ``www`` and Roman
                      xxrep 3 o xxrep 4 !``       numerals (``III``) are left alone
``Ha ha HA``          ``xxwrep 3 xxmaj ha``       three words or more with nothing between them, compared without case; the
                                                  first one's mark stands for all. ``ha-ha-ha`` stays, its hyphens are tokens
``-----  .....``      ``--- ...``                 a ruler of three or more ``-=_*.~#`` is one token, cut to three characters
empty line            ``\\n``                      a paragraph's end; a single line break is white space like any other
``xxmaj`` itself      ``xx maj``                  a document cannot speak the special tokens
``<unk>``             ``xxunk``                   as WikiText writes it; its ``@-@`` becomes ``-``
====================  ==========================  ===========================================================================

``fastai`` gives the tokens that fastai 2.8 gives, its oddities included, for models and vocabularies made with it. Both cut a
run of more than 512 characters without white space, which fastai does not.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from dataclasses import dataclass
from html.entities import html5
from operator import and_, eq

SPECIALS = ("xxunk", "xxpad", "xxbos", "xxeos", "xxfld", "xxrep", "xxwrep", "xxup", "xxmaj")
UNK, PAD, BOS, EOS, FLD, REP, WREP, UP, MAJ = SPECIALS
PARAGRAPH = "\n"

Split = Callable[[str], list[str]]


@dataclass(frozen=True)
class RuleSet:
    """A named set of rules; ``version`` is raised when its tokens change.

    ``cut`` is None where the language's tokenizer is meant to see the whole text: the tokenizer then cuts the text itself,
    at places where that makes no difference.
    """

    name: str
    version: int
    document: tuple[Callable[[str], str], ...]
    cut: Callable[[str], list[str]] | None
    chunk: Callable[[str, Split], list[str]]
    finish: Callable[[list[str]], list[str]]


LONG_RUN = re.compile(r"\S{512}(?=\S)")


def cut_long_runs(text: str) -> str:
    """A space after every 512 characters without one: spaCy's time grows with the square of a chunk's length."""
    return LONG_RUN.sub(r"\g<0> ", text)


# ---------------------------------------------------------------------------------------------- default: the document

ENTITY = re.compile(r"&(?:#[0-9]{1,7}|#[xX][0-9a-fA-F]{1,6}|[A-Za-z][A-Za-z0-9]{1,31});")
# AG News and the like lost each "&", mostly to a space: "it #39;s", "AT amp;T". A lamp; is a lamp.
BARE_ENTITY = re.compile(r"(?:(?<=\w) (?=(?:#39|#146|#8217|amp);\w))?(?<![&\w;])(#[0-9]{2,5}|#x[0-9a-fA-F]{2,5}|amp|quot|lt|gt|nbsp|apos);")
LINE_BREAK = re.compile(r"<br\s*/?>", re.IGNORECASE)
WIKITEXT = re.compile(r"(?<=\S) @([-,.])@ (?=\S)")
BLANK_LINE = re.compile(r"\n\s*\n")


def decode_entities(text: str) -> str:
    """``&amp;`` -> ``&``, also where it was escaped two or three times, and where its ``&`` was lost."""
    if ";" not in text:
        return text
    text = BARE_ENTITY.sub(r"&\1;", text)
    for _ in range(3):
        if "&" not in text:
            break
        text = ENTITY.sub(_character, text)
    return text


def _character(entity: re.Match[str]) -> str:
    # html.unescape would also read names by their beginnings: "&notable;" as "¬able;".
    return html.unescape(entity[0]) if entity[0][1] == "#" else html5.get(entity[0][1:], entity[0])


def break_lines(text: str) -> str:
    """``<br />`` and the line ends of other systems become newlines."""
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    return LINE_BREAK.sub("\n", text) if "<" in text else text


def join_wikitext(text: str) -> str:
    """``state @-@ owned``, ``1 @,@ 000`` -> ``state-owned``, ``1,000``."""
    return WIKITEXT.sub(r"\1", text) if "@" in text else text


def cut_at_white_space(text: str) -> list[str]:
    """What stands between white space, and ``PARAGRAPH`` where one ends and another begins."""
    paragraphs = [chunks for chunks in map(str.split, BLANK_LINE.split(text)) if chunks]
    chunks = paragraphs[0] if paragraphs else []
    for paragraph in paragraphs[1:]:
        chunks += [PARAGRAPH, *paragraph]
    return chunks


# ------------------------------------------------------------------------------------------------- default: the chunk

MARKS = re.compile(r"(?P<ruler>[-=_*.~#])(?P=ruler){2,}|(?P<mark>[^\w\s])(?P=mark){2,}")
LETTERS = re.compile(r"([^\W\d_])\1{2,}")
ADDRESS = re.compile(r"://|www\.|\w@\w", re.IGNORECASE)
ROMAN = re.compile(r"M{0,3}(CM|CD|D?C{0,3})(XC|XL|L?X{0,3})(IX|IV|V?I{0,3})")


def default_chunk(chunk: str, split: Split) -> list[str]:
    """The tokens of what stands between white space."""
    if chunk == PARAGRAPH:
        return [PARAGRAPH]
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
        tokens += _words(part[end : run.start()], split)
        tokens += [run["ruler"] * 3] if run["ruler"] else [REP, str(len(run[0])), run["mark"].lower()]
        end = run.end()
    return tokens + _words(part[end:], split)


def _words(part: str, split: Split) -> list[str]:
    return [token for word in _split(part, split) for token in (*case_mark(word), *elongation(word))] if part else []


def _split(part: str, split: Split) -> list[str]:
    """``split``, but ``DON'T`` comes apart as ``don't`` does: spaCy knows contractions in lower case."""
    lower = part.lower()
    if not part.isupper() or not ("'" in part or "’" in part) or len(lower) != len(part):
        return split(part)
    words = []
    start = 0
    for word in split(lower):
        words.append(part[start : start + len(word)])
        start += len(word)
    return words


def case_mark(word: str) -> tuple[str, ...]:
    """``xxup``, ``xxmaj`` or nothing: what the lower-case form of ``word`` does not say."""
    capitals = sum(map(str.isupper, word))
    if word == "I" or (capitals == 1 and word[0] in "'’"):
        return ()
    if capitals >= 2 and word.isupper():
        return (UP,)
    first = next((character for character in word if character.lower() != character.upper()), "")
    return (MAJ,) if first.isupper() or first.istitle() else ()


def elongation(word: str) -> list[str]:
    """``word`` in lower case, with ``xxrep n c`` for a letter that stands three times or more."""
    low = word.lower()
    runs = [] if low == "www" or ROMAN.fullmatch(word) else LETTERS.finditer(low)
    tokens: list[str] = []
    end = 0
    for run in runs:
        tokens += break_special(low[end : run.start()])
        tokens += [REP, str(len(run[0])), run[1]]
        end = run.end()
    return tokens + break_special(low[end:])


def break_special(low: str) -> list[str]:
    """``xxmaj`` -> ``xx``, ``maj``, so that no special token comes from a text; nothing for nothing."""
    if low in SPECIALS:
        return [low[:2], low[2:]]
    return [low] if low else []


# --------------------------------------------------------------------------------------------- default: the whole run


def fold_repetition(tokens: list[str]) -> list[str]:
    """``xxwrep n word`` for three or more equal words in a row; the first one's case mark goes before ``word``."""
    words = [token for token in tokens if token != UP and token != MAJ]
    equal = list(map(eq, words, words[1:]))
    if not any(map(and_, equal, equal[1:])):
        return tokens
    folded: list[str] = []
    position = 0
    while position < len(tokens):
        first = end = _unit_end(tokens, position)
        word, times = tokens[first - 1], 1
        while _is_word(tokens, position, first) and _same_word(tokens, end, word):
            times, end = times + 1, _unit_end(tokens, end)
        if times >= 3:
            folded += [WREP, str(times), *tokens[position:first]]
            position = end
        else:
            folded += tokens[position:first]
            position = first
    return folded


def _unit_end(tokens: list[str], start: int) -> int:
    """Where the unit at ``start`` ends: a word with its case mark, or ``xxrep n c``."""
    if tokens[start] == REP:
        return start + 3
    return start + 2 if tokens[start] in (UP, MAJ) and tokens[start + 1] != REP else start + 1


def _is_word(tokens: list[str], start: int, end: int) -> bool:
    return tokens[start] != REP and tokens[end - 1].isalpha() and tokens[end - 1] not in SPECIALS


def _same_word(tokens: list[str], start: int, word: str) -> bool:
    return start < len(tokens) and tokens[start] != REP and tokens[_unit_end(tokens, start) - 1] == word


# ------------------------------------------------------------------------------------------------------------- fastai

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


def fastai_lowercase(text: str) -> str:
    return text.lower().strip()


def fastai_chunk(chunk: str, split: Split) -> list[str]:
    """The language's tokens; a space inside one becomes ``▁``."""
    return [token.replace(" ", "▁") for token in split(chunk)]


RULES = {
    "default": RuleSet(
        "default", 1, (decode_entities, break_lines, join_wikitext, cut_long_runs), cut_at_white_space, default_chunk, fold_repetition
    ),
    "fastai": RuleSet(
        "fastai",
        1,
        (fastai_fix_html, fastai_replace_rep, fastai_replace_wrep, fastai_spaces, fastai_case, fastai_lowercase, cut_long_runs),
        None,
        fastai_chunk,
        list,
    ),
}
