"""The page Now, and the JSON behind it."""

from __future__ import annotations

import time

from tests.dashboard.home import Home
from tests.report.example import Page


def test_a_champion_is_shown_with_its_score_and_what_waits(told: Home) -> None:
    with told.looking(read=False) as client:
        found = client.get("/api/v1/now").json()
        page = Page(client.get("/").text)
    (model,) = found["models"]
    assert (model["name"], model["champion"], model["versions"]) == ("tickets", "2", 3)
    assert [reign["version"] for reign in model["reigns"]] == ["1", "2"]
    accuracy = model["reigns"][1]["accuracy"]
    assert accuracy["low"] < accuracy["value"] < accuracy["high"]
    assert model["waiting"] == {"files": 1, "documents": 12, "labels": 7}
    assert "Version 2" in page.text and "it reads better" in page.text and "12 documents, 7 labels" in page.text


def test_what_the_gate_blocked_needs_a_person_until_another_version_passes(lived: Home) -> None:
    with lived.looking() as client:
        (blocked,) = client.get("/api/v1/now").json()["attention"]
        assert (blocked["kind"], blocked["version"], blocked["reason"]) == ("blocked", "3", "blocked: It is worse.")
        lived.decide("promoted", "3", champion="2")
        lived.read()
        assert client.get("/api/v1/now").json()["attention"] == []


def test_a_run_under_way_is_timed_by_those_before_it(home: Home) -> None:
    stages = {"ulmfit.stage.tokenise": "key made", "ulmfit.stage.encode": "key made"}
    for start in (1000, 2000, 3000):
        home.run(start=start, end=start + 100, tags=stages)
    under_way = home.run("train now", None, start=time.time() - 60, tags=dict(list(stages.items())[:1]))
    home.run("encode", None, parent=under_way)
    with home.looking() as client:
        (run,) = client.get("/api/v1/now").json()["running"]
    assert (run["name"], run["stages"], run["done"], run["of"]) == ("train now", ["encode"], 1, 2)
    assert 30 < run["seconds_left"] <= 40


def test_a_failure_is_told_until_a_later_run_is_finished(home: Home) -> None:
    home.run(status="FAILED", start=time.time() - 100)
    with home.looking() as client:
        (failed,) = client.get("/api/v1/now").json()["attention"]
        assert failed["kind"] == "failed" and "train tickets of ulmfit-tickets failed" in failed["reason"]
        home.run()
        home.read()
        assert client.get("/api/v1/now").json()["attention"] == []


def test_an_empty_workspace_says_what_to_do(home: Home) -> None:
    with home.looking() as client:
        assert "There is no model yet" in client.get("/").text


def test_files_that_cannot_be_read_and_damaged_records_need_a_person(lived: Home) -> None:
    aside = {"name": "bad.csv", "stamp": "", "content": "", "reading": "", "reason": "there is no column text"}
    lived.landed(set_aside=[aside])
    folder = next((lived.workspace.root / "artifacts" / ".decisions").iterdir())
    (folder / "20260101T000000000000Z-0.json").write_text("{}")
    with lived.looking() as client:
        found = {each["kind"]: each["reason"] for each in client.get("/api/v1/now").json()["attention"]}
    assert found["set aside"] == "bad.csv: there is no column text"
    assert "cannot be read" in found["damaged"]
