"""What an explanation of a prediction says; no torch is needed to read one."""

from dataclasses import asdict, dataclass
from functools import cached_property

from ulmfit.directions import Direction
from ulmfit.prediction.familiar import Strangeness
from ulmfit.store.json import JsonObject

NAMED = 10  # words, in a short form


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a text, from ``start`` to ``end`` (characters), and its ``effect``: what the label's probability loses without it; below 0: what
    it gains. ``forward``, ``backward``: the effect on each direction's own probability; ``by_words``: on that by words, where they are a member."""

    start: int
    end: int
    text: str
    effect: float
    forward: float
    backward: float
    by_words: float | None = None

    @property
    def agree(self) -> bool:
        """Whether both directions feel the same."""
        return self.forward * self.backward > 0


@dataclass(frozen=True)
class Explanation:
    """``probability`` of ``label``, that of each direction, and that ``by_words`` where they are a member; ``sentences``: all of the text, in its order; ``words``: those that were tried,
    in its order: all, or those of the strongest sentences. ``strange``: how far the text is from what the model knows."""

    text: str
    label: str
    probability: float
    directions: dict[Direction, float]
    sentences: tuple[Part, ...]
    words: tuple[Part, ...]
    strange: Strangeness
    by_words: float | None = None

    @cached_property
    def named(self) -> tuple[Part, ...]:
        """The words that speak for the label, the strongest first."""
        return tuple(sorted((word for word in self.words if word.effect > 0), key=lambda word: -word.effect))

    @property
    def agree(self) -> bool:
        """Whether the directions agree about most of what is named first."""
        named = self.named[:NAMED]
        return sum(word.agree for word in named) * 2 > len(named)

    @property
    def facts(self) -> JsonObject:
        """The same as JSON holds it."""
        return {
            "label": self.label,
            "probability": self.probability,
            "directions": dict(self.directions),
            "by_words": self.by_words,
            "agree": self.agree,
            **asdict(self.strange),
            "sentences": [_facts(part) for part in self.sentences],
            "words": [_facts(part) for part in self.words],
        }

    @property
    def short(self) -> str:
        """The words that are named first, with their effects."""
        return "; ".join(f"{word.text} ({word.effect:+.3f})" for word in self.named[:NAMED])


def _facts(part: Part) -> JsonObject:
    return {
        "text": part.text,
        "start": part.start,
        "end": part.end,
        "effect": part.effect,
        "forward": part.forward,
        "backward": part.backward,
        "agree": part.agree,
        "by_words": part.by_words,
    }
