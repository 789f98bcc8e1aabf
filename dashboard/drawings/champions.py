"""Accuracy of a model's champions over time."""

from collections.abc import Sequence
from itertools import chain

from markupsafe import Markup

from dashboard.drawings.canvas import Canvas
from dashboard.plain import plain
from dashboard.queries.champions import Reign
from ulmfit.report.numbers import percent

WIDTH, HEIGHT = 320, 92


def over_time(reigns: Sequence[Reign]) -> Markup:
    """A dot for each champion when it became one, with its interval; empty where fewer than two are known."""
    known = [
        (each.since, each.accuracy.value, each.accuracy, each.version)
        for each in reigns
        if each.accuracy and each.accuracy.value is not None
    ]
    if len(known) < 2:
        return Markup()
    ranges = [(value if found.low is None else found.low, value if found.high is None else found.high) for _, value, found, _ in known]
    canvas = Canvas(WIDTH, HEIGHT, [since for since, *_ in known], list(chain(*ranges)))
    at = [(canvas.across(since), canvas.up(value)) for since, value, *_ in known]
    dots = [Markup('<circle class="dot" cx="{:.1f}" cy="{:.1f}" r="3.5"/>').format(*place) for place in at]
    line = Markup('<polyline class="line" points="{}"/>').format(" ".join(f"{x:.1f},{y:.1f}" for x, y in at))
    bars = [canvas.interval(since, *found) for (since, *_), found in zip(known, ranges, strict=True)]
    says = "; ".join(f"version {version} from {since:%Y-%m-%d}: {percent(value)}" for since, value, _, version in known)
    return canvas.drawing(plain(f"Accuracy of the champions: {says}"), [*canvas.axes(lambda share: percent(share, 0)), *bars, line, *dots])
