"""A figure of a study: a line with a band for each series, in the looks that its report gives them."""

import math
from collections.abc import Callable, Sequence

from markupsafe import Markup

from dashboard.drawings.canvas import scale
from dashboard.plain import plain
from dashboard.read_model.studies import StudyChart, StudySeries
from ulmfit.report.looks import Look, shape
from ulmfit.report.numbers import count, percent

WIDTH, HEIGHT = 520, 260
LEFT, RIGHT, TOP, BOTTOM = 44, 14, 12, 38
APART = 46  # pixels between the names of sizes, at least
STEPS = (0.01, 0.02, 0.05, 0.1, 0.2)  # between two marks of the axis upwards


def curves(chart: StudyChart) -> Markup:
    """The figure, with all its values as its description; empty where there is nothing to draw."""
    sizes = sorted({x for each in chart.series for x in each.x})
    bounds = [bound for each in chart.series for pair in each.bounds if pair for bound in pair]
    shares = [share for each in chart.series for share in each.y] + bounds
    if not sizes or not shares:
        return Markup()
    along = _logarithmic(sizes) if chart.logarithmic else float
    ends = [along(sizes[0]), along(sizes[-1])]
    place = scale(ends, LEFT, WIDTH - RIGHT)
    across = lambda size: place(along(size))
    ticks = _ticks(max(0.0, min(shares)), min(1.0, max(shares)))
    up = scale([ticks[0], ticks[-1]], HEIGHT - BOTTOM, TOP)
    says = plain(f"{chart.title}. {'; '.join(map(_said, chart.series))}.")
    head = Markup('<svg class="drawn" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, says)
    parts = [*_grid(ticks, up), *_sizes(sizes, across, chart.xlabel), *(_band(each, across, up) for each in chart.series)]
    return head + Markup().join([*parts, *(_line(each, across, up) for each in chart.series)]) + Markup("</svg>")


def look_sample(number: int) -> Markup:
    """A piece of the line of a series, for legends."""
    return Markup(Look.of(number).sample())


def _said(series: StudySeries) -> str:
    return f"{series.title}: " + ", ".join(f"{percent(y)} at {count(x)}" for x, y in zip(series.x, series.y, strict=True))


def _logarithmic(sizes: Sequence[float]) -> Callable[[float], float]:
    """Logarithms; nothing at all is as far before the smallest size as that is before its double."""
    least = min((size for size in sizes if size > 0), default=1.0)
    return lambda size: math.log2(size) if size > 0 else math.log2(least) - 1


def _ticks(low: float, high: float) -> list[float]:
    """From three to six round shares around the range."""
    step = next((step for step in STEPS if (high - low) / step <= 4), STEPS[-1])
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, max(last, first + 1) + 1)]


def _grid(ticks: Sequence[float], up: Callable[[float], float]) -> list[Markup]:
    line = Markup('<line class="axis" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/><text x="0" y="{:.1f}">{}</text>')
    return [line.format(LEFT, WIDTH - RIGHT, up(share), up(share), up(share) + 4, percent(share, 0)) for share in ticks]


def _sizes(sizes: Sequence[float], across: Callable[[float], float], label: str) -> list[Markup]:
    """The names of the sizes that do not touch, the last always, and what they are."""
    text = Markup('<text x="{:.1f}" y="{}" text-anchor="middle">{}</text>')
    kept: list[float] = []
    for size in reversed(sizes):
        if not kept or across(kept[-1]) - across(size) >= APART:
            kept.append(size)
    named = [text.format(across(size), HEIGHT - BOTTOM + 16, count(size)) for size in kept]
    return [*named, text.format((LEFT + WIDTH - RIGHT) / 2, HEIGHT - 4, plain(label))]


def _band(series: StudySeries, across: Callable[[float], float], up: Callable[[float], float]) -> Markup:
    known = [(across(x), *bound) for x, bound in zip(series.x, series.bounds, strict=True) if bound]
    if len(known) < 2:
        return Markup()
    within = lambda share: up(min(1.0, max(0.0, share)))
    edge = [(x, within(high)) for x, _, high in known] + [(x, within(low)) for x, low, _ in reversed(known)]
    return Markup('<polygon class="band" fill="var({})" points="{}"/>').format(Look.of(series.look).colour, _points(edge))


def _line(series: StudySeries, across: Callable[[float], float], up: Callable[[float], float]) -> Markup:
    look = Look.of(series.look)
    places = [(across(x), up(y)) for x, y in zip(series.x, series.y, strict=True)]
    dashes = "" if isinstance(look.line, str) else " ".join(f"{dash:g}" for dash in look.line[1])
    line = Markup('<polyline class="series-line" stroke="var({})" stroke-dasharray="{}" points="{}"/>').format(
        look.colour, dashes or "none", _points(places)
    )
    mark = Markup(shape(look.mark, look.colour))
    marks = [Markup('<g transform="translate({:.1f} {:.1f})">').format(x - 17, y - 7) + mark + Markup("</g>") for x, y in places]
    return line + Markup().join(marks)


def _points(places: Sequence[tuple[float, float]]) -> str:
    return " ".join(f"{x:.1f},{y:.1f}" for x, y in places)
