"""Drawings as SVG from the server: attributes and classes alone, since the site allows no style in markup."""

from collections.abc import Callable, Sequence
from datetime import UTC, datetime

from markupsafe import Markup

from dashboard.queries.champions import Reign
from ulmfit.report.numbers import percent

WIDTH, HEIGHT = 320, 92
LEFT, RIGHT, TOP, BOTTOM = 36, 8, 10, 20


def over_time(reigns: Sequence[Reign]) -> Markup:
    """Accuracy of each champion from when it became one, with its interval; empty where fewer than two are known."""
    known = [(each, each.accuracy.value, each.accuracy) for each in reigns if each.accuracy and each.accuracy.value is not None]
    if len(known) < 2:
        return Markup()
    lows = [found.low if found.low is not None else value for _, value, found in known]
    highs = [found.high if found.high is not None else value for _, value, found in known]
    across, up = (
        _scale([each.since.timestamp() for each, _, _ in known], LEFT, WIDTH - RIGHT),
        _scale([*lows, *highs], HEIGHT - BOTTOM, TOP),
    )
    at = [
        (across(each.since.timestamp()), up(value), up(low), up(high))
        for (each, value, _), low, high in zip(known, lows, highs, strict=True)
    ]
    marks = [_range(x, low, high) for x, _, low, high in at] + [Markup('<polyline class="line" points="{}"/>').format(_points(at))]
    marks += [Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3.5"/>').format(x, y) for x, y, _, _ in at]
    says = "; ".join(f"version {each.version} from {each.since:%Y-%m-%d}: {percent(value)}" for each, value, _ in known)
    return _drawing(
        f"Accuracy of the champions: {says}", [*_edges(min(lows), max(highs)), *_ends(known[0][0].since, known[-1][0].since), *marks]
    )


def _scale(values: Sequence[float], start: float, end: float) -> Callable[[float], float]:
    low, high = min(values), max(values)
    return lambda value: (start + end) / 2 if high == low else start + (end - start) * (value - low) / (high - low)


def _range(x: float, low: float, high: float) -> Markup:
    return Markup('<line class="range" x1="{0:.1f}" x2="{0:.1f}" y1="{1:.1f}" y2="{2:.1f}"/>').format(x, low, high)


def _points(at: Sequence[tuple[float, float, float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y, _, _ in at)


def _edges(low: float, high: float) -> list[Markup]:
    text = Markup('<text x="0" y="{}">{}</text>')
    return [text.format(TOP + 4, percent(high, 0)), text.format(HEIGHT - BOTTOM + 4, percent(low, 0))]


def _ends(first: datetime, last: datetime) -> list[Markup]:
    text = Markup('<text x="{}" y="{}" text-anchor="{}">{}</text>')
    days = [f"{time.astimezone(UTC):%Y-%m-%d}" for time in (first, last)]
    return [text.format(LEFT, HEIGHT - 4, "start", days[0]), text.format(WIDTH - RIGHT, HEIGHT - 4, "end", days[1])]


def _drawing(says: str, marks: Sequence[Markup]) -> Markup:
    head = Markup('<svg class="drawn" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, says)
    return head + Markup().join(marks) + Markup("</svg>")
