"""``ulmfit suspects``: which rows it lists, and how."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path

import pytest

from cli.main import run
from tasks.suspects import kept_suspects
from tasks.workspace import Workspace
from tests.conftest import write_tickets
from ulmfit.corpora.source import CorpusSource


@pytest.fixture
def wrong(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """A file in.csv of tickets of which every 25th has a wrong label; the numbers of these rows."""
    monkeypatch.chdir(tmp_path)
    with open(write_tickets(tmp_path / "true.csv", 500), newline="") as file:
        rows = list(csv.reader(file))
    numbers = list(range(25, 501, 25))
    for number in numbers:
        rows[number][2] = "billing" if rows[number][2] != "billing" else "network"
    rows[3][1] = "[red]\n" + rows[3][1]
    with open("in.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    return numbers


def suspects(*arguments: str) -> int:
    return run(["suspects", *arguments, "--text-column", "body", "--label-column", "topic"])


def test_wrong_labels_come_first_with_what_is_suggested(wrong: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert suspects("in.csv", "--output", "out.csv", "--json") == 0
    with open("out.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert list(found[0]) == ["id", "row", "text", "label", "suggested", "score"]
    first = {int(row["row"]): row for row in found[: len(wrong)]}
    assert len(set(wrong) & set(first)) >= 10 and len(found) < 30
    with open("true.csv", newline="") as file:
        true = list(csv.DictReader(file))
    for number in set(wrong) & set(first):
        assert first[number]["suggested"] == true[number - 1]["topic"] != first[number]["label"]
        assert first[number]["id"] == f"in.csv:{number}" and first[number]["text"] == true[number - 1]["body"]
    scores = [float(row["score"]) for row in found]
    assert scores == sorted(scores, reverse=True) and scores[-1] > 0
    out = capsys.readouterr().out
    facts = json.loads(out.splitlines()[-1])
    assert facts["suspects"] == len(found) and facts["rows"] == 500 and facts["output"] == "out.csv"
    assert f"in.csv:{found[0]['row']}" in out


def test_rows_of_the_same_text_and_label_do_not_confirm_each_other(wrong: list[int]) -> None:
    with open("in.csv", newline="") as file:
        rows = list(csv.reader(file))
    assert suspects("in.csv", "--output", "first.jsonl") == 0
    likeliest = json.loads(Path("first.jsonl").read_text().splitlines()[0])["row"]
    with open("in.csv", "w", newline="") as file:
        csv.writer(file).writerows([*rows, *[rows[likeliest]] * 10])
    assert suspects("in.csv", "--output", "out.jsonl") == 0
    found = [json.loads(line) for line in Path("out.jsonl").read_text().splitlines()]
    assert [row["row"] for row in found if row["text"] == rows[likeliest][1]] == [likeliest, *range(501, 511)]


def test_rows_that_cannot_be_judged_are_told(wrong: list[int], caplog: pytest.LogCaptureFixture) -> None:
    with open("in.csv", "a") as file:
        file.write("1,a lonely one,rare\n2,,billing\n3,no label,\n")
    with caplog.at_level("WARNING"):
        assert suspects("in.csv") == 0
    assert "2 rows cannot be judged (1 empty, 1 no label); the first is row 502 of in.csv" in caplog.text
    assert "1 labels have a single text, which cannot be judged; the first is 'rare'" in caplog.text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["gone.csv"], "gone.csv: there is no such file"),
        (["in.csv", "--output", "in.csv"], "is read as input"),
        (["in.csv", "--output", "out.xls"], "does not tell a format"),
        (["in.csv", "--encoding", "utf-9"], "there is no such text encoding"),
        (["one.csv"], "one.csv: its rows have 1 labels, and suspects need two"),
        (["other.csv"], "there is no column 'body'"),
    ],
)
def test_what_is_wrong_is_told_in_one_line(wrong: list[int], arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    Path("one.csv").write_text("body,topic\nx,a\ny,a\n")
    Path("other.csv").write_text("text,topic\nx,a\n")
    before = Path("in.csv").read_bytes()
    assert suspects(*arguments) == 2
    err = capsys.readouterr().err
    assert said in err and err.count("\n") == 1 and Path("in.csv").read_bytes() == before


def test_the_list_is_kept_for_reports_until_the_file_changes(wrong: list[int]) -> None:
    workspace = Workspace.named("home")
    source = CorpusSource("in.csv", "body", "topic")
    assert suspects("in.csv", "--workspace", "home") == 0 and not Path("home").exists(), "no workspace is made for it"
    Path("home").mkdir()
    assert suspects("in.csv", "--workspace", "home") == 0
    kept = kept_suspects(workspace, replace(source, test="test.csv", unlabelled="more.csv"))
    assert kept and kept.rows == 500 and kept.first[0].suggested != kept.first[0].label
    assert kept_suspects(workspace, replace(source, label_column="no")) is None
    with open("in.csv", "a") as file:
        file.write("9,another,billing\n")
    assert kept_suspects(workspace, source) is None


def test_by_ulmfit_a_text_has_one_label(wrong: list[int], capsys: pytest.CaptureFixture[str]) -> None:
    assert suspects("in.csv", "--method", "ulmfit", "--set", "classifier.task=multi-label") == 2
    assert "one label" in capsys.readouterr().err
    assert suspects("in.csv", "--method", "svm") == 2
