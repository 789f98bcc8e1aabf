"""Command, server, MLflow's model and notebook give the same probabilities, whatever else is predicted beside a text."""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import mlflow
import numpy as np
import pytest
from fastapi.testclient import TestClient

from cli.main import run
from serving.app import create_app
from serving.models import Folder, Models
from tasks.registry import save_pyfunc
from tests.prediction.test_predictor import LABELS, texts_of
from tests.serving.conftest import make_bundle
from ulmfit import TextClassifier
from ulmfit.prediction.predictor import Predictor

COLUMNS = [f"probability_{label}" for label in LABELS]
Way = Callable[[list[str]], np.ndarray]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make_bundle(tmp_path_factory.mktemp("ways") / "made", 5)


@pytest.fixture(scope="module")
def ways(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Way]:
    work = tmp_path_factory.mktemp("files")
    save_pyfunc(folder, work / "pyfunc")
    pyfunc = mlflow.pyfunc.load_model(str(work / "pyfunc"))
    server = Models(Folder(folder))

    def command(texts: list[str]) -> np.ndarray:
        (work / "in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
        assert run(["predict", str(folder), str(work / "in.jsonl"), "--output", str(work / "out.jsonl")]) == 0
        rows = map(json.loads, (work / "out.jsonl").read_text().splitlines())
        return np.array([[row["probabilities"][label] for label in LABELS] for row in rows])

    def asked(path: str, body: Callable[[list[str]], Any], found: Callable[[Any], list[float]]) -> Way:
        def way(texts: list[str]) -> np.ndarray:
            with TestClient(create_app(server)) as client:
                answers = [client.post(path, json=body(texts[start : start + 40])) for start in range(0, len(texts), 40)]
            assert {answer.status_code for answer in answers} == {200}
            return np.array([found(row) for answer in answers for row in answer.json()["predictions"]])

        return way

    return {
        "command": command,
        "/predict": asked("/predict", lambda texts: {"texts": texts}, lambda row: [row["probabilities"][label] for label in LABELS]),
        "/invocations": asked("/invocations", lambda texts: {"inputs": texts}, lambda row: [row[column] for column in COLUMNS]),
        "pyfunc": lambda texts: pyfunc.predict(texts)[COLUMNS].to_numpy(),
        "notebook": TextClassifier.load(folder, device="cpu").predict_proba,
    }


def agree(ways: dict[str, Way], folder: Path, lengths: list[int]) -> None:
    texts = texts_of(*lengths)
    predictor = Predictor(folder)
    alone = np.concatenate([predictor.probabilities([text], shown=False) for text in texts])
    assert len(np.unique(alone.round(4), axis=0)) > len(texts) / 4, "the texts are told apart"
    for name, way in ways.items():
        assert np.abs(way(texts) - alone).max() < 1e-6, name


def test_all_ways_agree(ways: dict[str, Way], folder: Path) -> None:
    agree(ways, folder, [1, 900, 3, 2, 40, 250, 7, 4000, 7, 14, *range(1, 90, 4)])


@pytest.mark.slow
def test_all_ways_agree_for_a_thousand_texts(ways: dict[str, Way], folder: Path) -> None:
    rng = random.Random(0)
    agree(ways, folder, [1, 20_000, *(round(20_000 ** rng.random() ** 2) for _ in range(998))])
