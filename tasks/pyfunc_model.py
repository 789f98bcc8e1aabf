"""The registered model as MLflow loads it: code and safetensors, no pickle ("models from code")."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from ulmfit.inference import Predictor


class TextClassifierModel(PythonModel):
    """Texts in, label and probabilities out."""

    def load_context(self, context: Any) -> None:
        self.predictor = Predictor.load(Path(context.artifacts["bundle"]))

    def predict(self, context: Any, model_input: list[str], params: dict[str, Any] | None = None) -> pd.DataFrame:
        """``model_input``: texts, or a data frame whose only column, or column ``text``, holds them.

        Returns a frame with ``label`` and a column a class, ``probability_<label>``.
        """
        texts = _texts(model_input)
        probabilities = self.predictor.probabilities(texts)
        labels = self.predictor.labels
        columns = {f"probability_{label}": probabilities[:, code] for code, label in enumerate(labels)}
        return pd.DataFrame({"label": [labels[code] for code in probabilities.argmax(axis=1)], **columns})


def _texts(given: Any) -> list[str]:
    if isinstance(given, pd.DataFrame):
        return [str(text) for text in given["text" if "text" in given.columns else given.columns[0]]]
    return [str(text) for text in given]


set_model(TextClassifierModel())
