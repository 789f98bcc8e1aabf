"""Reasons for a prediction by occlusion: how far the label's probability falls when a sentence, or a word, is taken out of the text.

Each effect is the difference of two predictions of the model itself, so it is exact and the same every time. A word is
what stands between white space, or a sign of a script that is written without.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
from numpy.typing import NDArray

from ulmfit.directions import DIRECTIONS, Member
from ulmfit.errors import UserError
from ulmfit.prediction.explanation import Explanation, Part
from ulmfit.prediction.predictor import Predictor, Probabilities
from ulmfit.prediction.strangeness import strangeness
from ulmfit.text.detokenise import UNSPACED

WORD = re.compile(rf"{UNSPACED.pattern}|(?:(?!{UNSPACED.pattern})\S)+")
CLOSED = r"[\"'”’)\]]*+(?=\s)"
# A run of marks is tried once, from its start, and not from each mark on: the time grows as the text does.
SENTENCE = re.compile(rf"[.!?…]{{2,}}+{CLOSED}|\S.*?(?:(?<![.!?…])[.!?…]++{CLOSED}|[。！？]|(?=\n)|\Z)", re.DOTALL)
PASSAGES = 24  # of a text, at most: sentences are joined where there are more
READ = 60_000  # words that may be read again to find single words
FEWEST = 40  # single words that are tried at least


def explain(predictor: Predictor, text: str, label: str | None = None) -> Explanation:
    """Why ``predictor`` gives ``label`` its probability; the likeliest label where none is given. UserError for a label it does not have."""
    if label is not None and label not in predictor.labels:
        raise UserError(f"the model has no label {label!a}; choose one of its {len(predictor.labels)} labels")
    members = predictor.members([text])
    answer = predictor.join(members)
    code = int(answer[0].argmax()) if label is None else predictor.labels.index(label)
    whole = _Shares.of(answer, members, code)
    sentences = _effects(predictor, text, _passages(text), whole)
    words = _effects(predictor, text, _tried(text, sentences), whole)
    (strange,) = strangeness(predictor, [text])
    probability, *directions = (float(column[0]) for column in (whole.answer, *(whole.members[direction] for direction in DIRECTIONS)))
    by_words = float(whole.members["words"][0]) if "words" in whole.members else None
    label, each = predictor.labels[code], dict(zip(DIRECTIONS, directions, strict=True))
    return Explanation(text, label, probability, each, sentences, words, strange, by_words)


def _passages(text: str) -> list[tuple[int, int]]:
    """The sentences; neighbours are joined where there are many."""
    found = [match.span() for match in SENTENCE.finditer(text)]
    groups = np.array_split(np.arange(len(found)), min(len(found), PASSAGES)) if found else []
    return [(found[group[0]][0], found[group[-1]][1]) for group in groups]


def words_read(words: int) -> int:
    """How many words the explanation of a text of so many reads, at most."""
    return words * (min(PASSAGES, words) + min(words, _most_tried(words)))


def _most_tried(words: int) -> int:
    return max(FEWEST, READ // max(1, words))


def _tried(text: str, sentences: Sequence[Part]) -> list[tuple[int, int]]:
    """The words of the strongest sentences, as many as can be tried."""
    words = [match.span() for match in WORD.finditer(text)]
    left = _most_tried(len(words))
    chosen: list[tuple[int, int]] = []
    for sentence in sorted(sentences, key=lambda part: -abs(part.effect)):
        chosen += [span for span in words if sentence.start <= span[0] < sentence.end][: left - len(chosen)]
    return sorted(chosen)


@dataclass(frozen=True, eq=False)
class _Shares:
    """The probability of one label, ``code``, in N texts: by the ``answer`` float64 [N], and by each of the ``members``."""

    answer: NDArray[np.float64]
    members: Mapping[Member, NDArray[np.float64]]
    code: int

    @classmethod
    def of(cls, answer: Probabilities, members: Mapping[Member, Probabilities], code: int) -> Self:
        column = lambda shares: shares[:, code].astype(np.float64)
        return cls(column(answer), {member: column(shares) for member, shares in members.items()}, code)


def _effects(predictor: Predictor, text: str, spans: Sequence[tuple[int, int]], whole: _Shares) -> tuple[Part, ...]:
    """The effect of each span; variants of the text are predicted together, in batches sorted by length."""
    members = predictor.members([text[:start] + text[end:].lstrip() for start, end in spans])
    without = _Shares.of(predictor.join(members), members, whole.code)
    effects = (whole.answer - without.answer).tolist()
    falls = {member: (shares - without.members[member]).tolist() for member, shares in whole.members.items()}
    return tuple(
        Part(
            start,
            end,
            text[start:end],
            effects[row],
            falls["forward"][row],
            falls["backward"][row],
            falls["words"][row] if "words" in falls else None,
        )
        for row, (start, end) in enumerate(spans)
    )
