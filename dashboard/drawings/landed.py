"""What landed over time: documents, or labels, all together so far, a line for each source."""

from collections.abc import Callable, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import accumulate

from markupsafe import Markup

from dashboard.drawings.canvas import Canvas
from dashboard.plain import plain
from dashboard.queries.landed import Day
from ulmfit.report.looks import Look
from ulmfit.report.numbers import count

WIDTH, HEIGHT = 520, 210
MOST = 5  # sources with a line of their own; the others share one
OTHERS = "all others"


def named_sources(sources: Sequence[str]) -> list[str]:
    """The sources that are drawn, in the order of their looks; ``sources``: the largest first."""
    return list(sources) if len(sources) <= MOST + 1 else [*sources[:MOST], OTHERS]


def landed_over_time(days: Sequence[Day], sources: Sequence[str], what: str) -> Markup:
    """``what``: documents or labels. Empty where there are none, or all came on one day."""
    drawn = named_sources(sources)
    values: Callable[[Day], int] = lambda day: day.labels if what == "labels" else day.documents
    first, last = min((day.day for day in days), default=date.min), max((day.day for day in days), default=date.min)
    sums = [_so_far([(day.day, values(day)) for day in days if _drawn_as(day.source, drawn) == name], first, last) for name in drawn]
    most = max((points[-1][1] for points in sums), default=0)
    if first == last or not most:
        return Markup()
    canvas = Canvas(WIDTH, HEIGHT, [_noon(first), _noon(last)], [0.0, float(most)])
    lines = [_line(canvas, points, Look.of(number)) for number, points in enumerate(sums)]
    said = "; ".join(f"{name or 'no folder'}: {count(points[-1][1])}" for name, points in zip(drawn, sums, strict=True))
    return canvas.drawing(plain(f"{what.capitalize()} that landed until {last}, by source: {said}"), [*canvas.axes(count), *lines])


def _drawn_as(source: str, drawn: Sequence[str]) -> str:
    return source if source in drawn else OTHERS


def _so_far(days: Sequence[tuple[date, int]], first: date, last: date) -> list[tuple[date, int]]:
    """The sums until each day, from nothing on the day before the first to all on the last day."""
    sums = list(accumulate(number for _, number in days))
    return [(first, 0), *zip((day for day, _ in days), sums, strict=True), (last, sums[-1] if sums else 0)]


def _line(canvas: Canvas, points: Sequence[tuple[date, int]], look: Look) -> Markup:
    """Steps, for what landed on a day is there from that day on."""
    path, before = "", None
    for day, number in points:
        x, y = canvas.across(_noon(day)), canvas.up(float(number))
        path += f"M{x:.1f} {y:.1f}" if before is None else f"H{x:.1f}V{y:.1f}"
        before = number
    dashes = "none" if isinstance(look.line, str) else " ".join(f"{dash:g}" for dash in look.line[1])
    return Markup('<path class="series-line" stroke="var({})" stroke-dasharray="{}" d="{}"/>').format(look.colour, dashes, path)


def _noon(day: date) -> datetime:
    return datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(hours=12)
