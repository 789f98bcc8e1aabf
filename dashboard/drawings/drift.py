"""A drift figure over the cycles: its effect, beside the limits from which on effects count."""

from collections.abc import Iterator

from markupsafe import Markup

from dashboard.drawings.canvas import LEFT, RIGHT, Canvas
from dashboard.plain import plain
from dashboard.queries.drift import DriftPoint, DriftSeries
from ulmfit.report.numbers import MISSING

WIDTH, HEIGHT = 340, 150


def effects(series: DriftSeries) -> Markup:
    """A mark for each cycle in which the figure could be measured; noticed drift by colour and shape. Empty where it never could."""
    known = [(point, point.figure.effect) for point in series.points if point.figure.effect is not None]
    if not known:
        return Markup()
    limits = [sign * known[-1][0].figure.limit for sign, side in ((1.0, "up"), (-1.0, "down")) if side in series.sides]
    range_ = [0.0, *(1.25 * limit for limit in limits), *(effect for _, effect in known)]
    canvas = Canvas(WIDTH, HEIGHT, [point.time for point, _ in known], range_)
    levels = [_level(canvas, limit, "limit") for limit in limits] + [_level(canvas, 0.0, "axis")]
    at = [(canvas.across(point.time), canvas.up(effect)) for point, effect in known]
    line = Markup('<polyline class="line" points="{}"/>').format(" ".join(f"{x:.1f},{y:.1f}" for x, y in at))
    marks = [_mark(point, place) for (point, _), place in zip(known, at, strict=True)]
    said = "; ".join(_said(point) for point, _ in known[-12:])
    says = plain(f"{series.title}, effect by cycle; limit {known[-1][0].figure.limit:g}: {said}")
    return canvas.drawing(says, [*canvas.axes(effect_size, [*limits, 0.0]), *levels, *_changes(canvas, series), line, *marks])


def effect_size(effect: float | None) -> str:
    """With its sign, to two places."""
    return MISSING if effect is None else f"{effect:+z.2f}".replace("-", "−").replace("+0.00", "0")


def _level(canvas: Canvas, effect: float, kind: str) -> Markup:
    line = Markup('<line class="{0}" x1="{1}" x2="{2}" y1="{3:.1f}" y2="{3:.1f}"/>')
    return line.format(kind, LEFT, WIDTH - RIGHT, canvas.up(effect))


def _changes(canvas: Canvas, series: DriftSeries) -> Iterator[Markup]:
    """Where another champion measures: the figures before and after are of two models."""
    for before, now in zip(series.points, series.points[1:], strict=False):
        if before.champion != now.champion and now.figure.effect is not None:
            x = canvas.across(now.time) - 4
            yield Markup('<line class="change" x1="{0:.1f}" x2="{0:.1f}" y1="10" y2="{1}"/>').format(x, HEIGHT - 20)


def _mark(point: DriftPoint, place: tuple[float, float]) -> Markup:
    x, y = place
    if point.figure.noticed:
        return Markup('<path class="blocked" d="M{:.1f} {:.1f}m0-6 6 6-6 6-6-6z"/>').format(x, y)
    return Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3"/>').format(x, y)


def _said(point: DriftPoint) -> str:
    return f"{point.time:%Y-%m-%d} {point.figure.effect:.2g}{', noticed' if point.figure.noticed else ''}"
