"""The report of a run: ``summary.json`` for programs, ``report.html`` for people, a table for the terminal."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit.artifacts import write_atomic

if TYPE_CHECKING:
    from rich.table import Table

STAGES = {
    "pretrain": "Language model, general text",
    "finetune": "Language model, domain text",
    "classifier": "Classifier",
    "scratch": "Classifier from scratch",
}
MATRIX_LABELS = 20  # with more, the commonest confusions are listed in place of the matrix
METRICS = {"accuracy": "Accuracy", "macro_f1": "Macro-F1", "roc_auc": "ROC AUC"}


def render(summary: Mapping[str, Any], folder: Path) -> None:
    """Write ``summary.json`` and ``report.html`` into ``folder``, which is made if need be.

    The page is one file that loads nothing from elsewhere. Values that are not finite become null.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    clean = finite(summary)
    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "summary.json", json.dumps(clean, indent=1, ensure_ascii=False, allow_nan=False).encode())
    pages = Environment(loader=PackageLoader("ulmfit"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    pages.filters |= {"percent": percent, "points": points, "count": count, "size": size, "duration": duration, "number": number, "interval": interval}
    page = pages.get_template("report.html").render(view(clean))
    write_atomic(folder / "report.html", page.encode())


def view(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows: the summary, and what is worked out from it."""
    from ulmfit import graph

    results, stages = summary["results"], summary["stages"]
    return {
        **{name: summary[name] for name in ("corpus", "results", "stages", "settings", "run")},
        "general": summary.get("general"),
        "model": summary.get("model") or {},
        "metrics": METRICS,
        "verdict": verdict(results),
        "systems": systems_of(results),
        "matrix": matrix_of(results),
        "training": training_of(summary["histories"]),
        "language_models": [stage for stage in stages if stage["record"].get("valid_perplexity") is not None],
        "settings_rows": list(flatten(summary["settings"])),
        "longest": max((stage["seconds"] for stage in stages), default=0) or 1,
        "roles": {stage["key"]: stage["name"] for stage in stages},
        "lineage": graph.lineage_svg(stages) if stages else "",
        "mermaid": graph.mermaid(stages),
    }


def finite(value: Any) -> Any:
    """``value`` with every float that JSON has no form for (NaN, infinities) as None, and mappings and sequences as dict and list."""
    if isinstance(value, Mapping):
        return {str(name): finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def verdict(results: Mapping[str, Any]) -> str:
    """One sentence: is the model better than the baseline, and is that sure?"""
    difference = results["differences"].get(results["headline"])
    if difference is None:
        return "There is no baseline in this run to compare with."
    by = f"{points(abs(difference['value']))} points ({points(difference['low'])} to {points(difference['high'])})"
    if difference["low"] > 0:
        return f"The model is more accurate than the baseline by {by}."
    if difference["high"] < 0:
        return f"The baseline is more accurate, by {points(-difference['value'])} points: use it, or give the model more text. ({by.split('(')[1]}"
    return f"The test documents do not tell the model and the baseline apart: {signed(difference['value'])} points ({by.split('(')[1]}."


def systems_of(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Systems for the table, with where their accuracy and its interval lie on a common scale of 0 to 100."""
    entries = results["systems"]
    accuracies = [scores["accuracy"] for scores in entries.values()]
    low = min(accuracy["low"] for accuracy in accuracies)
    high = max(accuracy["high"] for accuracy in accuracies)
    place = lambda value: round(4 + 92 * (value - low) / ((high - low) or 1), 2)
    return [
        {
            "name": name,
            "scores": scores,
            "difference": results["differences"].get(name),
            "headline": name == results["headline"],
            "baseline": name == results["baseline"],
            "whisker": {end: place(scores["accuracy"][end]) for end in ("low", "value", "high")},
        }
        for name, scores in entries.items()
    ]


def matrix_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """The confusion matrix with each row's shares in percent; or the commonest confusions where there are many labels."""
    labels, counts = results["labels"], results["confusion"]
    rows = []
    for label, row in zip(labels, counts, strict=True):
        total = sum(row)
        cells = [{"count": cell, "share": round(100 * cell / total) if total else 0, "right": i == len(rows)} for i, cell in enumerate(row)]
        rows.append({"label": label, "cells": cells, "total": total})
    pairs = [(counts[i][j], labels[i], labels[j]) for i in range(len(labels)) for j in range(len(labels)) if i != j and counts[i][j]]
    return {"rows": rows, "whole": len(labels) <= MATRIX_LABELS, "pairs": sorted(pairs, key=lambda pair: -pair[0])[:MATRIX_LABELS]}


def training_of(histories: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """For each stage of training its title and plots; histories are named ``stage-direction``."""
    from ulmfit import plots

    stages: dict[str, dict[str, Sequence[Mapping[str, Any]]]] = {name: {} for name in STAGES}
    for name, history in histories.items():
        stage, _, direction = name.rpartition("-")
        stages.setdefault(stage or name, {})[direction] = history
    shown = []
    for stage, by_direction in stages.items():
        title = STAGES.get(stage, stage.capitalize())
        drawn = [draw(title, by_direction) for draw in (plots.loss_svg, plots.accuracy_svg, plots.rate_svg)]
        if any(drawn):
            shown.append({"title": title, "plots": [_unique(svg, f"{stage}-{i}") for i, svg in enumerate(drawn) if svg]})
    return shown


def _unique(svg: str, prefix: str) -> str:
    """The figure with ids that no other figure of the page has."""
    for attribute in ('id="', 'href="#', "url(#"):
        svg = svg.replace(attribute, f"{attribute}{prefix}-")
    return svg


def flatten(tree: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Settings as (dotted name, value) rows."""
    rows: list[tuple[str, Any]] = []
    for name, value in tree.items():
        rows += flatten(value, f"{prefix}{name}.") if isinstance(value, Mapping) else [(prefix + name, "none" if value is None else value)]
    return rows


def result_table(summary: Mapping[str, Any]) -> Table:
    """The systems and their scores, for the terminal."""
    from rich.table import Table
    from rich.text import Text

    results = summary["results"]
    table = Table(title=f"{results['documents']:,} test documents, {percent(results['confidence'], 0)} intervals", title_justify="left")
    table.add_column("system")
    for title in (*METRICS.values(), "points over baseline"):
        table.add_column(title.lower() if title[0] == "A" or title[0] == "M" else title, justify="right", no_wrap=True)
    for system in systems_of(results):
        cells = [f"{percent(scores['value'])} {interval(scores)}".strip() for scores in system["scores"].values()]
        difference = system["difference"]
        cells.append(f"{signed(difference['value'])} [{points(difference['low'])} to {points(difference['high'])}]" if difference else "")
        table.add_row(*(Text(cell) for cell in (system["name"], *cells)), style="bold" if system["headline"] else "")
    return table


def percent(value: float | None, digits: int = 1) -> str:
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def points(value: float | None) -> str:
    """A share as percentage points."""
    return "–" if value is None else f"{100 * value:.1f}".replace("-", "−")


def signed(value: float | None) -> str:
    return "–" if value is None else f"{100 * value:+.1f}".replace("-", "−")


def interval(estimate: Mapping[str, float | None]) -> str:
    return "" if estimate["low"] is None else f"[{points(estimate['low'])}, {points(estimate['high'])}]"


def count(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}"


def number(value: float | None) -> str:
    return "–" if value is None else f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.4g}"


def size(value: float | None) -> str:
    """Bytes as people read them."""
    if value is None:
        return "–"
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000 or unit == "GB":
            return f"{value:,.0f} {unit}" if unit == "B" else f"{value:,.1f} {unit}"
        value /= 1000
    raise AssertionError


def duration(seconds: float | None) -> str:
    """Seconds as people read them."""
    if seconds is None:
        return "–"
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds >= 0.1 else f"{1000 * seconds:.0f} ms"
    minutes = round(seconds / 60)
    return f"{seconds / 60:.1f} min" if minutes < 60 else f"{minutes // 60} h {minutes % 60} min"
