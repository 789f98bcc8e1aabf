"""Suspects by ULMFiT as a user asks for them: found labels that are wrong, nothing made twice, and a section of later reports."""

from __future__ import annotations

import csv
from pathlib import Path

import pytest

from tests.conftest import CommandLine, write_general, write_tickets

ROWS, EVERY = 400, 20


@pytest.mark.slow
def test_wrong_labels_are_found_by_ulmfit_and_shown_in_the_reports_of_that_corpus(ulmfit: CommandLine, tmp_path: Path) -> None:
    with open(write_tickets(tmp_path / "true.csv", ROWS), newline="") as file:
        rows = list(csv.reader(file))
    wrong = list(range(EVERY, ROWS + 1, EVERY))
    for number in wrong:
        rows[number][2] = "billing" if rows[number][2] != "billing" else "network"
    with open(tmp_path / "tickets.csv", "w", newline="") as file:
        csv.writer(file).writerows(rows)
    corpus, general = str(tmp_path / "tickets.csv"), str(write_general(tmp_path / "general.txt", 60))
    columns = [
        "--text-column",
        "body",
        "--label-column",
        "topic",
        "--pretrain",
        general,
        "--preset",
        "tiny",
        "--workspace",
        str(tmp_path / "home"),
    ]
    options = ["--reading", "forward", "--set", "classifier.epochs=6", "--set", "classifier.lr=0.03", "--json"]
    asked = ["suspects", corpus, *columns, *options, "--method", "ulmfit", "--output"]
    ran = ulmfit(*asked, str(tmp_path / "first.csv"))
    assert ran.code == 0, ran.err
    assert ran.json["method"] == "ULMFiT, forward, 5 folds" and ran.json["suspects"] > 0
    with open(tmp_path / "first.csv", newline="") as file:
        found = [int(row["row"]) for row in csv.DictReader(file)]
    hits = len(set(found[: len(wrong)]) & set(wrong))
    assert hits >= 3 * len(wrong) / EVERY, f"{hits} of the first {len(wrong)}, where chance gives {len(wrong) / EVERY}"
    again = ulmfit(*asked, str(tmp_path / "again.csv"))
    assert (tmp_path / "again.csv").read_bytes() == (tmp_path / "first.csv").read_bytes()
    assert ": done (" in ran.err and ": done (" not in again.err
    study = ulmfit("data-quantity", corpus, *columns, "--labels", "20", "--methods", "tfidf", "--trials", "1", "--json")
    assert study.code == 0, study.err
    assert study.json["corpora"][0]["suspects"]["number"] == ran.json["suspects"]
    assert "Labels that may be wrong" in Path(study.json["report"]).read_text()
