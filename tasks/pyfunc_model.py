"""The registered model as MLflow loads it: code and safetensors, no pickle ("models from code")."""

from pathlib import Path
from typing import Any

import pandas as pd
from mlflow.models import set_model
from mlflow.pyfunc import PythonModel

from ulmfit.prediction.predictor import Predictor


class TextClassifierModel(PythonModel):
    """Texts in, labels and probabilities out."""

    def load_context(self, context: Any) -> None:
        self.predictor = Predictor(Path(context.artifacts["bundle"]))

    def predict(self, context: Any, model_input: list[str], params: dict[str, Any] | None = None) -> pd.DataFrame:
        """``model_input``: texts, or a data frame whose only column, or column ``text``, holds them.

        Returns a frame with ``label``, or a list of ``labels`` where a text has any number of them, and a column a class,
        ``probability_<label>``.
        """
        texts = _texts(model_input)
        probabilities = self.predictor.probabilities(texts)
        decided = self.predictor.decide(probabilities)
        said = {"labels": decided} if self.predictor.task == "multi-label" else {"label": [label for (label,) in decided]}
        columns = {f"probability_{label}": probabilities[:, code] for code, label in enumerate(self.predictor.labels)}
        return pd.DataFrame({**said, **columns})


def _texts(given: Any) -> list[str]:
    if isinstance(given, pd.DataFrame):
        return [str(text) for text in given["text" if "text" in given.columns else given.columns[0]]]
    return [str(text) for text in given]


set_model(TextClassifierModel())
