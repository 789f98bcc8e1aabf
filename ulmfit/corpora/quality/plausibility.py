"""Warnings where what was read as text or as labels is probably something else: numbers, identifiers, missing values."""

import re
import unicodedata
from collections.abc import Iterable, Iterator

from ulmfit.corpora.quality.measuring import MISSING, Measurements

LEAST = 10  # texts; fewer say nothing of a column
SHORTEST = 3  # characters that texts have, on average
QUOTED = re.compile(r"""(["']).*\1""", re.DOTALL)
NUMBER = re.compile(r"[+-]?[0-9]{1,15}(?:\.[0-9]*)?")
MANY, MOST = 0.05, 0.5  # shares of the texts from which on one warns


def doubtful_texts(measured: Measurements, same: bool, column: str | None) -> Iterator[str]:
    """Warnings about texts. ``same``: they are all the same; ``column``: where they come from, if from one."""
    texts = measured.documents
    check = "check what was read" if column is None else f"is {column!r} the column of the text? Choose with --text-column"
    if measured.missing:
        yield f"{measured.missing:,} of {texts:,} texts are words for a missing value (nan, null, None): drop those rows"
    if texts < LEAST:
        return
    if same:
        yield f"all {texts:,} texts are the same: {check}"
    if measured.characters < SHORTEST * texts:
        yield f"the texts have {measured.characters / texts:.1f} characters on average: {check}"
    for share, found, what in (
        (MANY, measured.without_letters, "have no letter, as numbers have none"),
        (MOST, measured.identifiers, "are one word with digits, as identifiers are"),
    ):
        if found > share * texts:
            yield f"{found:,} of {texts:,} texts {what}: {check}"


def doubtful_labels(labels: Iterable[str]) -> Iterator[str]:
    """Warnings about labels that are words for a missing value, that look alike, or that have kept the quotes around them."""
    alike: dict[str, list[str]] = {}
    for label in labels:
        alike.setdefault(_bare(label), []).append(label)
        if MISSING.fullmatch(label):
            yield f"label {label!r} is a word for a missing value: drop its rows, if it is no class"
        elif QUOTED.fullmatch(label):
            yield f"label {label!r} has quotes around it: write double quotes, with no space before them, or none"
    for same in alike.values():
        if len(same) > 1:
            written = repr if len({unicodedata.normalize("NFC", label) for label in same if label.isprintable()}) == len(same) else ascii
            yield f"labels {', '.join(map(written, same))} look alike, but are {len(same)} labels: write them in one way, if they are one"


def _bare(label: str) -> str:
    """A label without what the eye hardly sees: case, white space, quotes, invisible signs, forms of Unicode, and how a number is written."""
    folded = unicodedata.normalize("NFKC", label).casefold()
    bare = "".join(sign for sign in folded if not sign.isspace() and sign not in "\"'" and unicodedata.category(sign) != "Cf")
    return str(float(bare)) if NUMBER.fullmatch(bare) else bare
