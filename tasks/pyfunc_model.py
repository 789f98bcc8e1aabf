"""The registered model as MLflow loads it: code and safetensors, no pickle ("models from code")."""

from collections.abc import Iterable, Mapping, Set
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from mlflow.exceptions import MlflowException
from mlflow.models import set_model
from mlflow.protos.databricks_pb2 import INVALID_PARAMETER_VALUE
from mlflow.pyfunc import PythonModel

from ulmfit.prediction.predictor import Predictor, Probabilities

TEXT = "text"  # the column
NO_LIST = str | bytes | Mapping | Set  # what Python can go through, but is no list of texts


class TextClassifierModel(PythonModel):
    """Texts in, labels and probabilities out."""

    def load_context(self, context: Any) -> None:
        self.predictor = Predictor(Path(context.artifacts["bundle"]))

    # Most type hints make MLflow refuse every other form, and none at all makes it warn; of this one it takes no notice. Why there
    # is no signature either is told in tasks/registry.py.
    def predict(self, context: Any, model_input: pd.DataFrame, params: dict[str, Any] | None = None) -> pd.DataFrame:
        """``model_input``: texts in any form of ``texts_of``; an MlflowException of one line where it holds anything else.

        Returns a frame with ``label``, or a list of ``labels`` where a text has any number of them, and a column a class,
        ``probability_<label>``.
        """
        return frame_of(self.predictor, self.predictor.probabilities(texts_of(model_input)))


def frame_of(predictor: Predictor, probabilities: Probabilities) -> pd.DataFrame:
    """What is predicted by ``probabilities`` [N, L], as ``TextClassifierModel.predict`` returns it."""
    decided = predictor.decide(probabilities)
    said = {"labels": decided} if predictor.task == "multi-label" else {"label": [label for (label,) in decided]}
    columns = {f"probability_{label}": probabilities[:, code] for code, label in enumerate(predictor.labels)}
    return pd.DataFrame({**said, **columns})


def texts_of(given: Any) -> list[str]:
    """The texts in what MLflow passes on: a string; a list, array or Series of them; a frame, a dict or a list of records with a
    column ``text``. MlflowException, which becomes an answer of 400, where there is no such column, or a text is missing or no string.
    """
    texts = [_scalar(text) for text in _column(given)]
    for row, text in enumerate(texts, 1):
        if not isinstance(text, str):
            missing = text is None or text is pd.NA or (isinstance(text, float) and text != text)
            raise Refusal(f"the text in row {row} is {'missing' if missing else f'of type {type(text).__name__}'}", "give a string")
    return texts


def _column(given: Any) -> Iterable[Any]:
    if isinstance(given, pd.DataFrame):
        return _of_frame(given)
    if isinstance(given, pd.Series) and TEXT in given.index:  # a row of a frame
        given = given.to_dict()
    if isinstance(given, Mapping):
        return _listed(_of_record(given))
    if isinstance(given, np.ndarray) and given.ndim == 2 and given.shape[1] == 1:
        return given[:, 0].tolist()
    given = _listed(given)
    return [_of_record(item) if isinstance(item, Mapping) else item for item in given]


def _listed(given: Any) -> Iterable[Any]:
    given = _scalar(given)
    return given if isinstance(given, Iterable) and not isinstance(given, NO_LIST) else [given]


def _scalar(value: Any) -> Any:
    """What MLflow's server makes an array without a dimension."""
    return value.item() if isinstance(value, np.ndarray) and value.ndim == 0 else value


def _of_frame(frame: pd.DataFrame) -> Iterable[Any]:
    columns = frame.columns.tolist()
    if columns == [0]:  # a table without names
        return frame[0].tolist()
    if columns.count(TEXT) == 1:
        return frame[TEXT].tolist()
    raise Refusal(f"{columns.count(TEXT) or 'no'} columns have the name {TEXT!r}", "name one of them so", columns)


def _of_record(record: Mapping[Any, Any]) -> Any:
    if TEXT not in record:
        raise Refusal(f"there is no {TEXT!r}", "name the text so", list(record))
    return record[TEXT]


def _names(columns: list[Any]) -> str:
    return ", ".join(repr(str(name)[:40]) for name in columns[:10]) + (", ..." if len(columns) > 10 else "") or "none"


class Refusal(MlflowException):
    """An error that MLflow's server answers with 400 and without a traceback. ``brief``: without the names that were given."""

    def __init__(self, fault: str, remedy: str, names: list[Any] | None = None):
        self.brief = f"{fault}; {remedy}"
        known = f" (there are: {_names(names)})" if names is not None else ""
        super().__init__(f"{fault}{known}; {remedy}", error_code=INVALID_PARAMETER_VALUE)


set_model(TextClassifierModel())
