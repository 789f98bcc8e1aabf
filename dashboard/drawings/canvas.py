"""What drawings share: a scale, labels of axes, an interval, and the SVG around them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property

from markupsafe import Markup

LEFT, RIGHT, TOP, BOTTOM = 36, 8, 10, 20  # around what is drawn


@dataclass(frozen=True)
class Canvas:
    """A drawing of that size. ``across`` and ``up`` are positions of seconds since the epoch, and of shares."""

    width: int
    height: int
    times: Sequence[datetime]
    shares: Sequence[float]

    @cached_property
    def across(self) -> Callable[[datetime], float]:
        """The position of a time."""
        place = scale([time.timestamp() for time in self.times], LEFT + RIGHT, self.width - 2 * RIGHT)
        return lambda time: place(time.timestamp())

    @cached_property
    def up(self) -> Callable[[float], float]:
        """The position of a share."""
        return scale(self.shares, self.height - BOTTOM, TOP)

    def axes(self, unit: Callable[[float], str], named: Sequence[float] | None = None) -> Iterable[Markup]:
        """The ``named`` shares, else the lowest and the highest one; the first and the last day."""
        text, ends = Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>'), (min(self.times), max(self.times))
        for share in dict.fromkeys((max(self.shares), min(self.shares)) if named is None else named):
            yield text.format(0, round(self.up(share) + 4, 1), "start", unit(share))
        days = [f"{time.astimezone(UTC):%Y-%m-%d}" for time in ends]
        yield text.format(LEFT, self.height - 4, "start", days[0])
        if days[1] != days[0]:
            yield text.format(self.width - RIGHT, self.height - 4, "end", days[1])

    def interval(self, time: datetime, low: float, high: float) -> Markup:
        """From ``low`` to ``high`` at that time."""
        line = Markup('<line class="range" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>')
        return line.format(self.across(time), self.up(low), self.up(high))

    def drawing(self, says: str, marks: Iterable[Markup], links: bool = False) -> Markup:
        """The SVG. ``says``: what it shows, in words; ``links``: its marks can be followed, so it is no single picture."""
        kind = "group" if links else "img"
        head = Markup('<svg class="drawn" viewBox="0 0 {} {}" role="{}" aria-label="{}">').format(self.width, self.height, kind, says)
        return head + Markup().join(marks) + Markup("</svg>")


def scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    """A function from the range of ``values`` to that from ``start`` to ``end``; a single value is in the middle."""
    low, high = min(values), max(values)
    return lambda value: (start + end) / 2 if high == low else start + (end - start) * (value - low) / (high - low)
