"""Answers, written in each format: every row in its place, with all columns of the input."""

from __future__ import annotations

import csv
import errno
import io
import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from ulmfit.errors import UserError
from ulmfit.prediction import answers as module
from ulmfit.prediction.answer_files import Form, check_output, json_line, plain, written
from ulmfit.prediction.answers import Answer, Summary, answers
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.records import Record, Records, records_of_files, records_of_lines, records_of_texts


def probabilities(texts: Sequence[str], shown: bool = True) -> np.ndarray:
    """A text's length tells its classes apart."""
    first = np.array([1 / (1 + len(text)) for text in texts], np.float32)
    return np.stack([first, 1 - first], axis=1).reshape(-1, 2)


PREDICTOR = cast(
    Predictor,
    SimpleNamespace(
        labels=["a", "b"], probabilities=probabilities, decide=lambda rows: [["a"] if first >= 0.5 else ["b"] for first, _ in rows.tolist()]
    ),
)


def answer(records: Records, output: Path, separator: str | None = None) -> Summary:
    summary = Summary()
    with written(str(output), Form(records.columns, ["a", "b"], separator)) as write:
        for piece in answers(PREDICTOR, records.read()):
            write(piece)
            summary.add(piece)
    return summary


def read(path: Path) -> list[dict[str, Any]]:
    """The rows of an output, None where a cell is empty."""
    if path.suffix == ".parquet":
        return pq.read_table(path).to_pylist()
    with open(path, encoding="utf-8", newline="") as file:
        if path.suffix == ".jsonl":
            return [json.loads(line) for line in file]
        rows = list(csv.DictReader(file, delimiter="\t" if path.suffix == ".tsv" else ","))
        return [{name: value or None for name, value in row.items()} for row in rows]


@pytest.mark.parametrize("kind", ["csv", "tsv", "jsonl", "parquet"])
def test_every_row_has_its_answer_or_the_reason_in_its_place(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PIECE_RECORDS", 2)
    (tmp_path / "in.csv").write_text('no,text\n7,x\n8,\n9,"two, ""more""\nlines"\n10,a,b\n11,0\n')
    output = tmp_path / "new" / f"out.{kind}"
    summary = answer(records_of_files(str(tmp_path / "in.csv"), "text", "utf-8"), output)
    rows = read(output)
    assert [row.get("no") for row in rows] == ["7", "8", "9", None, "11"]
    assert [row["text"] for row in rows][2] == 'two, "more"\nlines'
    assert [row["label"] for row in rows] == ["a", None, "b", None, "a"]
    assert [row["probability"] and float(row["probability"]) for row in rows] == [0.5, None, pytest.approx(17 / 18), None, 0.5]
    assert [row["reason"] for row in rows] == [None, "empty", None, "wrong number of fields", None]
    if kind == "jsonl":
        assert rows[0]["probabilities"] == {"a": 0.5, "b": 0.5} and rows[1]["probabilities"] is None
    else:
        assert list(rows[0]) == ["no", "text", "label", "probability", "probability_a", "probability_b", "reason"]
        assert float(rows[2]["probability_a"]) == pytest.approx(1 / 18) and rows[1]["probability_a"] is None
    expected = "5 rows, 2 without a prediction (1 empty, 1 wrong number of fields); the first is row 2 of in.csv"
    assert (summary.rows, summary.line) == (5, expected)


def test_a_stream_is_read_as_its_answers_are_asked_for() -> None:
    stream = io.BytesIO(b"a text\n" * 100_000)
    pieces = answers(PREDICTOR, records_of_lines(stream, "stream", "utf-8").read())
    assert len(next(pieces)) == module.PIECE_RECORDS and stream.tell() < 3 * 7 * module.PIECE_RECORDS


def test_parquet_in_parquet_out_keeps_the_types(tmp_path: Path) -> None:
    table = pa.table(
        {
            "text": ["x", None],
            "at": pa.array([1, None], pa.timestamp("ns", "UTC")),
            "tags": [["a"], None],
            "kind": pa.array(["a", "b"]).dictionary_encode(),
            "raw": [b"\xff", None],
        }
    )
    pq.write_table(table, tmp_path / "in.parquet")
    answer(records_of_files(str(tmp_path / "in.parquet"), "text", "utf-8"), tmp_path / "out.parquet")
    kept = pq.read_table(tmp_path / "out.parquet").select(table.column_names)
    assert kept.schema.types == table.schema.types and kept.to_pylist() == table.to_pylist()


def test_a_column_of_the_input_is_never_replaced(tmp_path: Path) -> None:
    (tmp_path / "in.csv").write_text("text,label,reason,probability_a\nx,gold,mine,0\n")
    for kind in ("csv", "jsonl", "parquet"):
        answer(records_of_files(str(tmp_path / "in.csv"), "text", "utf-8"), tmp_path / f"out.{kind}")
        (row,) = read(tmp_path / f"out.{kind}")
        assert (row["label"], row["reason"], row["predicted_label"], row["predicted_reason"]) == ("gold", "mine", "a", None)
    (tmp_path / "in.csv").write_text("text,label,predicted_label\nx,gold,mine\n")
    with pytest.raises(UserError, match="'label' and 'predicted_label'"):
        answer(records_of_files(str(tmp_path / "in.csv"), "text", "utf-8"), tmp_path / "other.csv")
    assert not (tmp_path / "other.csv").exists()


def test_several_labels(tmp_path: Path) -> None:
    for kind, expected in (("csv", ["a", None]), ("jsonl", [["a"], None]), ("parquet", [["a"], None])):
        answer(records_of_texts(["x", ""]), tmp_path / f"out.{kind}", separator="|")
        rows = read(tmp_path / f"out.{kind}")
        assert [row["labels"] for row in rows] == expected and "probability" not in rows[0]


def test_cells_that_utf_8_or_json_do_not_have() -> None:
    assert json.loads(json_line({"x": "\ud800é"})) == {"x": "\ud800é"} and "é" in json_line({"x": "é"})
    assert json_line({"x": "é"}, "ascii") == '{"x": "\\u00e9"}\n'
    assert plain({"a": float("nan"), 1: [b"ab", 2**70]}) == {"a": None, "1": ["YWI=", 2**70]}
    record = Record("row 1", {"text": "x", "v": "\ud800"}, "x")
    assert Form({"text": pa.string(), "v": pa.string()}, ["a"]).flat(Answer(record, ["a"], [1.0]))["v"] == "\ud800"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_lone_surrogates_of_other_columns_are_written(tmp_path: Path, kind: str) -> None:
    (tmp_path / "in.jsonl").write_text('{"id": "\\ud800", "text": "x"}\n')
    answer(records_of_files(str(tmp_path / "in.jsonl"), "text", "utf-8"), tmp_path / f"out.{kind}")
    assert read(tmp_path / f"out.{kind}")[0]["label"] == "a"


@pytest.mark.parametrize("kind", ["csv", "jsonl", "parquet"])
def test_a_full_disk_is_named_and_leaves_nothing(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=f"out.{kind}: cannot be written .No space left on device.; free some space there"):
        answer(records_of_texts(["x"]), tmp_path / f"out.{kind}")
    assert not list(tmp_path.iterdir())


def test_an_error_while_reading_is_not_blamed_on_the_output(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="Input/output"), written(str(tmp_path / "out.parquet"), Form({}, ["a"])):
        raise OSError(errno.EIO, "Input/output error")
    assert not list(tmp_path.iterdir())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "in.csv").write_text("text\nx\n")
    (tmp_path / "link.csv").symlink_to(tmp_path / "texts" / "in.csv")
    os.link(tmp_path / "texts" / "in.csv", tmp_path / "hard.csv")
    return tmp_path


@pytest.mark.parametrize(
    ("output", "said"),
    [
        ("texts/in.csv", "is read as input"),
        ("link.csv", "is read as input"),
        ("hard.csv", "is read as input"),
        ("texts", "the name does not tell a format"),
        ("out.xlsx", "the name does not tell a format; end it with one of .csv"),
        ("hard.csv/out.csv", "cannot be written"),
        ("/proc/none/out.csv", "cannot be written"),
    ],
)
def test_an_output_that_cannot_be(folder: Path, output: str, said: str) -> None:
    with pytest.raises(UserError, match=f"--output .*{said}"):
        check_output(str(folder / output), str(folder / "texts" / "in.csv"))


def test_an_output_inside_the_folder_that_is_read(folder: Path) -> None:
    for output in ("texts/out.csv", "texts/in.csv"):
        with pytest.raises(UserError, match=r"--output .*is (in the folder that is read|read as input)"):
            check_output(str(folder / output), str(folder / "texts"))
    check_output(str(folder / "more" / "out.csv"), str(folder / "texts"))
    assert not list((folder / "more").iterdir()), "the check leaves no file"
