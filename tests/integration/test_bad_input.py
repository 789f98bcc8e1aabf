"""What people get wrong on the command line: one line that says what to do, exit code 2, nothing lost."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.conftest import CommandLine, write_tickets


@pytest.fixture(scope="module")
def tickets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_tickets(tmp_path_factory.mktemp("data") / "tickets.csv", 60)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--corpus", "nowhere.csv"], ["nowhere.csv", "no such file"]),
        (["--corpus", "{tickets}"], ["'text'", "'no', 'body', 'topic'", "--text-column"]),
        (["--corpus", "{tickets}", "--text-column", "body"], ["'label'", "--label-column"]),
        (
            ["--corpus", "{tickets}", "--text-column", "body", "--label-column", "topic", "--set", "classifier.epoch=3"],
            ["classifier.epoch", "epochs"],
        ),
        (
            ["--corpus", "{tickets}", "--text-column", "body", "--label-column", "topic", "--set", "classifier.epochs=many"],
            ["classifier.epochs", "many"],
        ),
        (
            ["--corpus", "{tickets}", "--text-column", "body", "--label-column", "topic", "--preset", "huge"],
            ["preset", "'tiny', 'small' or 'base'"],
        ),
        (["--corpus", "{tickets}", "--text-column", "body", "--label-column", "topic", "--encoding", "klingon"], ["klingon"]),
        (
            ["--corpus", "{tickets}", "--text-column", "body", "--label-column", "topic", "--workspace", "{tickets}"],
            ["--workspace", "a file"],
        ),
        (["--corpuss", "x"], ["--corpuss"]),
    ],
)
def test_one_line_and_exit_2(ulmfit: CommandLine, tickets: Path, tmp_path: Path, arguments: list[str], said: list[str]) -> None:
    given = [argument.format(tickets=tickets) for argument in arguments]
    ended = ulmfit("train", "--workspace", str(tmp_path), "--pretrain", str(tickets), *given)
    assert ended.code == 2, ended.err
    lines = ended.err.strip().splitlines()
    assert len(lines) == 1 and "Traceback" not in ended.err
    for part in said:
        assert part in lines[0]
    assert ended.out == ""


@pytest.mark.slow
def test_a_bad_label_column_is_told_before_anything_is_trained(ulmfit: CommandLine, tmp_path: Path) -> None:
    (tmp_path / "one.csv").write_text("text,label\n" + "".join(f"text number {number},same\n" for number in range(20)))
    ended = ulmfit(
        "train",
        "--corpus",
        str(tmp_path / "one.csv"),
        "--pretrain",
        str(tmp_path / "one.csv"),
        "--workspace",
        str(tmp_path / "ws"),
        "--preset",
        "tiny",
    )
    assert ended.code == 2
    told = [line for line in ended.err.splitlines() if line.startswith("ulmfit: ")]
    assert len(told) == 1 and "one class" in told[0] and "Traceback" not in ended.err
    assert not (tmp_path / "ws" / "artifacts" / "language-model").exists()


def test_doctor_finds_and_advises(ulmfit: CommandLine, tmp_path: Path) -> None:
    ended = ulmfit("doctor", "--workspace", str(tmp_path), "--json", ULMFIT_DATA=str(tmp_path / "nowhere"))
    assert ended.code == 1
    findings = {finding["subject"]: finding for finding in ended.json["findings"]}
    assert findings["ULMFIT_DATA"]["level"] == "error" and findings["ULMFIT_DATA"]["remedy"]
    assert findings["artifacts"]["level"] == "ok"
