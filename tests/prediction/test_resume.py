"""A prediction that was cut off goes on after its last finished piece, and ends with the same file."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from cli.main import run
from tests.serving.conftest import make_bundle
from ulmfit.prediction import answers as module
from ulmfit.prediction.predictor import Predictor

ROWS = 23


class Model:
    """A fake model that is cut off after some pieces, and notes what it is asked."""

    def __init__(self, digest: str = "one", cut_off: int | None = None):
        self.asked, self.cut_off = list[str](), cut_off
        self.predictor = SimpleNamespace(
            task="multi-class", separator="|", labels=["a", "b"], digest=digest, probabilities=self.probabilities,
            decide=lambda rows: [["a"] if first > 0.5 else ["b"] for first, _ in rows.tolist()], sure_from=lambda share: share,
        )  # fmt: skip

    def probabilities(self, texts: Sequence[str], shown: bool = True) -> np.ndarray:
        if self.cut_off is not None and len(self.asked) >= self.cut_off:
            raise KeyboardInterrupt
        self.asked += texts
        first = np.array([int(text.split()[1]) / 7 % 1 for text in texts], np.float32)
        return np.stack([first, 1 - first], axis=1)


@pytest.fixture
def source(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(module, "PIECE_RECORDS", 5)
    monkeypatch.setattr(module.pieces, "__defaults__", (5,))
    file = tmp_path / "in.csv"
    file.write_text("id,text\n" + "".join(f"{row},{f'text {row}' if row != 7 else ''}\n" for row in range(ROWS)))
    return file


def predict(monkeypatch: pytest.MonkeyPatch, model: Model, source: Path, out: Path, *options: str) -> list[str]:
    """The texts that the model was asked."""
    monkeypatch.setattr("ulmfit.prediction.predictor.Predictor", lambda folder: model.predictor)
    code = run(["predict", "folder", str(source), "--output", str(out), *options])
    assert code == (3 if out.exists() else 130)
    return model.asked


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_it_goes_on_and_ends_the_same(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, suffix: str) -> None:
    whole, out = tmp_path / f"whole.{suffix}", tmp_path / f"out.{suffix}"
    every = predict(monkeypatch, Model(), source, whole)
    first = predict(monkeypatch, Model(cut_off=10), source, out)
    assert not out.exists() and len(first) >= 10
    rest = predict(monkeypatch, Model(), source, out)
    assert first + rest == every and len(every) == ROWS - 1
    assert out.read_bytes() == whole.read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted(["in.csv", whole.name, out.name])


def test_what_has_changed_is_predicted_again(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    predict(monkeypatch, Model(cut_off=10), source, out)
    source.write_text(source.read_text().replace("text 2\n", "text 200\n"))
    again = predict(monkeypatch, Model(cut_off=100), source, out)
    assert "text 200" in again and "text 0" in again and "text 5" not in again and '"text 200"' in out.read_text()
    out.unlink()
    predict(monkeypatch, Model(cut_off=10), source, out)
    assert len(predict(monkeypatch, Model(digest="another"), source, out)) == ROWS - 1


def test_another_wish_about_labels_uses_what_there_is(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    first = predict(monkeypatch, Model(cut_off=10), source, out)
    rest = predict(monkeypatch, Model(), source, out, "--abstain-below", "0.8")
    assert len(first) + len(rest) == ROWS - 1 and "not sure" in out.read_text()


def test_damaged_pieces_are_predicted_again(source: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    out = tmp_path / "out.csv"
    predict(monkeypatch, Model(cut_off=10), source, out)
    for kept in (tmp_path / ".out.csv.unfinished").iterdir():
        kept.write_bytes(kept.read_bytes()[:-5])
    assert len(predict(monkeypatch, Model(), source, out)) == ROWS - 1


def test_a_short_input_keeps_nothing(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("text\ntext 1\n\n")
    predict(monkeypatch, Model(cut_off=0), file, tmp_path / "out.csv")
    assert [path.name for path in tmp_path.iterdir()] == ["in.csv"]


def test_models_have_digests_of_their_own(tmp_path: Path) -> None:
    bundles: list[Any] = [Predictor(make_bundle(tmp_path / str(number), seed)) for number, seed in enumerate((1, 1, 2))]
    same, again, other = (predictor.digest for predictor in bundles)
    assert same == again != other
