"""The difference between challenger and champion, with its interval, on a line with what the policy allows to lose."""

from markupsafe import Markup

from dashboard.drawings.canvas import scale
from ulmfit.evaluation.results import Estimate
from ulmfit.report.numbers import points, signed

WIDTH, HEIGHT = 320, 54
MIDDLE = 22


def difference(found: Estimate) -> Markup:
    """Empty where it is not known."""
    if found.value is None or found.low is None or found.high is None:
        return Markup()
    across = scale([found.low, found.high, 0.0], 24, WIDTH - 24)
    says = f"The challenger is {signed(found.value)} points better, between {signed(found.low)} and {signed(found.high)}"
    head = Markup('<svg class="drawn" viewBox="0 0 {} {}" role="img" aria-label="{}">').format(WIDTH, HEIGHT, says)
    zero = Markup(
        '<line class="axis" x1="{0:.1f}" x2="{0:.1f}" y1="6" y2="38"/><text x="{0:.1f}" y="50" text-anchor="middle">0</text>'
    ).format(across(0.0))
    bar = Markup('<line class="range" x1="{:.1f}" x2="{:.1f}" y1="{}" y2="{}"/>').format(
        across(found.low), across(found.high), MIDDLE, MIDDLE
    )
    dot = Markup('<circle class="dot" cx="{:.1f}" cy="{}" r="4.5"/>').format(across(found.value), MIDDLE)
    ends = [
        Markup('<text x="{:.1f}" y="12" text-anchor="middle">{}</text>').format(across(share), points(share))
        for share in (found.low, found.high)
    ]
    return head + zero + bar + dot + Markup().join(ends) + Markup("</svg>")
