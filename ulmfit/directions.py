"""The directions in which text is read, the members of an ensemble, and the names of ensembles (Howard & Ruder 2018, sec. 3.3)."""

from collections.abc import Iterable
from typing import Literal, get_args

Direction = Literal["forward", "backward"]
Member = Literal["forward", "backward", "words"]
DIRECTIONS: tuple[Direction, ...] = get_args(Direction)
MEMBERS: tuple[Member, ...] = get_args(Member)
ENSEMBLE = "forward+backward"
WITH_WORDS = "forward+backward+words"


def answer_among(systems: Iterable[str]) -> str:
    """Which of the systems that were measured is the model's answer: the ensemble of the most members, or else the first system."""
    names = list(systems)
    return next((name for name in (WITH_WORDS, ENSEMBLE) if name in names), names[0])
