"""Templates, and how they write what they are given: every string that is no markup of ours is escaped and made plain."""

from datetime import UTC, datetime
from functools import cache

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup, escape

from dashboard.drawings.champions import over_time
from dashboard.drawings.curves import curves, look_sample
from dashboard.drawings.difference import difference
from dashboard.drawings.drift import effect_size, effects
from dashboard.drawings.landed import landed_over_time, named_sources
from dashboard.drawings.lineage import lineage_graph
from dashboard.drawings.versions import time_line
from dashboard.plain import plain
from ulmfit.report import numbers

DRAWINGS = (over_time, time_line, difference, curves, look_sample, effects, landed_over_time, named_sources, lineage_graph)
SHOWN = (
    numbers.percent,
    numbers.portion,
    numbers.points,
    numbers.signed,
    numbers.count,
    numbers.number,
    numbers.size,
    numbers.duration,
    numbers.interval,
    effect_size,
)


@cache
def environment() -> Environment:
    """The environment of all pages."""
    made = Environment(
        loader=PackageLoader("dashboard"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        finalize=lambda value: plain(value) if type(value) is str else value,
    )
    made.globals |= {draw.__name__: draw for draw in DRAWINGS}
    made.filters |= {show.__name__: show for show in SHOWN} | {"when": when, "ago": ago, "plain": plain}
    return made


def when(time: datetime | None) -> str:
    """A time in UTC, to the minute, for programs to read too."""
    if time is None:
        return numbers.MISSING
    utc = time.astimezone(UTC)
    return Markup('<time datetime="{}">{} UTC</time>').format(utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M}")


def ago(time: datetime | None) -> str:
    """How long ago that was, in words; the time itself stands behind it for programs and as a title."""
    if time is None:
        return numbers.MISSING
    utc = time.astimezone(UTC)
    seconds = (datetime.now(UTC) - utc).total_seconds()
    said = _said(seconds)
    return Markup('<time datetime="{}" title="{} UTC">{}</time>').format(
        utc.isoformat(timespec="seconds"), f"{utc:%Y-%m-%d %H:%M}", escape(said)
    )


def _said(seconds: float) -> str:
    if seconds < 0:
        return "soon"
    if seconds < 60:
        return "just now"
    for size, unit in ((86_400, "day"), (3600, "hour"), (60, "minute")):
        if seconds >= size:
            number = int(seconds // size)
            return f"{number} {unit}{'s' * (number > 1)} ago"
    return "just now"
