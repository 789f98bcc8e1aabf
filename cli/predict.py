"""``ulmfit predict``: a model from a folder or the registry, and texts from options, a file or standard input."""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, NotRequired, Optional, TypedDict

import typer
from pydantic import BaseModel, Field

from cli.options import WORKSPACE, AsJson, options_of, print_json
from ulmfit.errors import UserError

if TYPE_CHECKING:
    from ulmfit.prediction.predictor import Predictor


class Prediction(TypedDict):
    """What is predicted of one text: its ``label``, or its ``labels`` where it may have any number of them."""

    label: NotRequired[str]
    labels: NotRequired[list[str]]
    probabilities: dict[str, float]


class PredictRequest(BaseModel):
    """The options of ``ulmfit predict``."""

    text: list[str] = Field(default_factory=list, description="a text")
    text_column: str = Field("text", description="column that holds the text")
    encoding: str = Field("utf-8", description="encoding of the text files")
    workspace: str | None = Field(None, description=WORKSPACE)


@options_of(PredictRequest)
def predict(
    model: Annotated[str, typer.Argument(help="a model's folder, or models:/NAME@ALIAS, or models:/NAME/VERSION")],
    file: Annotated[
        Optional[Path],  # noqa: UP045
        typer.Argument(help="csv, tsv, jsonl, parquet or a folder; without it, --text or standard input"),
    ] = None,
    *,
    as_json: AsJson = False,
    **fields: object,
) -> None:
    """Label and probabilities of texts, a line of JSON each."""
    request = PredictRequest.model_validate(fields)
    predictions = predict_texts(_load(model, request.workspace), request.text or _read_texts(file, request))
    if as_json:
        print_json({"model": model, "predictions": predictions})
        return
    for prediction in predictions:
        typer.echo(json.dumps(prediction, ensure_ascii=False))


def predict_texts(predictor: Predictor, texts: list[str]) -> list[Prediction]:
    """The predictions for ``texts``, in order; probabilities are rounded to six digits."""
    probabilities = predictor.probabilities(texts)
    predictions = []
    for labels, row in zip(predictor.decide(probabilities), probabilities, strict=True):
        shares = {name: round(float(value), 6) for name, value in zip(predictor.labels, row, strict=True)}
        if predictor.task == "multi-label":
            predictions.append(Prediction(labels=labels, probabilities=shares))
        else:
            predictions.append(Prediction(label=labels[0], probabilities=shares))
    return predictions


def _load(model: str, workspace: str | None) -> Predictor:
    from ulmfit.prediction.predictor import Predictor

    if not model.startswith("models:/"):
        return Predictor(Path(model))
    from tasks.registry import fetch_bundle, resolve
    from tasks.workspace import Workspace

    home = Workspace.named(workspace)
    version = resolve(home, model)
    with tempfile.TemporaryDirectory(prefix="ulmfit-predict-") as folder:
        return Predictor(fetch_bundle(home, version, Path(folder)))


def _read_texts(file: Path | None, request: PredictRequest) -> list[str]:
    """The texts of ``file``, or the lines of standard input. UserError where standard input is a terminal."""
    from ulmfit.corpora.reading.rows import read_rows

    if file is not None:
        return [str(row.text or "") for row in read_rows(file, request.text_column, None, request.encoding)]
    if sys.stdin.isatty():
        raise UserError("nothing to predict: give a FILE, --text '...', or lines on standard input")
    return [line.rstrip("\n") for line in sys.stdin]
