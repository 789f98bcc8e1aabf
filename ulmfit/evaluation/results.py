"""What the report says of the trained systems: scores, differences from the baseline, mistakes; and their predictions as a file."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ulmfit.config import EvaluateConfig
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation import baseline, metrics
from ulmfit.evaluation.calibration import expected_calibration_error, reliability

EXCERPT = 400  # characters of a mistake's text

Systems = Mapping[str, NDArray[np.floating]]
Thresholds = Mapping[str, NDArray[np.floating] | None]


def evaluate(
    systems: Systems,
    labels: metrics.Labels,
    label_names: Sequence[str],
    texts: Sequence[str],
    config: EvaluateConfig,
    ids: Sequence[str] | None = None,
    thresholds: Thresholds | None = None,
    uncalibrated: Systems | None = None,
) -> dict[str, Any]:
    """The ``results`` of ``summary.json``.

    ``systems`` maps a name to probabilities float [N, L]; ``labels`` int [N], a class each, or bool [N, L], any number of labels each;
    ``texts`` and ``ids`` [N] (default: row numbers). ``thresholds`` [L] of a system: from where on a label is predicted (default: 0.5).
    ``uncalibrated``: the probabilities of systems before their temperatures. The headline is ``forward+backward``, or else the
    first system: its labels and mistakes are told, and every system is compared with the baseline where that is one of them.
    """
    headline = ENSEMBLE if ENSEMBLE in systems else next(iter(systems))
    limits = {name: (thresholds or {}).get(name) for name in systems}
    several = labels.ndim == 2
    rows = [str(row) for row in range(len(labels))] if ids is None else ids
    return {
        "task": "multi-label" if several else "multi-class",
        "labels": list(label_names),
        "documents": len(labels),
        "bootstrap": config.bootstrap,
        "confidence": config.confidence,
        "headline": headline,
        "baseline": baseline.NAME if baseline.NAME in systems else None,
        "systems": {name: metrics.score(labels, shares, config, limits[name]) for name, shares in systems.items()},
        "differences": _differences(systems, labels, config, limits),
        "calibration": _calibration(systems, uncalibrated or {}, labels, headline),
        "confusion": None if several else metrics.confusion(labels, systems[headline]).tolist(),
        "per_label": metrics.per_label(labels, systems[headline], limits[headline]),
        "mistakes": mistakes(systems[headline], labels, label_names, texts, rows, config.mistakes, limits[headline]),
    }


def _differences(systems: Systems, labels: metrics.Labels, config: EvaluateConfig, thresholds: Thresholds) -> dict[str, Any]:
    """Of every system but the baseline, where there is one."""
    if baseline.NAME not in systems:
        return {}
    other, limit = systems[baseline.NAME], thresholds[baseline.NAME]
    return {
        name: metrics.accuracy_difference(labels, shares, other, config, (thresholds[name], limit))
        for name, shares in systems.items()
        if name != baseline.NAME
    }


def _calibration(systems: Systems, uncalibrated: Systems, labels: metrics.Labels, headline: str) -> dict[str, Any]:
    """Expected calibration errors of all systems, None before where there is no temperature; and the headline's bins."""
    ece = expected_calibration_error
    return {
        "systems": {
            name: {"before": ece(uncalibrated[name], labels) if name in uncalibrated else None, "after": ece(shares, labels)}
            for name, shares in systems.items()
        },
        "reliability": {
            when: reliability(of[headline], labels) for when, of in (("before", uncalibrated), ("after", systems)) if headline in of
        },
    }


def mistakes(
    probabilities: NDArray[np.floating],
    labels: metrics.Labels,
    label_names: Sequence[str],
    texts: Sequence[str],
    ids: Sequence[str],
    most: int,
    thresholds: NDArray[np.floating] | None = None,
) -> list[dict[str, Any]]:
    """The wrong predictions of which the system was surest, at most ``most``: where labels or data may be at fault.

    Of several labels a document, those with the most wrong labels come first; ``probability`` is then that of what was said of
    these labels, on average.
    """
    names = np.asarray(label_names, dtype=object)
    said: Sequence[Any]
    true: Sequence[Any]
    if labels.ndim == 1:
        predicted, sureness = probabilities.argmax(1), probabilities.max(1)
        faults = (predicted != labels).astype(np.int64)
        said, true = names[predicted].tolist(), names[labels].tolist()
    else:
        decided = metrics.decisions(probabilities, thresholds)
        wrong = decided != labels
        faults = wrong.sum(1)
        sureness = np.where(wrong, np.where(decided, probabilities, 1 - probabilities), 0).sum(1) / np.maximum(faults, 1)
        said, true = ([names[row].tolist() for row in held] for held in (decided, labels))
    first = np.lexsort((-sureness, -faults))[: min(most, int((faults > 0).sum()))]
    return [
        {
            "id": ids[row],
            "text": excerpt(texts[row]),
            "true": true[row],
            "predicted": said[row],
            "probability": round(float(sureness[row]), 4),
        }
        for row in first
    ]


def excerpt(text: str) -> str:
    """The beginning of ``text`` on one line, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else line[:EXCERPT].rsplit(" ", 1)[0] + " …"


def write_predictions(
    folder: Path,
    ids: Sequence[str],
    labels: metrics.Labels,
    systems: Systems,
    label_names: Sequence[str],
    thresholds: Thresholds | None = None,
) -> Path:
    """Write ``predictions.parquet``: a row for each system and document.

    Columns: id, system, label and predicted (strings), probability (float32, of the predicted label), probabilities
    (list of float32, in the order of the schema's metadata ``labels``). Of several labels a document, label and predicted are lists
    of strings, and there is no probability.
    """
    names = np.asarray(label_names, dtype=object)
    parts = []
    for system, given in systems.items():
        shares = np.asarray(given, dtype=np.float32)
        told = _classes(labels, shares, names) if labels.ndim == 1 else _label_lists(labels, shares, names, (thresholds or {}).get(system))
        columns = {"id": pa.array(ids, pa.string()), "system": pa.array([system] * len(ids), pa.string()), **told}
        parts.append(pa.table(columns | {"probabilities": pa.array(list(shares), pa.list_(pa.float32()))}))
    table = pa.concat_tables(parts).replace_schema_metadata({"labels": json.dumps(list(label_names))})
    path = folder / "predictions.parquet"
    pq.write_table(table, path, compression="zstd")
    return path


def _classes(labels: metrics.Ints, shares: NDArray[np.float32], names: NDArray[Any]) -> dict[str, pa.Array]:
    return {
        "label": pa.array(names[labels], pa.string()),
        "predicted": pa.array(names[shares.argmax(1)], pa.string()),
        "probability": pa.array(shares.max(1), pa.float32()),
    }


def _label_lists(
    truth: metrics.Truth, shares: NDArray[np.float32], names: NDArray[Any], thresholds: NDArray[np.floating] | None
) -> dict[str, pa.Array]:
    held = {"label": truth, "predicted": metrics.decisions(shares, thresholds)}
    return {column: pa.array([names[row].tolist() for row in rows], pa.list_(pa.string())) for column, rows in held.items()}
