"""``ulmfit label-next``: which rows it gives, and that the file comes back as a corpus."""

from __future__ import annotations

import csv
import io
import json
import sys
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from cli.main import run
from ulmfit.corpora.ingest.quarantine import judge
from ulmfit.corpora.reading.rows import read_rows


def probabilities(texts: Sequence[str], shown: bool = True) -> np.ndarray:
    """The longer a text, the surer."""
    first = np.array([0.5 + min(len(text), 400) / 1000 for text in texts])
    return np.stack([first, 1 - first], axis=1).reshape(-1, 2)


def fake(thresholds: np.ndarray | None = None) -> SimpleNamespace:
    vectors = lambda texts: np.array([[float(text[0] == "z"), 0.0] for text in texts])
    return SimpleNamespace(probabilities=probabilities, thresholds=thresholds, vectors=vectors)


class Ran:
    """``ulmfit label-next folder`` with the fake model, in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]):
        self._captured = capsys
        self.code, self.err = 0, ""

    def __call__(self, *arguments: str) -> dict[str, Any]:
        self.code = run(["label-next", "folder", *arguments, "--json"])
        captured = self._captured.readouterr()
        self.err = captured.err
        return json.loads(captured.out) if captured.out else {}


@pytest.fixture
def label_next(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Ran:
    monkeypatch.setattr("ulmfit.prediction.predictor.Predictor", lambda folder: fake())
    monkeypatch.chdir(tmp_path)
    return Ran(capsys)


def rows(name: str) -> list[dict[str, str]]:
    with open(name, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def test_the_least_sure_rows_come_with_all_columns_and_an_empty_one(label_next: Ran) -> None:
    Path("in.csv").write_text('no,text,"a, b"\n1,xxxx,p\n2,x,"q ""r""\ns"\n3,xxx,\n4,,t\n5,xx,u\n')
    facts = label_next("in.csv", "--number", "2", "--output", "out/of/it.csv")
    assert rows("out/of/it.csv") == [
        {"no": "2", "text": "x", "a, b": 'q "r"\ns', "label": ""},
        {"no": "5", "text": "xx", "a, b": "u", "label": ""},
    ]
    told = {"rows": 5, "refused": {"empty": 1}, "labelled": 0, "chosen": 2, "output": "out/of/it.csv"}
    assert facts == {"model": "folder", "strategy": "breaking-ties", **told} and label_next.code == 0


def test_a_filled_in_file_is_a_corpus(label_next: Ran) -> None:
    """Texts arrive as they were; a row whose label is still empty is one without a label, as in any corpus."""
    texts = ['two, "more"\nlines\r\nof it', "  blanks \t", "é\u2028ü", "null\0", "=1+1", "\ufeffmark", "'"]
    Path("in.jsonl").write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    for kind in ("csv", "tsv", "jsonl", "parquet"):
        label_next("in.jsonl", "--output", f"out.{kind}")
        given = [judge(row, needs_label=True) for row in read_rows(f"out.{kind}", "text", "label", "utf-8")]
        assert [reason for reason, *_ in given] == ["no label"] * len(texts)
    filled = rows("out.csv")
    with open("back.csv", "w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, filled[0])
        writer.writeheader()
        writer.writerows(row | {"label": "yes"} for row in filled)
    found = [judge(row, needs_label=True) for row in read_rows("back.csv", "text", "label", "utf-8")]
    assert sorted(text for _, text, _, _ in found) == sorted(text.replace("\0", "") for text in texts)
    assert [label for *_, label in found] == ["yes"] * len(texts)


def test_rows_that_are_labelled_or_given_out_are_not_chosen(label_next: Ran) -> None:
    Path("in.csv").write_text("label,text\n,x\nno,xx\n ,xxx\n0,xxxx\n,Xxxxx  y\n,zzzzzzz\n")
    assert label_next("in.csv", "--output", "1.csv", "--number", "1")["labelled"] == 2
    assert [row["text"] for row in rows("1.csv")] == ["x"] and list(rows("1.csv")[0]) == ["label", "text"]
    Path("2.csv").write_text("text\nxxxxx y\n")
    facts = label_next("in.csv", "--output", "3.csv", "--labelled", "1.csv", "--labelled", "2.csv")
    assert [row["text"] for row in rows("3.csv")] == ["xxx", "zzzzzzz"]
    assert (facts["labelled"], facts["chosen"]) == (4, 2)


def test_a_text_that_occurs_often_is_given_once(label_next: Ran) -> None:
    Path("in.csv").write_text("text\n" + "x\n" * 30 + "xx\nxxx\n")
    for strategy in ("breaking-ties", "random", "diverse"):
        label_next("in.csv", "--output", f"{strategy}.csv", "--strategy", strategy, "--number", "3")
        assert sorted(row["text"] for row in rows(f"{strategy}.csv")) == ["x", "xx", "xxx"]


def test_with_several_labels_a_text_the_closest_threshold_counts(label_next: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ulmfit.prediction.predictor.Predictor", lambda folder: fake(np.array([0.55, 0.9])))
    Path("in.csv").write_text("text\n" + "".join("x" * length + "\n" for length in (1, 48, 100, 200)))
    label_next("in.csv", "--output", "out.csv", "--number", "2")
    assert [len(row["text"]) for row in rows("out.csv")] == [48, 1]


def test_random_depends_on_the_seed_and_diverse_on_the_vectors(label_next: Ran) -> None:
    Path("in.csv").write_text("text\n" + "".join(f"{'x' * number}\n" for number in range(1, 16)) + "z" * 16 + "\n" + "z" * 17 + "\n")
    chosen = {}
    for name, options in {"a": ["random"], "b": ["random"], "c": ["random", "--seed", "1"], "d": ["diverse"]}.items():
        label_next("in.csv", "--output", f"{name}.csv", "--number", "2" if name == "d" else "8", "--strategy", *options)
        chosen[name] = [row["text"] for row in rows(f"{name}.csv")]
    assert chosen["a"] == chosen["b"] != chosen["c"] and chosen["a"] != sorted(chosen["a"], key=len)
    assert chosen["d"] == ["x", "z" * 16], "the least sure of each of two groups"


def test_a_parquet_file_keeps_its_types_and_lines_come_from_standard_input(label_next: Ran, monkeypatch: pytest.MonkeyPatch) -> None:
    Path("in.jsonl").write_text('{"text": "x", "n": 3, "b": true}\n{"text": "xx", "n": 4, "b": null}\n')
    label_next("in.jsonl", "--output", "out.parquet")
    assert pq.read_table("out.parquet").to_pylist() == [
        {"text": "x", "n": 3, "b": True, "label": None},
        {"text": "xx", "n": 4, "b": None, "label": None},
    ]
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"xx\n\nx\n")))
    assert label_next("-", "--output", "lines.csv")["refused"] == {"empty": 1}
    assert rows("lines.csv") == [{"text": "x", "label": ""}, {"text": "xx", "label": ""}]


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["in.csv"], "Missing option '--output'"),
        (["absent.csv", "--output", "out.csv"], "absent.csv: there is no such file"),
        (["in.csv", "--output", "out.doc"], "does not tell a format"),
        (["in.csv", "--output", "in.csv"], "is read as input"),
        (["in.csv", "--output", "there.csv"], "is there already, and may hold labels"),
        (["in.csv", "--output", "out.csv", "--number", "0"], "--number"),
        (["in.csv", "--output", "out.csv", "--strategy", "best"], "--strategy"),
        (["in.csv", "--output", "out.csv", "--text-column", "body"], "there is no column 'body'"),
        (["in.csv", "--output", "out.csv", "--label-column", "text"], "is the column of the text"),
        (["in.csv", "--output", "out.csv", "--labelled", "gone.csv"], "gone.csv: there is no such file"),
        (["in.csv", "--output", "out.csv", "--labelled", "in.csv"], "no row is left to label (1 row, 1 labelled already)"),
        (["empty.csv", "--output", "out.csv"], "no row is left to label (0 rows)"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(label_next: Ran, arguments: list[str], said: str) -> None:
    Path("in.csv").write_text("text\nx\n")
    Path("empty.csv").write_text("text\n")
    Path("there.csv").write_text("mine\n")
    assert label_next(*arguments) == {} and label_next.code == 2
    assert said in label_next.err and label_next.err.count("\n") == 1
    assert Path("there.csv").read_text() == "mine\n" and not Path("out.csv").exists()
