"""What trained systems predict for held-out documents: the arrays, and ``predictions.parquet``."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from ulmfit.directions import answer_among
from ulmfit.evaluation import metrics
from ulmfit.labels.label_set import indicators

FILE = "predictions.parquet"
Strings = NDArray[np.object_]


@dataclass(frozen=True, eq=False)
class HeldOut:
    """N documents to judge systems by: ``ids`` and ``texts`` [N], and their true ``labels``.

    ``labels`` is int [N], a class each, or bool [N, L], any number of labels each. ``names`` [L] are the labels' names.
    """

    ids: Sequence[str]
    texts: Sequence[str]
    labels: metrics.Labels
    names: Sequence[str]

    @property
    def several(self) -> bool:
        """Whether a document may have any number of labels."""
        return self.labels.ndim == 2


@dataclass(frozen=True, eq=False)
class Predictions:
    """What one system predicts for N documents: ``probabilities`` float [N, L], and ``uncalibrated``, the same before its temperature.

    A label is predicted from its ``thresholds`` [L] on, or else from 0.5; this matters where a document may have several labels.
    """

    probabilities: metrics.Floats
    uncalibrated: metrics.Floats | None = None
    thresholds: metrics.Floats | None = None


def write_predictions(folder: Path, systems: Mapping[str, Predictions], documents: HeldOut) -> Path:
    """Write ``predictions.parquet``, a row for each system and document, and return its path.

    Columns: id, system, label and predicted (strings), probability (float32, of the predicted label), probabilities
    (list of float32, in the order of the schema's metadata ``labels``). Where a document may have several labels, label and
    predicted are lists of strings, and there is no probability.
    """
    names: Strings = np.asarray(documents.names, dtype=object)
    parts = []
    for system, predictions in systems.items():
        shares = np.asarray(predictions.probabilities, dtype=np.float32)
        known = {"id": pa.array(documents.ids, pa.string()), "system": pa.array([system] * len(shares), pa.string())}
        if documents.several:
            found = {"label": documents.labels, "predicted": metrics.decisions(shares, predictions.thresholds)}
            known |= {column: pa.array([names[row].tolist() for row in rows], pa.list_(pa.string())) for column, rows in found.items()}
        else:
            found = {"label": documents.labels, "predicted": shares.argmax(1)}
            known |= {column: pa.array(names[codes], pa.string()) for column, codes in found.items()}
            known["probability"] = pa.array(shares.max(1), pa.float32())
        parts.append(pa.table(known | {"probabilities": pa.array(list(shares), pa.list_(pa.float32()))}))
    table = pa.concat_tables(parts).replace_schema_metadata({"labels": json.dumps(list(documents.names))})
    pq.write_table(table, folder / FILE, compression="zstd")
    return folder / FILE


@dataclass(frozen=True, eq=False)
class WrittenPredictions:
    """What :func:`write_predictions` wrote of one system for N documents: their ``ids``, true ``labels`` and ``probabilities`` float32 [N, L].

    ``labels`` is int [N], a class each, or bool [N, L]; ``names`` [L] are the labels' names.
    """

    ids: list[str]
    names: list[str]
    labels: metrics.Labels
    probabilities: metrics.Floats


def read_answers(folder: Path) -> WrittenPredictions:
    """What the model answers, in the folder of its evaluation; FileNotFoundError where there are no predictions."""
    systems = pc.unique(pq.read_table(folder / FILE, columns=["system"])["system"]).to_pylist()
    return read_predictions(folder, answer_among(systems))


def read_judged(folder: Path, system: str) -> NDArray[np.bool_]:
    """Whether ``system`` is right about each document, bool [N]: its class, or all its labels and no other."""
    table = pq.read_table(folder / FILE, columns=["label", "predicted"], filters=[("system", "=", system)])
    return np.array(
        [true == found for true, found in zip(*(table[name].to_pylist() for name in ("label", "predicted")), strict=True)], dtype=bool
    )


def read_predictions(folder: Path, system: str) -> WrittenPredictions:
    """The predictions of ``system`` in the folder of an evaluation; FileNotFoundError where there are none."""
    table = pq.read_table(folder / FILE, columns=["id", "label", "probabilities"], filters=[("system", "=", system)])
    names = json.loads(table.schema.metadata[b"labels"])
    given = table["label"].to_pylist()
    codes = {name: code for code, name in enumerate(names)}
    several = pa.types.is_list(table.schema.field("label").type)
    labels = indicators(given, names) if several else np.array([codes[label] for label in given], dtype=np.int64)
    shares = table["probabilities"].combine_chunks().flatten().to_numpy(zero_copy_only=False).reshape(len(given), len(names))
    return WrittenPredictions(table["id"].to_pylist(), names, labels, shares)
