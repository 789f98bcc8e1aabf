"""The versions of a model on a time line: how good each is, and what the gate said of it, by colour and by shape."""

from collections.abc import Callable, Sequence
from itertools import chain

from markupsafe import Markup

from dashboard.drawings.canvas import Canvas
from dashboard.queries.versions import Version
from ulmfit.report.numbers import percent

WIDTH, HEIGHT = 760, 170
SHAPES = {
    "promoted": Markup('<circle class="promoted" cx="{x:.1f}" cy="{y:.1f}" r="6"/>'),
    "held": Markup('<path class="held" d="M{x:.1f} {y:.1f}m0-7 7 7-7 7-7-7z"/>'),
    "blocked": Markup('<path class="blocked" d="M{x:.1f} {y:.1f}m-6-6h12v12h-12z"/>'),
    "not asked": Markup('<circle class="none" cx="{x:.1f}" cy="{y:.1f}" r="4"/>'),
}


def time_line(versions: Sequence[Version], champion: str | None, shown: str | None, address: Callable[[str], str]) -> Markup:
    """A mark for each version, at its accuracy where that is known; ``address`` of its page. Empty without versions."""
    if not versions:
        return Markup()
    values = [each.accuracy.value for each in versions if each.accuracy and each.accuracy.value is not None]
    ends = [(each.accuracy.low, each.accuracy.high) for each in versions if each.accuracy]
    shares = [share for share in (*values, *chain(*ends)) if share is not None] or [0.0]
    canvas = Canvas(WIDTH, HEIGHT, [each.created for each in versions], shares)
    bars = [
        canvas.interval(each.created, each.accuracy.low, each.accuracy.high)
        for each in versions
        if each.accuracy and each.accuracy.low is not None and each.accuracy.high is not None
    ]
    marks = [_mark(canvas, each, champion, shown, address(each.number), min(shares)) for each in versions]
    axes = canvas.axes(lambda share: percent(share, 0)) if values else ()
    return canvas.drawing("Versions by time and accuracy", [*axes, *bars, *marks], links=True)


def _mark(canvas: Canvas, version: Version, champion: str | None, shown: str | None, address: str, lowest: float) -> Markup:
    value = version.accuracy.value if version.accuracy else None
    place = {"x": canvas.across(version.created), "y": canvas.up(lowest if value is None else value)}
    verdict = version.outcome or "not asked"
    says = f"version {version.number}, {percent(value)}, gate: {verdict}{', champion' if version.number == champion else ''}"
    ring = Markup('<circle class="ring" cx="{x:.1f}" cy="{y:.1f}" r="11"/>').format(**place) if version.number == champion else Markup()
    here = Markup('<circle class="here" cx="{x:.1f}" cy="{y:.1f}" r="15"/>').format(**place) if version.number == shown else Markup()
    link = Markup('<a href="{}" aria-label="{}"><title>{}</title>').format(address, says, says)
    return link + here + ring + SHAPES[verdict].format(**place) + Markup("</a>")
