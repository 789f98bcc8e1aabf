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

from ulmfit import baseline, metrics
from ulmfit.config import EvaluateConfig

ENSEMBLE = "forward+backward"
EXCERPT = 400  # characters of a mistake's text

Systems = Mapping[str, NDArray[np.floating]]


def evaluate(
    systems: Systems,
    labels: NDArray[np.integer],
    label_names: Sequence[str],
    texts: Sequence[str],
    config: EvaluateConfig,
    ids: Sequence[str] | None = None,
) -> dict[str, Any]:
    """The ``results`` of ``summary.json``.

    ``systems`` maps a name to probabilities float [N, L]; ``labels`` int [N]; ``texts`` and ``ids`` [N] (default: row
    numbers). The headline is ``forward+backward``, or else the first system: its confusion matrix and mistakes are
    told, and every system is compared with the baseline where that is one of them.
    """
    headline = ENSEMBLE if ENSEMBLE in systems else next(iter(systems))
    compared = {name: probabilities for name, probabilities in systems.items() if name != baseline.NAME and baseline.NAME in systems}
    return {
        "labels": list(label_names),
        "documents": len(labels),
        "bootstrap": config.bootstrap,
        "confidence": config.confidence,
        "headline": headline,
        "baseline": baseline.NAME if baseline.NAME in systems else None,
        "systems": {name: metrics.score(labels, probabilities, config) for name, probabilities in systems.items()},
        "differences": {
            name: metrics.accuracy_difference(labels, probabilities, systems[baseline.NAME], config)
            for name, probabilities in compared.items()
        },
        "confusion": metrics.confusion(labels, systems[headline]).tolist(),
        "mistakes": mistakes(
            systems[headline], labels, label_names, texts, [str(row) for row in range(len(labels))] if ids is None else ids, config.mistakes
        ),
    }


def mistakes(
    probabilities: NDArray[np.floating],
    labels: NDArray[np.integer],
    label_names: Sequence[str],
    texts: Sequence[str],
    ids: Sequence[str],
    most: int,
) -> list[dict[str, Any]]:
    """The wrong predictions of which the system was surest, at most ``most``: where labels or data may be at fault."""
    predicted, sureness = probabilities.argmax(1), probabilities.max(1)
    wrong = np.flatnonzero(predicted != labels)
    surest = wrong[np.argsort(-sureness[wrong], kind="stable")][:most]
    return [
        {
            "id": ids[row],
            "text": excerpt(texts[row]),
            "true": label_names[labels[row]],
            "predicted": label_names[predicted[row]],
            "probability": round(float(sureness[row]), 4),
        }
        for row in surest
    ]


def excerpt(text: str) -> str:
    """The beginning of ``text`` on one line, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else line[:EXCERPT].rsplit(" ", 1)[0] + " …"


def write_predictions(folder: Path, ids: Sequence[str], labels: NDArray[np.integer], systems: Systems, label_names: Sequence[str]) -> Path:
    """Write ``predictions.parquet``: a row for each system and document.

    Columns: id, system, label and predicted (strings), probability (float32, of the predicted label), probabilities
    (list of float32, in the order of the schema's metadata ``labels``).
    """
    names = np.asarray(label_names, dtype=object)
    parts = [_predictions(name, ids, names[labels], np.asarray(shares, dtype=np.float32), names) for name, shares in systems.items()]
    table = pa.concat_tables(parts).replace_schema_metadata({"labels": json.dumps(list(label_names))})
    path = folder / "predictions.parquet"
    pq.write_table(table, path, compression="zstd")
    return path


def _predictions(system: str, ids: Sequence[str], truth: NDArray[Any], shares: NDArray[np.float32], names: NDArray[Any]) -> pa.Table:
    columns = {
        "id": pa.array(ids, pa.string()),
        "system": pa.array([system] * len(ids), pa.string()),
        "label": pa.array(truth, pa.string()),
        "predicted": pa.array(names[shares.argmax(1)], pa.string()),
        "probability": pa.array(shares.max(1), pa.float32()),
        "probabilities": pa.array(list(shares), pa.list_(pa.float32())),
    }
    return pa.table(columns)
