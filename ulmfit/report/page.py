"""The report of a run: ``summary.json`` for programs, ``report.html`` for people, a table for the terminal."""

from __future__ import annotations

import json
import math
import shlex
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ulmfit.corpora.quality.summary import judge_of
from ulmfit.evaluation.results import Results
from ulmfit.report.numbers import count, duration, interval, number, percent, points, signed, size
from ulmfit.report.scores import calibration_of, labels_of, metrics_of, told
from ulmfit.report.summary import Summary
from ulmfit.store.artifacts import write_atomic

if TYPE_CHECKING:
    from rich.table import Table

# What is trained, by the first part of the stage's name (``classify-forward``).
STAGES = {
    "pretrain": "Language model, general text",
    "finetune": "Language model, domain text",
    "classify": "Classifier",
    "scratch": "Classifier from scratch",
}
MATRIX_LABELS = 20  # with more, the commonest confusions are listed in place of the matrix
# What ``quality.json`` counts (see ulmfit/corpora/quality/summary.py), in the order shown: title, and what is counted.
FOUND = {
    "quarantined": ("Rows set aside", "rows"),
    "duplicates": ("Exact duplicates", "documents"),
    "folded_duplicates": ("Duplicates but for case and spaces", "documents"),
    "overlap": ("In {} and {}", "documents of {}"),
    "conflicting_labels": ("Texts with several labels", "documents of train"),
    "html": ("HTML in the text", "documents"),
    "tags": ("HTML tags other than <br>", "documents"),
    "line_breaks": ("HTML line breaks", "documents"),
    "entities": ("HTML entities", "documents"),
    "broken": ("Broken encoding", "documents"),
    "with_nul": ("NUL characters", "documents"),
}
UNDERSTOOD = ("html", "line_breaks", "entities")  # by the tokenizer: told, but no fault
FEW = 6  # languages, labels and tokens that are shown


def render(summary: Summary, folder: Path) -> None:
    """Write ``summary.json`` and ``report.html`` into ``folder``, which is made if need be.

    The page is one file that loads nothing from elsewhere. Values that are not finite become null.
    """
    from jinja2 import Environment, PackageLoader, StrictUndefined

    folder.mkdir(parents=True, exist_ok=True)
    write_atomic(folder / "summary.json", summary.to_json().encode())
    pages = Environment(
        loader=PackageLoader("ulmfit.report"), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    pages.filters |= {show.__name__: show for show in (percent, portion, points, signed, count, size, duration, interval, told)}
    page = pages.get_template("report.html").render(view(summary.to_dict()))
    write_atomic(folder / "report.html", page.encode())


def view(summary: Mapping[str, Any]) -> dict[str, Any]:
    """What the template shows: the summary, and what is worked out from it."""
    from ulmfit.report import lineage_graph

    typed = Summary.model_validate(summary)
    results, stages, run = summary["results"], summary["stages"], summary["run"]
    tone, sentence = verdict(results)
    return {
        **{name: summary[name] for name in ("name", "corpus", "results", "stages", "run")},
        "general": summary.get("general"),
        "quality": {name: quality_of((summary.get(name) or {}).get("quality")) for name in ("corpus", "general")},
        "model": summary["model"],
        "metrics": metrics_of(results),
        "tone": tone,
        "verdict": sentence,
        "ticks": [{"at": at, "label": label} for at, label in _ticks(*_scale(results))],
        "systems": systems_of(results),
        "matrix": matrix_of(results) if results["confusion"] else None,
        "labels": labels_of(results),
        "calibration": calibration_of(results),
        "training": training_of(summary["histories"], stages, summary.get("lr_finders", {})),
        "settings": {stage: list(flatten(options)) for stage, options in _grouped(summary["settings"]).items()},
        "commands": commands_of(summary["model"], run),
        "run_link": _run_link(run),
        "longest": max((stage["seconds"] or 0 for stage in stages), default=0) or 1,
        "names": {stage["key"]: stage["name"] for stage in stages},
        "lineage": lineage_graph.lineage_svg(typed.stages) if stages else "",
        "mermaid": lineage_graph.mermaid(typed.stages),
    }


def finite(value: Any) -> Any:
    """``value`` with every float that JSON has no form for (NaN, infinities) as None, and mappings and sequences as dict and list."""
    if isinstance(value, Mapping):
        return {str(name): finite(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def verdict(results: Mapping[str, Any]) -> tuple[str, str]:
    """Is the model better than the baseline, and is that sure? A tone (better, worse, unsure, alone) and one sentence."""
    difference = results["differences"].get(results["headline"])
    if difference is None or None in difference.values():
        return "alone", "There is no baseline in this run to compare with."
    value, low, high = difference["value"], difference["low"], difference["high"]
    if low > 0:
        return "better", f"The model is more accurate than the baseline, by {points(value)} points ({points(low)} to {points(high)})."
    if high < 0:
        return "worse", (
            f"The baseline is more accurate than the model, by {points(-value)} points ({points(-high)} to {points(-low)}): "
            "use the baseline, or give the model more text."
        )
    return "unsure", (
        f"These test documents do not tell the model and the baseline apart: the difference is {signed(value)} points "
        f"({signed(low)} to {signed(high)})."
    )


def _scale(results: Mapping[str, Any]) -> tuple[float, float, float]:
    """Low end, high end and step of an axis that holds every system's accuracy and its interval."""
    known = [value for scores in results["systems"].values() for value in scores["accuracy"].values() if value is not None]
    low, high = min(known, default=0.0), max(known, default=1.0)
    step = next(step for step in (0.005, 0.01, 0.02, 0.05, 0.1, 0.25) if (high - low) / step <= 4 or step == 0.25)
    start, end = math.floor(low / step + 1e-9) * step, math.ceil(high / step - 1e-9) * step
    return (start, end, step) if end > start else (start - step, end, step)


def _ticks(low: float, high: float, step: float) -> Iterator[tuple[float, str]]:
    """Places in percent of the axis, and what is written there."""
    for i in range(round((high - low) / step) + 1):
        yield round(100 * i * step / (high - low), 2), f"{100 * (low + i * step):.3g}%"


def systems_of(results: Mapping[str, Any]) -> list[dict[str, Any]]:
    """Systems for the table, with where their accuracy and its interval lie on the common axis, in percent of its length."""
    start, end, _ = _scale(results)
    place = lambda value: None if value is None else round(100 * (value - start) / (end - start), 2)
    return [
        {
            "name": name,
            "scores": scores,
            "difference": results["differences"].get(name),
            "headline": name == results["headline"],
            "baseline": name == results["baseline"],
            "whisker": {point: place(scores["accuracy"][point]) for point in ("low", "value", "high")},
        }
        for name, scores in results["systems"].items()
    ]


def matrix_of(results: Mapping[str, Any]) -> dict[str, Any]:
    """The confusion matrix with shares of each row and a tint for each cell (0-60); and the commonest confusions."""
    labels, counts = results["labels"], results["confusion"]
    rows = []
    for i, (label, row) in enumerate(zip(labels, counts, strict=True)):
        total, predicted = sum(row), sum(other[i] for other in counts)
        shares = [cell / total if total else 0 for cell in row]
        cells = [{"count": cell, "share": share, "tint": round(60 * math.sqrt(share))} for cell, share in zip(row, shares, strict=True)]
        recall, precision = (row[i] / total if total else None), (row[i] / predicted if predicted else None)
        rows.append({"label": label, "cells": cells, "total": total, "recall": recall, "precision": precision})
    pairs = [
        (cell["count"], cell["share"], row["label"], labels[j])
        for i, row in enumerate(rows)
        for j, cell in enumerate(row["cells"])
        if i != j
    ]
    common = sorted((pair for pair in pairs if pair[0]), key=lambda pair: -pair[0])[:MATRIX_LABELS]
    return {"rows": rows, "whole": len(labels) <= MATRIX_LABELS, "pairs": common}


def portion(share: float | None) -> str:
    """A share in percent; one that is not nothing does not look so."""
    return "<0.1%" if share is not None and 0 < share < 0.0005 else percent(share)


def quality_rows(quality: Mapping[str, Any]) -> list[dict[str, Any]]:
    """What ``quality.json`` counted, a row each: ``title``, ``count``, ``of``, ``unit``, ``share``, ``note``, and whether it is ``bad``."""
    rows = []
    reasons = ", ".join(f"{count(held)} {reason}" for reason, held in quality["quarantined"].items())
    for name, (title, unit) in FOUND.items():
        if name == "overlap":
            for pair, shared in quality["overlap"].items():
                rows.append(_quality_row(title.format(*pair.split("/")), unit.format(judge_of(pair)), shared))
        else:
            note = reasons if name == "quarantined" else ""
            rows.append(_quality_row(title, unit, quality["found"][name], note, name not in UNDERSTOOD))
    unknown = quality.get("out_of_vocabulary")
    if unknown:
        shared = {"documents": unknown["unknown"], "of": unknown["tokens"], "share": unknown["share"]}
        often = ", ".join(token for token, _ in unknown["most_frequent"][:FEW])
        rows.append(_quality_row("Tokens outside the vocabulary", "tokens", shared, f"most often: {often}" if often else ""))
    return rows


def _quality_row(title: str, unit: str, shared: Mapping[str, Any], note: str = "", bad: bool = True) -> dict[str, Any]:
    of, share = shared["of"], shared["share"]
    return {"title": title, "count": shared["documents"], "of": of, "unit": unit, "share": share, "note": note, "bad": bad}


def quality_of(quality: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """What the page draws of ``quality.json``; None where there is none."""
    if quality is None:
        return None
    bins = lengths_of(quality)
    tallest = max(bins.values(), default=0)
    columns = [
        {
            "edge": _edge(low),
            "title": f"{count(low)} to {count(2 * low - 1)} characters: {count(held)}",
            "height": round(100 * held / tallest, 1),
        }
        for low, held in bins.items()
    ]
    rows, spoken = quality_rows(quality), quality["languages"]
    return {
        "rows": [row for row in rows if row["count"]],
        "absent": [row["title"] for row in rows if not row["count"]],
        "lengths": columns,
        "below": dict(zip(("half", "most"), (below(bins, 0.5), below(bins, 0.9)), strict=True)) if bins else None,
        "languages": list(spoken["guessed"].items())[:FEW],
        "sampled": spoken["sampled"],
        "told": spoken["told"],
        "ratio": quality["class_ratio"],
    }


def lengths_of(quality: Mapping[str, Any]) -> dict[int, int]:
    """Documents of all splits by their least number of characters, in powers of two, from the shortest to the longest there are."""
    totals = [sum(held) for held in zip_longest(*(split["lengths"] for split in quality["splits"].values()), fillvalue=0)]
    filled = [k for k, held in enumerate(totals) if held]
    return {2**k: totals[k] for k in range(filled[0], filled[-1] + 1)} if filled else {}


def below(bins: Mapping[int, int], share: float) -> int:
    """The least power of two that ``share`` or more of the documents (``lengths_of`` them) are shorter than, in characters."""
    total, held = sum(bins.values()), 0
    for low, documents in bins.items():
        held += documents
        if held >= share * total:
            return 2 * low
    raise AssertionError("bins hold documents")


def _edge(low: int) -> str:
    """A power of two in four letters at most."""
    return f"{low >> 20}M" if low >= 1 << 20 else f"{low >> 10}k" if low >= 1 << 10 else str(low)


def training_of(
    histories: Mapping[str, Sequence[Mapping[str, Any]]], stages: Sequence[Mapping[str, Any]], trials: Mapping[str, Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """For each kind of training its title, plots and figures; histories and range tests are named ``stage-direction``, as the stages are."""
    from ulmfit.report import plots

    grouped: dict[str, dict[str, Sequence[Mapping[str, Any]]]] = {name: {} for name in STAGES}
    for name, history in histories.items():
        stage, _, direction = name.rpartition("-")
        grouped.setdefault(stage or name, {})[direction] = history
    records = {stage["name"]: stage["record"] for stage in stages}
    shown = []
    for stage, by_direction in grouped.items():
        title = STAGES.get(stage, stage.capitalize())
        drawn = [draw(title, by_direction) for draw in (plots.loss_svg, plots.accuracy_svg, plots.rate_svg)]
        drawn.append(plots.range_svg(title, {way: trials[name] for way in by_direction if (name := f"{stage}-{way}") in trials}))
        if any(drawn):
            found = {direction: records.get(f"{stage}-{direction}", {}) for direction in by_direction}
            unique = [_unique(svg, f"{stage}-{i}") for i, svg in enumerate(drawn) if svg]
            shown.append({"title": title, "plots": unique, "directions": list(by_direction), "figures": _figures(found)})
    return shown


def _figures(records: Mapping[str, Mapping[str, Any]]) -> list[tuple[str, list[str]]]:
    """What stages recorded of their training: rows of a title and a value for each of ``records``."""
    known: dict[str, tuple[str, Callable[[float | None], str]]] = {
        "valid_accuracy": ("validation accuracy", percent),
        "valid_macro_f1": ("validation macro-F1", percent),
        "valid_loss": ("validation loss", number),
        "temperature": ("temperature", number),
        "ece_before": ("calibration error before", percent),
        "ece_after": ("and after", percent),
        "valid_perplexity": ("validation perplexity", number),
        "lr_suggested": ("suggested learning rate", number),
        "steps": ("steps", count),
        "trained_tokens": ("tokens trained on", count),
        "tokens_per_second": ("tokens a second", count),
        "rows_kept": ("embeddings kept", count),
        "rows_new": ("embeddings new", count),
    }
    return [
        (title, [form(record.get(name)) for record in records.values()])
        for name, (title, form) in known.items()
        if any(record.get(name) is not None for record in records.values())
    ]


def _unique(svg: str, prefix: str) -> str:
    """The figure with ids that no other figure of the page has."""
    for attribute in ('id="', 'href="#', "url(#"):
        svg = svg.replace(attribute, f"{attribute}{prefix}-")
    return svg


def _grouped(settings: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Settings by stage; those of no stage under ``run``."""
    groups = {name: dict(value) for name, value in settings.items() if isinstance(value, Mapping)}
    alone = {name: value for name, value in settings.items() if not isinstance(value, Mapping)}
    return groups | ({"run": alone} if alone else {})


def flatten(tree: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    """Settings as (dotted name, value) rows, a value as ``--set`` reads it."""
    for name, value in tree.items():
        if isinstance(value, Mapping):
            yield from flatten(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value if isinstance(value, str) else json.dumps(value)


def commands_of(model: Mapping[str, Any], run: Mapping[str, Any]) -> list[tuple[str, str]]:
    """What to do with the model: titles and the text to type."""
    registered = f"models:/{model['name']}@{model['alias']}" if "name" in model else None
    place = f" --workspace {shlex.quote(run['workspace'])}" if registered and run.get("workspace") else ""
    shown = [("Classify a text", f"ulmfit predict {shlex.quote(registered or model['path'])} --text 'A text to classify.'{place}")]
    if registered:
        shown.append(("See what the model was made of", f"ulmfit lineage {shlex.quote(registered)}{place}"))
    path = json.dumps(model["path"], ensure_ascii=False)
    code = f'from ulmfit import TextClassifier\n\nmodel = TextClassifier.load({path})\nmodel.predict(["A text to classify."])'
    shown.append(("From Python", code))
    if run["tracking_uri"].startswith("sqlite:"):
        shown.append(("Browse the tracked runs", f"mlflow ui --backend-store-uri {shlex.quote(run['tracking_uri'])}"))
    return shown


def _run_link(run: Mapping[str, Any]) -> str | None:
    """The beginning of the tracking server's page of a run, where there is a server."""
    uri = run["tracking_uri"]
    return f"{uri.rstrip('/')}/#/experiments/{run['experiment']}/runs/" if uri.startswith(("http://", "https://")) else None


def result_table(given: Results) -> Table:
    """The systems and their scores, for the terminal."""
    from rich.text import Text

    results = finite(given.model_dump())
    table = _table(f"{count(results['documents'])} test documents, {percent(results['confidence'], 0)} intervals")
    shown = dict(list(metrics_of(results).items())[:3])  # as many as 80 columns hold
    titles = [title if title == "ROC AUC" else title[0].lower() + title[1:] for title in shown.values()]
    for heading in ("system", *titles, "over baseline"):
        table.add_column(heading, justify="left" if heading == "system" else "right", no_wrap=heading != "system")
    for system in systems_of(results):
        cells = [f"{percent(scores['value'])}\n{interval(scores)}" for scores in (system["scores"][metric] for metric in shown)]
        difference = system["difference"]
        cells.append(f"{signed(difference['value'])}\n{interval(difference)}" if difference else "")
        table.add_row(*(Text(cell) for cell in (system["name"], *cells)), style="bold" if system["headline"] else "")
    return table


def quality_table(quality: Mapping[str, Any]) -> Table:
    """``quality.json`` for the terminal: what was found, then lengths, languages and the labels of train."""
    from rich.text import Text

    measured, bins, spoken = quality["measured"], lengths_of(quality), quality["languages"]
    table = _table(f"{count(measured['documents'])} usable documents of {count(measured['characters'])} characters")
    for heading in ("found", "count", "share"):
        table.add_column(heading, justify="left" if heading == "found" else "right", no_wrap=heading != "found")
    sections = [[(row["title"], row["count"], row["share"]) for row in quality_rows(quality)]]
    if bins:
        edges = sorted({below(bins, share) for share in (0.5, 0.9)})
        shorter = [(edge, sum(held for low, held in bins.items() if low < edge)) for edge in edges]
        sections.append([(f"Shorter than {count(edge)} characters", held, held / sum(bins.values())) for edge, held in shorter])
    sections.append(_few(spoken["guessed"], f"Language {{}}, of {count(spoken['told'])} sampled", "languages"))
    sections.append(_few(quality["splits"].get("train", {}).get("labels", {}), "Label {} in train", "labels"))
    for section in sections:
        for title, held, share in section:
            table.add_row(*(Text(cell) for cell in (title, count(held), portion(share))))
        table.add_section()
    return table


def _few(shares: Mapping[str, Mapping[str, Any]], title: str, kind: str) -> list[tuple[str, int, float]]:
    """Rows of ``shares``, the largest first; of many, the largest few, the others together and the smallest."""
    order = sorted(shares.items(), key=lambda item: -item[1]["documents"])
    rows = [(title.format(name), shared["documents"], shared["share"]) for name, shared in order]
    if len(rows) <= FEW + 1:
        return rows
    others = rows[FEW - 1 : -1]
    together = (f"{len(others)} other {kind}", sum(held for _, held, _ in others), sum(share for *_, share in others))
    return [*rows[: FEW - 1], together, rows[-1]]


def _table(title: str) -> Table:
    from rich import box
    from rich.table import Table

    return Table(
        title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )
