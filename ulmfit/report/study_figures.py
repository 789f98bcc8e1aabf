"""Figures of a study: learning curves with bands, and validation error by epoch.

Each is drawn in the colours of the page that holds it, or in fixed ones for a file. Matplotlib, 100 MB in memory, is loaded by what draws alone:
the dashboard takes the figures as they are.
"""

from __future__ import annotations

import io
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit.report.looks import Look
from ulmfit.report.numbers import count

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

# For files: ink, rule, and a colour for each series; the page's own are in style.css.
LIGHT = {"--ink-2": "#5b616d", "--rule": "#e2e3e6"} | {
    f"--series-{number}": colour
    for number, colour in enumerate(("#0a5fb4", "#c2570c", "#0d8060", "#a3408f", "#7a6a00", "#444b57", "#c23b6e", "#2f7f8f"), 1)
}
DOTS_PER_INCH = 200


@dataclass(frozen=True)
class Series:
    """A line: x rising, y from 0 to 1, and the bounds of each y (None where a single trial gives none)."""

    title: str
    look: Look
    x: Sequence[float]
    y: Sequence[float]
    bounds: Sequence[tuple[float, float] | None]


@dataclass(frozen=True)
class Chart:
    """A figure of some series. ``name``: of its files."""

    name: str
    title: str
    xlabel: str
    ylabel: str
    series: Sequence[Series]
    logarithmic: bool = True

    def figure(self, colours: Mapping[str, str], scale: float = 1.0) -> Figure:
        """Drawn in ``colours``, by CSS variable."""
        from matplotlib.figure import Figure

        from ulmfit.report.plots import MARGINS, SIZE

        figure = Figure(figsize=(SIZE[0] * scale, SIZE[1] * 1.15 * scale))
        axes = figure.subplots(gridspec_kw=MARGINS)
        self._frame(axes, colours)
        for series in self.series:
            colour = colours[series.look.colour]
            known = [(x, *bounds) for x, bounds in zip(series.x, series.bounds, strict=True) if bounds]
            if known:
                places, low, high = zip(*known, strict=True)
                axes.fill_between(places, low, high, color=colour, alpha=0.15, linewidth=0, zorder=1)
            axes.plot(
                series.x, series.y, color=colour, marker=series.look.mark, markersize=5, linestyle=series.look.line, linewidth=1.7, zorder=3
            )
        self._ticks(axes)
        return figure

    def svg(self) -> str:
        """For the page, with all figures as its description."""
        from ulmfit.report.plots import COLOURS, svg_of

        said = [
            f"{series.title}: " + ", ".join(f"{100 * y:.1f}% at {count(x)}" for x, y in zip(series.x, series.y, strict=True))
            for series in self.series
        ]
        return svg_of(self.figure(COLOURS), f"{self.title}. " + "; ".join(said) + ".")

    def save(self, folder: Path) -> None:
        """``NAME.png`` and ``NAME.svg``, each with a legend."""
        figure = self.figure(LIGHT, 1.6)
        axes = figure.axes[0]
        for line, series in zip(axes.lines, self.series, strict=True):
            line.set_label(series.title)
        axes.legend(frameon=False, fontsize=8)
        for kind in ("png", "svg"):
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DOTS_PER_INCH, facecolor="white", metadata={"Date": None} if kind == "svg" else None)
            (folder / f"{self.name}.{kind}").write_bytes(buffer.getvalue())

    def _frame(self, axes: Axes, colours: Mapping[str, str]) -> None:
        ink, rule = colours["--ink-2"], colours["--rule"]
        axes.set_title(self.ylabel, loc="left", fontsize=10.5, color=ink)
        axes.set_xlabel(self.xlabel, fontsize=10.5, color=ink)
        axes.grid(axis="y", color=rule, linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(rule)
        axes.tick_params(colors=ink, labelsize=9.5, length=0, which="both")
        axes.margins(x=0.03, y=0.08)

    def _ticks(self, axes: Axes) -> None:
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
        every = sorted(set(itertools.chain.from_iterable(series.x for series in self.series)))
        if self.logarithmic:
            axes.set_xscale("symlog", linthresh=max(1.0, min((x for x in every if x > 0), default=1.0)))
            axes.set_xticks(_apart(every), labels=[count(x) for x in _apart(every)])
            axes.minorticks_off()


def _apart(sizes: Sequence[float]) -> list[float]:
    """Of rising sizes those whose names do not touch on a logarithmic axis; the last always."""
    kept: list[float] = []
    for size in reversed(sizes):
        if not kept or size * 1.55 < kept[-1]:
            kept.append(size)
    return kept[::-1]
