"""Plots as inline SVG that takes its colours and letters from the page around it: training curves, range tests, reliability.

Matplotlib draws them, since the report is one file that loads nothing from elsewhere: a library that draws in the browser would
have to be part of every page.
"""

import html
import io
import re
import threading
from collections.abc import Callable, Mapping, Sequence

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from ulmfit.evaluation.results import ReliabilityBin
from ulmfit.report.curves import Curve, curves_of
from ulmfit.report.summary import CurvePoint, RangeTest

Style = str | tuple[float, tuple[float, float]]  # of a line, as matplotlib takes it

SIZE = (4.3, 2.75)  # inches of 72 units: about 1 unit a CSS pixel where three stand side by side
MARGINS = {"left": 0.145, "right": 0.96, "top": 0.89, "bottom": 0.18}

DASHED: Style = (0, (4, 4))
DOTTED: Style = (0, (2, 2))
# Colours that stand for the page's CSS variables, which replace them once the SVG is drawn.
COLOURS = {"--ink-2": "#010202", "--rule": "#010203", "--forward": "#010204", "--backward": "#010205", "--other": "#010206"}
COLOURS |= {f"--series-{number}": f"#01030{number}" for number in range(1, 9)}  # of a study's figures

Histories = Mapping[str, Sequence[CurvePoint]]  # by direction

_lock = threading.Lock()  # rcParams are global


def loss_svg(title: str, histories: Histories) -> str:
    """Training loss (line) and validation loss (dots) by step; a colour per direction."""
    return _figure(title, "loss, nats", histories, {"train_loss": "training", "valid_loss": "validation"})


def accuracy_svg(title: str, histories: Histories) -> str:
    """Validation accuracy by step."""

    def as_percent(axes: Axes) -> None:
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")

    return _figure(title, "accuracy", histories, {"valid_accuracy": "validation"}, as_percent)


def rate_svg(title: str, histories: Histories) -> str:
    """The learning rate by step."""

    def from_zero(axes: Axes) -> None:
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="plain", useOffset=False)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")

    return _figure(title, "learning rate", histories, {"lr": "learning rate"}, from_zero)


def range_test_svg(title: str, tests: Mapping[str, RangeTest]) -> str:
    """Learning-rate range tests by direction; empty where there is none."""
    if not tests:
        return ""
    parts = []
    for direction, test in tests.items():
        lowest = min(test.losses)
        at = test.rates[test.losses.index(lowest)]
        parts.append(f"{direction}: {test.losses[0]:.4g} at {test.rates[0]:.2g}, lowest {lowest:.4g} at {at:.2g}")
        parts.append(f"used {test.lr:.2g}, suggested {'none' if test.suggestion is None else f'{test.suggestion:.2g}'}")
    return svg_of(range_test_figure(tests), f"{title}, smoothed loss by learning rate in a range test. " + "; ".join(parts) + ".")


def range_test_figure(tests: Mapping[str, RangeTest]) -> Figure:
    """Smoothed loss by rate for each direction, a dot at the suggestion and a dashed line at the rate used."""
    figure, axes = _panel("range test: loss, nats", "learning rate (dashed: used; dot: suggested)")
    axes.set_xscale("log")
    for i, (direction, test) in enumerate(tests.items()):
        _draw(axes, (test.rates, test.losses), direction, under=i == 0)
        axes.axvline(test.lr, color=COLOURS["--ink-2"], linewidth=1, linestyle=DASHED, zorder=1)
        if test.suggestion is not None:
            loss = test.losses[test.rates.index(test.suggestion)]
            axes.plot(test.suggestion, loss, "o", color=_colour(direction), markersize=7 if i else 11, zorder=4)
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("e-0", "e-"))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    return figure


def reliability_svg(title: str, bins: Mapping[str, Sequence[ReliabilityBin]]) -> str:
    """The reliability diagram (Guo et al. 2017, fig. 1) ``before`` and ``after`` calibration: accuracy by probability, a dot per bin.

    The area of a dot is that of the predictions in its bin. On the diagonal a system is calibrated.
    """
    figure, axes = _panel("accuracy", "probability")
    parts = []
    low = min((row.low for rows in bins.values() for row in rows), default=0.0)
    axes.plot([low, 1], [low, 1], color=COLOURS["--ink-2"], linewidth=1, linestyle=DASHED, zorder=1)
    for when, name in (("before", "--other"), ("after", "--forward")):
        rows, colour = bins.get(when, []), COLOURS[name]
        most = max((row.predictions for row in rows), default=1)
        axes.plot([row.confidence for row in rows], [row.accuracy for row in rows], color=colour, linewidth=1.2, alpha=0.6, zorder=2)
        for row in rows:
            size = 3 + 9 * (row.predictions / most) ** 0.5
            axes.plot(row.confidence, row.accuracy, "o", color=colour, markersize=size, alpha=0.8, zorder=3)
        parts += [f"{when}: probability {row.confidence:.0%}, accuracy {row.accuracy:.0%} of {row.predictions}" for row in rows]
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    return svg_of(figure, f"{title}, accuracy of predictions by their probability. " + "; ".join(parts) + ".")


def _figure(title: str, unit: str, histories: Histories, names: Mapping[str, str], finish: Callable[[Axes], None] | None = None) -> str:
    """One panel as SVG; empty where no history has one of the curves ``names``."""
    figure, axes = _panel(unit, "step")
    parts, first = [], next(iter(histories), None)
    for direction, history in histories.items():
        curves = curves_of(history)
        for name, what in names.items():
            if name in curves:
                style = DOTTED if len(names) > 1 else "-"
                _draw(axes, curves[name], direction, direction == first, style if name.startswith("valid") else None)
                steps, values = curves[name]
                parts.append(f"{direction} {what}: {values[0]:.4g} at step {steps[0]:.0f}, {values[-1]:.4g} at step {steps[-1]:.0f}")
    if not parts:
        return ""
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))
    if finish:
        finish(axes)
    return svg_of(figure, f"{title}, {unit} by step. " + "; ".join(parts) + ".")


def _draw(axes: Axes, curve: Curve, direction: str, under: bool, dots: Style | None = None) -> None:
    """Draw a curve, with a dot at each point and a line of that style where ``dots`` is given.

    A curve that may lie ``under`` another is wider, so that both are seen where they are the same.
    """
    lone = len(curve[0]) == 1  # a line of one point would not be seen
    width = 3.4 if under else 1.4 if dots is None else 1.3
    axes.plot(
        *curve,
        color=_colour(direction),
        linewidth=width,
        alpha=0.6 if under else 1,
        linestyle="-" if dots is None else dots,
        solid_joinstyle="round",
        marker="o" if dots is not None or lone else None,
        markersize=6.5 if under else 3.5,
        zorder=2 if dots is None else 3,
    )


def _colour(direction: str) -> str:
    return COLOURS.get(f"--{direction}", COLOURS["--other"])


def _panel(title: str, xlabel: str) -> tuple[Figure, Axes]:
    """An empty panel; its margins are the same everywhere, so that panels below each other align."""
    figure = Figure(figsize=SIZE)
    axes = figure.subplots(gridspec_kw=MARGINS)
    axes.set_title(title, loc="left", fontsize=10.5, color=COLOURS["--ink-2"])
    axes.set_xlabel(xlabel, fontsize=10.5, color=COLOURS["--ink-2"])
    axes.grid(axis="y", color=COLOURS["--rule"], linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(COLOURS["--rule"])
    axes.tick_params(colors=COLOURS["--ink-2"], labelsize=10.5, length=0)
    axes.margins(x=0.02, y=0.08)
    return figure, axes


def svg_of(figure: Figure, description: str) -> str:
    """The figure as an ``<svg>`` element without prologue, metadata and fixed size, its text as text, its colours as CSS variables."""
    buffer = io.StringIO()
    with _lock, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": description}):
        figure.savefig(buffer, format="svg", transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    svg = re.sub(r"<svg[^>]*>", f'<svg class="plot" {box[0]} role="img" aria-label="{html.escape(description)}">', svg, count=1)
    svg = re.sub(r'<g id="[^"]*"', "<g", svg)  # another figure of the page has the same ids
    for variable, colour in COLOURS.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.strip()
