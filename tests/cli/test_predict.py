"""``ulmfit predict``: rows of one label or of several, and where texts come from."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from cli.main import run
from cli.predict import predict_texts
from ulmfit.prediction.predictor import Predictor


def fake(task: str) -> Predictor:
    """A predictor that finds the first label likely, for any text."""
    return cast(
        Predictor,
        SimpleNamespace(
            task=task,
            labels=["a", "b"],
            probabilities=lambda texts: np.array([[0.75, 0.2499999999]] * len(texts), dtype=np.float64),
            decide=lambda rows: [["a"] for _ in rows],
        ),
    )


def test_a_row_has_its_label_or_its_labels() -> None:
    assert predict_texts(fake("multi-class"), ["x"]) == [{"label": "a", "probabilities": {"a": 0.75, "b": 0.25}}]
    assert predict_texts(fake("multi-label"), ["x"]) == [{"labels": ["a"], "probabilities": {"a": 0.75, "b": 0.25}}]


@pytest.fixture
def rows(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    """The number of rows that ``ulmfit predict`` prints."""
    predictor = fake("multi-class")
    monkeypatch.setattr("ulmfit.prediction.predictor.Predictor", lambda folder: predictor)

    def predicted(*arguments: str) -> list[dict[str, Any]]:
        assert run(["predict", "folder", *arguments]) == 0
        return [json.loads(line) for line in capsys.readouterr().out.splitlines()]

    return predicted


def test_texts_come_from_options_a_file_or_standard_input(rows, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "texts.csv").write_text("body\none\ntwo\nthree\n")
    assert len(rows("--text", "one", "--text", "two")) == 2
    assert len(rows(str(tmp_path / "texts.csv"), "--text-column", "body")) == 3
    monkeypatch.setattr(sys, "stdin", io.StringIO("one\n"))
    assert len(rows()) == 1
    assert len(rows("--text", "one", "--text", "two", "--json")[0]["predictions"]) == 2
