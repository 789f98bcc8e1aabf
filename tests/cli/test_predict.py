"""``ulmfit predict``: where texts come from, what is answered in their place, exit codes."""

from __future__ import annotations

import errno
import io
import json
import logging
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow.parquet as pq
import pytest

from cli.main import run
from tests.conftest import ROOT
from tests.prediction.test_predictor import VOCAB, save_classifier
from ulmfit.directions import DIRECTIONS
from ulmfit.prediction.bundle import write_bundle
from ulmfit.prediction.predictor import Predictor
from ulmfit.store.temporary import temporary_folder, temporary_space
from ulmfit.text.tokenizer import Tokenizer


def fake(task: str) -> Predictor:
    """A predictor that finds the first label likely, for any text."""

    def probabilities(texts: Sequence[str], shown: bool = True) -> np.ndarray:
        return np.array([[0.75, 0.249999999999]] * len(texts), dtype=np.float64).reshape(-1, 2)

    return cast(
        Predictor,
        SimpleNamespace(
            task=task,
            separator="|",
            digest="the model",
            labels=["a", "b"],
            probabilities=probabilities,
            decide=lambda rows: [["a"] for _ in rows],
            sure_from=lambda share: share - 0.1,
        ),
    )


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The folder of a real model."""
    folder = tmp_path_factory.mktemp("tiny")
    VOCAB.save(folder / "vocab.json")
    parts = [save_classifier(folder / name, name, 1) for name in DIRECTIONS]
    write_bundle(folder / "model", *parts, folder / "vocab.json", Tokenizer().definition)
    return str(folder / "model")


class Ran:
    """``ulmfit predict folder`` with the fake model, in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], task: str = "multi-class"):
        monkeypatch.setattr("ulmfit.prediction.predictor.Predictor", lambda folder: fake(task))
        self._patch, self._captured = monkeypatch, capsys
        self.code, self.err = 0, ""

    def __call__(self, *arguments: str, stdin: bytes | None = None) -> list[dict[str, Any]]:
        if stdin is not None:
            self._patch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        self.code = run(["predict", "folder", *arguments])
        captured = self._captured.readouterr()
        self.err = captured.err
        return [json.loads(line) for line in captured.out.splitlines()]


@pytest.fixture
def predict(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Ran:
    return Ran(monkeypatch, capsys)


def test_a_row_has_its_columns_its_label_and_probabilities(predict: Ran) -> None:
    assert predict("--text", "x") == [
        {"text": "x", "label": "a", "probability": 0.75, "probabilities": {"a": 0.75, "b": 0.25}, "reason": None}
    ]
    assert predict.code == 0


def test_a_row_has_any_number_of_labels(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    rows = Ran(monkeypatch, capsys, "multi-label")("--text", "x")
    assert rows == [{"text": "x", "labels": ["a"], "probabilities": {"a": 0.75, "b": 0.25}, "reason": None}]


def test_texts_come_from_options_a_file_or_standard_input(predict: Ran, tmp_path: Path) -> None:
    (tmp_path / "texts.csv").write_text("body\none\ntwo\nthree\n")
    assert [row["text"] for row in predict("--text", "one", "--text", "two")] == ["one", "two"]
    assert [row["body"] for row in predict(str(tmp_path / "texts.csv"), "--text-column", "body")] == ["one", "two", "three"]
    for given in ((), ("-",)):
        assert [row["text"] for row in predict(*given, stdin=b"one\n")] == ["one"]
    (answer,) = predict("--text", "one", "--text", "two", "--json")
    assert len(answer["predictions"]) == answer["rows"] == 2 and answer["model"] == "folder"


def test_rows_without_a_text_are_told_with_exit_code_3(predict: Ran, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, logger="cli.predict"):
        rows = predict(stdin=b"one\n\ntwo\n \n")
    assert [(row["label"], row["reason"]) for row in rows] == [("a", None), (None, "empty"), ("a", None), (None, "empty")]
    assert predict.code == 3 and "4 rows, 2 without a prediction (2 empty); the first is row 2 of standard input" in caplog.text
    (tmp_path / "in.jsonl").write_text('{"text": 0}\n')
    (answer,) = predict(str(tmp_path / "in.jsonl"), "--json", "--output", str(tmp_path / "out.csv"))
    assert answer == {
        "model": "folder",
        "rows": 1,
        "refused": {"text is not a string": 1},
        "unsure": 0,
        "output": str(tmp_path / "out.csv"),
    }
    assert predict.code == 3 and (tmp_path / "out.csv").read_text().splitlines()[1] == "0,,,,,text is not a string"


def test_a_label_that_is_not_sure_is_not_given(predict: Ran, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    (sure,) = predict("--text", "x", "--abstain-below", "0.85")
    assert (sure["label"], sure["reason"]) == ("a", None)
    with caplog.at_level(logging.INFO, logger="cli.predict"):
        predict(stdin=b"x\n\n")
        rows = [json.loads(line) for line in write(predict, tmp_path, "jsonl").read_text().splitlines()]
    assert [(row["label"], row["probability"], row["reason"]) for row in rows] == [(None, 0.75, "not sure"), (None, None, "empty")]
    assert (
        predict.code == 3
        and "1 without a prediction (1 empty); the first is row 2 of standard input; 1 too unsure for a label" in caplog.text
    )
    assert write(predict, tmp_path, "csv").read_text().splitlines()[1] == "x,,0.75,0.75,0.25,not sure"
    (facts,) = predict("--text", "x", "--abstain-below", "0.9", "--json")
    assert facts["unsure"] == 1 and predict.code == 0
    for share in ("0", "1", "-1", "nan"):
        assert predict("--text", "x", "--abstain-below", share) == [] and predict.code == 2


def write(predict: Ran, folder: Path, suffix: str) -> Path:
    """What is written of a row and a blank one, with a label only from 0.8 on."""
    out = folder / f"out.{suffix}"
    predict("--abstain-below", "0.9", "--output", str(out), stdin=b"x\n\n")
    return out


def test_labels_are_explained(tiny: str, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    (tmp_path / "in.txt").write_text("the film was <good>\n\n")
    found = {}
    for suffix in ("jsonl", "csv", "parquet", "html"):
        out = tmp_path / f"out.{suffix}"
        assert run(["predict", tiny, str(tmp_path / "in.txt"), "--explain", "--output", str(out)]) == 3
        found[suffix] = out
    first, empty = map(json.loads, found["jsonl"].read_text().splitlines())
    assert [word["text"] for word in first["explanation"]["words"]] == ["the", "film", "was", "<good>"]
    assert first["explanation"]["label"] == first["label"] and empty["explanation"] is None
    table = pq.read_table(found["parquet"])
    assert table.column_names.index("explanation") == table.column_names.index("reason") - 1
    short = table["explanation"].to_pylist()
    assert "(+" in short[0] and short[1] is None and short[0] in found["csv"].read_text()
    page = found["html"].read_text()
    assert "row 1 of in.txt" in page and "&lt;good&gt;" in page and "empty" in page
    assert run(["predict", tiny, "--text", "x", "--output", str(tmp_path / "x.html")]) == 2 and "add --explain" in capsys.readouterr().err


def test_no_rows_are_no_fault(predict: Ran, tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text\n")
    assert predict(str(tmp_path / "in.csv")) == predict(stdin=b"") == [] and predict.code == 0


def test_standard_input_is_read_in_the_encoding_that_is_named(predict: Ran) -> None:
    assert [row["text"] for row in predict("--encoding", "cp1252", stdin=b"caf\xe9 \x93q\x94\n")] == ["café “q”"]
    assert predict(stdin=b"one\ncaf\xe9\n") == [] and predict.code == 2
    assert predict.err == ("ulmfit: standard input: byte 0xe9 in row 2 is not utf-8; name the encoding, for example --encoding cp1252\n")
    assert predict("--encoding", "utf-9", stdin=b"") == [] and "utf-9: there is no such text encoding" in predict.err


def test_standard_input_that_is_closed(predict: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", None)
    assert predict() == [] and predict.code == 2 and predict.err.startswith("ulmfit: standard input is closed; give a FILE")
    assert len(predict("--text", "x")) == 1


def test_standard_output_on_a_full_disk(predict: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    def write(_: str) -> None:
        raise OSError(errno.ENOSPC, "no more")

    monkeypatch.setattr(sys, "stdout", SimpleNamespace(write=write, encoding="utf-8"))
    predict("--text", "x")
    assert predict.code == 2 and predict.err == "ulmfit: standard output cannot be written (no more); name a file with --output\n"


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in.csv", "--text", "x"], "both --text and"),
        (["absent.csv"], "there is no such file"),
        (["in.csv", "--output", "in.csv"], "is read as input"),
        (["in.csv", "--output", "out.doc"], "does not tell a format"),
        (["in.csv", "--text-column", "body"], "there is no column 'body'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(
    predict: Ran, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], said: str
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in.csv").write_text("text\nx\n")
    assert predict(*arguments) == [] and predict.code == 2
    assert said in predict.err and predict.err.count("\n") == 1
    assert (tmp_path / "in.csv").read_text() == "text\nx\n" and not (tmp_path / "out.doc").exists()


def test_a_full_or_missing_folder_for_temporary_files_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    for error in (OSError(errno.ENOSPC, "No space left on device", "/the/model"), RuntimeError("failed: No space left on device")):
        with pytest.raises(ValueError, match=f"^{tmp_path}: no space is left for temporary files.*TMPDIR"), temporary_folder("x"):
            raise error
    with pytest.raises(ValueError, match=r"no folder for temporary files.*TMPDIR"), temporary_space():
        raise FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/x']")
    with pytest.raises(KeyError), temporary_folder("x"):
        raise KeyError("another error stays as it is")


def test_a_prediction_imports_no_workflow(tiny: str) -> None:
    """What is not imported need not be waited for. pandas, for one, is imported by pyarrow when it makes an array of a list."""
    code = "import sys; from cli.main import run; code = run(['predict', sys.argv[1], '--text', 'x']); print(code, *sorted(sys.modules))"
    command = [sys.executable, "-c", code, tiny]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    exit_code, *modules = done.stdout.splitlines()[-1].split()
    assert exit_code == "0" and "ulmfit.prediction.predictor" in modules
    heavy = {"pandas", "sklearn", "scipy", "mlflow", "prefect", "dask", "distributed", "botocore", "matplotlib", "flows", "tasks.tracking"}
    training = {name for name in modules if name.startswith("ulmfit.training.")} - {"ulmfit.training.interruption"}  # for signals
    assert not heavy.intersection(modules) and not training
