"""``ulmfit predict``: from a folder or a registry URI, and texts from wherever they come."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

from ulmfit.errors import UserError
from ulmfit.prediction.predictor import Predictor


def predict_texts(model: str, texts: list[str], workspace: str | None) -> list[dict[str, Any]]:
    """``{"label", "probabilities": {label: p}}`` a text, in order; ``"labels": [...]`` where a text has any number of them."""
    predictor = _load(model, workspace)
    probabilities = predictor.probabilities(texts)
    return [
        ({"labels": labels} if predictor.task == "multi-label" else {"label": labels[0]})
        | {"probabilities": {name: round(float(value), 6) for name, value in zip(predictor.labels, row, strict=True)}}
        for labels, row in zip(predictor.decide(probabilities), probabilities, strict=True)
    ]


def _load(model: str, workspace: str | None) -> Predictor:
    if not model.startswith("models:/"):
        return Predictor.load(Path(model))
    from tasks.registry import fetch_bundle
    from tasks.workspace import Workspace

    with tempfile.TemporaryDirectory(prefix="ulmfit-predict-") as folder:
        return Predictor.load(fetch_bundle(Workspace.open(workspace).tracking_uri, model, Path(folder)))


def read_texts(file: Path | None, texts: list[str] | None, text_column: str, encoding: str) -> list[str]:
    """The texts of ``--text``, else of ``file``, else the lines of standard input."""
    if texts:
        return list(texts)
    if file is None:
        if sys.stdin.isatty():
            raise UserError("nothing to predict: give a FILE, --text '...', or lines on standard input")
        return [line.rstrip("\n") for line in sys.stdin]
    from ulmfit.corpora.reading.rows import read_rows

    return [str(row.text or "") for row in read_rows(file, text_column, None, encoding)]
