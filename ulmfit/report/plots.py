"""Training curves as inline SVG that takes its colours and letters from the page around it."""

from __future__ import annotations

import html
import io
import re
import threading
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import matplotlib
from matplotlib.axes import Axes
from matplotlib.figure import Figure

MAX_POINTS = 500
SIZE = (4.3, 2.75)  # inches of 72 units: about 1 unit a CSS pixel where three stand side by side
MARGINS = {"left": 0.145, "right": 0.96, "top": 0.89, "bottom": 0.18}

# Colours that stand for the page's CSS variables; they are put in place once the SVG is drawn.
COLOURS = {"--ink-2": "#010202", "--rule": "#010203", "--forward": "#010204", "--backward": "#010205", "--other": "#010206"}

Curve = tuple[list[float], list[float]]
Histories = Mapping[str, Sequence[Mapping[str, Any]]]

_lock = threading.Lock()  # rcParams are global


def curves_of(history: Sequence[Mapping[str, Any]]) -> dict[str, Curve]:
    """Steps and values by curve name, in order of step, at most about 500 of them; values that are null or not finite are left out."""
    curves: dict[str, Curve] = {}
    for point in sorted(history, key=lambda point: point["step"]):
        value = point["value"]
        if value is not None and abs(value) < float("inf"):
            steps, values = curves.setdefault(point["name"], ([], []))
            steps.append(point["step"])
            values.append(value)
    return {name: (_thinned(steps), _thinned(values)) for name, (steps, values) in curves.items()}


def _thinned(values: list[float]) -> list[float]:
    every = -(-len(values) // MAX_POINTS)
    return values if every <= 1 else [*values[: len(values) - 1 : every], values[-1]]


def loss_svg(title: str, histories: Histories) -> str:
    """Training loss (line) and validation loss (dots) by step, a colour for each direction. ``histories`` by direction."""
    return _figure(title, "loss, nats", histories, {"train_loss": "training", "valid_loss": "validation"})


def accuracy_svg(title: str, histories: Histories) -> str:
    """Validation accuracy by step."""

    def as_percent(axes: Axes) -> None:
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")

    return _figure(title, "accuracy", histories, {"valid_accuracy": "validation"}, as_percent)


def rate_svg(title: str, histories: Histories) -> str:
    """The learning rate as it was run, by step."""

    def from_zero(axes: Axes) -> None:
        axes.set_ylim(bottom=0)
        axes.ticklabel_format(axis="y", style="plain", useOffset=False)
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}")

    return _figure(title, "learning rate", histories, {"lr": "learning rate"}, from_zero)


def range_svg(title: str, trials: Mapping[str, Mapping[str, Any]]) -> str:
    """Learning-rate range tests by direction (``lr_finder.json``): smoothed loss by rate, a dot at the suggestion, a line at the rate used."""
    if not trials:
        return ""
    figure = Figure(figsize=SIZE)
    axes = figure.subplots(gridspec_kw=MARGINS)
    _clean(axes, "range test: loss, nats")
    axes.set_xscale("log")
    told, first = [], next(iter(trials))
    for direction, trial in trials.items():
        rates, losses, suggestion, lr = (trial[name] for name in ("rates", "losses", "suggestion", "lr"))
        _draw(axes, (rates, losses), direction, under=direction == first, dots=False, beside=False)
        axes.axvline(lr, color=COLOURS["--ink-2"], linewidth=1, linestyle=(0, (4, 4)), zorder=1)
        told.append(f"{direction}: {losses[0]:.4g} at {rates[0]:.2g}, lowest {min(losses):.4g} at {rates[losses.index(min(losses))]:.2g}")
        if suggestion is not None:
            colour, size = COLOURS.get(f"--{direction}", COLOURS["--other"]), 11 if direction == first else 7
            axes.plot(suggestion, losses[rates.index(suggestion)], "o", color=colour, markersize=size, zorder=4)
        told.append(f"used {lr:.2g}, suggested {'none' if suggestion is None else f'{suggestion:.2g}'}")
    axes.set_xlabel("learning rate (dashed: used; dot: suggested)", fontsize=10.5, color=COLOURS["--ink-2"])
    axes.xaxis.set_major_locator(matplotlib.ticker.LogLocator(numticks=5))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:g}".replace("e-0", "e-"))
    axes.xaxis.set_minor_locator(matplotlib.ticker.NullLocator())
    return _themed(figure, f"{title}, smoothed loss by learning rate in a range test. " + "; ".join(told) + ".")


def reliability_svg(title: str, bins: Mapping[str, Sequence[Mapping[str, float]]]) -> str:
    """How often predictions are right, by how sure they are: dots by ``calibration.reliability``, ``before`` and ``after`` calibration.

    A dot is the larger the more predictions its bin holds (by area). On the diagonal sureness is as it ought to be.
    """
    figure = Figure(figsize=SIZE)
    axes = figure.subplots(gridspec_kw=MARGINS)
    said = []
    low = min((row["low"] for rows in bins.values() for row in rows), default=0.0)
    axes.plot([low, 1], [low, 1], color=COLOURS["--ink-2"], linewidth=1, linestyle=(0, (4, 4)), zorder=1)
    for when, colour in (("before", "--other"), ("after", "--forward")):
        rows = bins.get(when, [])
        most = max((row["predictions"] for row in rows), default=1)
        places = [[row[name] for row in rows] for name in ("confidence", "accuracy")]
        axes.plot(*places, color=COLOURS[colour], linewidth=1.2, alpha=0.6, zorder=2)
        for row in rows:
            size = 3 + 9 * (row["predictions"] / most) ** 0.5
            axes.plot(row["confidence"], row["accuracy"], "o", color=COLOURS[colour], markersize=size, alpha=0.8, zorder=3)
        said += [f"{when}: {row['confidence']:.0%} sure, {row['accuracy']:.0%} right of {row['predictions']}" for row in rows]
    _clean(axes, "share that is right")
    axes.set_xlabel("sureness", fontsize=10.5, color=COLOURS["--ink-2"])
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5))
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    return _themed(figure, f"{title}, share of predictions that are right by sureness. " + "; ".join(said) + ".")


def _figure(title: str, unit: str, histories: Histories, names: Mapping[str, str], finish: Callable[[Axes], None] | None = None) -> str:
    """One panel as SVG; empty where no history has one of the curves ``names``."""
    figure = Figure(figsize=SIZE)
    axes = figure.subplots(gridspec_kw=MARGINS)  # the same in every panel, so that panels below each other align
    told, first = [], next(iter(histories), None)
    for direction, history in histories.items():
        curves = curves_of(history)
        for name, what in names.items():
            if name in curves:
                _draw(axes, curves[name], direction, under=direction == first, dots=name.startswith("valid"), beside="train_loss" in names)
                steps, values = curves[name]
                told.append(f"{direction} {what}: {values[0]:.4g} at step {steps[0]:.0f}, {values[-1]:.4g} at step {steps[-1]:.0f}")
    if not told:
        return ""
    _clean(axes, unit)
    if finish:
        finish(axes)
    return _themed(figure, f"{title}, {unit} by step. " + "; ".join(told) + ".")


def _draw(axes: Axes, curve: Curve, direction: str, under: bool, dots: bool, beside: bool) -> None:
    """Draw a curve; one that may lie ``under`` another is wider, so that both are seen where they are the same."""
    steps, values = curve
    colour = COLOURS.get(f"--{direction}", COLOURS["--other"])
    if dots:
        style: Any = (0, (2, 2)) if beside else "-"
        axes.plot(
            steps,
            values,
            color=colour,
            linewidth=3.4 if under else 1.3,
            alpha=0.6 if under else 1,
            linestyle=style,
            marker="o",
            markersize=6.5 if under else 3.5,
            zorder=3,
        )
    else:
        marker = "o" if len(steps) == 1 else None  # a line of one point would not be seen
        axes.plot(
            steps,
            values,
            color=colour,
            linewidth=3.4 if under else 1.4,
            alpha=0.6 if under else 1,
            solid_joinstyle="round",
            marker=marker,
            markersize=6.5 if under else 3.5,
        )


def _clean(axes: Axes, unit: str) -> None:
    axes.set_title(unit, loc="left", fontsize=10.5, color=COLOURS["--ink-2"])
    axes.set_xlabel("step", fontsize=10.5, color=COLOURS["--ink-2"])
    axes.grid(axis="y", color=COLOURS["--rule"], linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.spines["bottom"].set_color(COLOURS["--rule"])
    axes.tick_params(colors=COLOURS["--ink-2"], labelsize=10.5, length=0)
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}")
    axes.xaxis.set_major_locator(matplotlib.ticker.MaxNLocator(5, integer=True))
    axes.margins(x=0.02, y=0.08)


def _themed(figure: Figure, description: str) -> str:
    """The figure as an ``<svg>`` element: no prologue, metadata or fixed size, its text as text, its colours as variables."""
    buffer = io.StringIO()
    with _lock, matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": description}):
        figure.savefig(buffer, format="svg", transparent=True)
    svg = buffer.getvalue()
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>|<!--.*?-->", "", svg, flags=re.DOTALL)
    box = re.search(r'viewBox="[^"]*"', svg)
    assert box is not None
    svg = re.sub(r"<svg[^>]*>", f'<svg class="plot" {box[0]} role="img" aria-label="{html.escape(description)}">', svg, count=1)
    svg = re.sub(r'<g id="(?:figure|axes|matplotlib|line2d|patch|text|xtick|ytick)[^"]*">', "<g>", svg)
    for variable, colour in COLOURS.items():
        svg = svg.replace(colour, f"var({variable})")
    return svg.strip()
