"""The pages of runs: filter, pages, one run, several side by side."""

from __future__ import annotations

import re
import time

from tests.dashboard.home import Home
from tests.report.example import Page


def test_runs_are_filtered(home: Home) -> None:
    parent = home.run("train 100% sure", metrics={"forward-backward.accuracy": 0.75}, start=1000, end=1060)
    home.run("encode", parent=parent)
    home.run("other", "FAILED", tags={"ulmfit.flow": "retrain"})
    with home.looking() as client:
        names = lambda **query: [run["name"] for run in client.get("/api/v1/runs", params=query).json()["runs"]]
        assert sorted(names()) == ["other", "train 100% sure"]
        assert sorted(names(parts=True)) == ["encode", "other", "train 100% sure"]
        assert names(text="100% S") == ["train 100% sure"] and names(text="100_") == []
        assert names(status="FAILED") == names(flow="retrain") == ["other"]
        assert len(names(experiment="ulmfit-tickets")) == 2 and names(experiment="' or 1=1 --") == []
        assert names(status="", experiment="") == names()
        (run,) = client.get("/api/v1/runs", params={"text": "sure"}).json()["runs"]
        assert (run["seconds"], run["accuracy"]) == (60, 0.75)
        assert client.get("/runs", params={"status": "NONSENSE"}).status_code == 422


def test_the_accuracy_is_that_of_the_models_answer(home: Home) -> None:
    judged = {"result.scores.TF-IDF - logistic regression.accuracy": 0.9, "result.scores.forward-backward.accuracy": 0.8}
    train = home.run("train")
    home.run("evaluate", parent=train, metrics=judged, tags={"ulmfit.kind": "evaluation"})
    home.run("classify", parent=train, metrics={"result.valid_accuracy": 0.7, "result.majority_accuracy": 0.6})
    home.run("tokenise", parent=train, metrics={"result.tokens": 5})
    with home.looking() as client:
        found = {run["name"]: run["accuracy"] for run in client.get("/api/v1/runs", params={"parts": True}).json()["runs"]}
    assert found == {"train": 0.8, "evaluate": 0.8, "classify": 0.7, "tokenise": None}


def test_runs_come_fifty_a_page_and_links_lead_through_them(home: Home) -> None:
    for number in range(51):
        home.run(f"run {number}", start=1000 + number, end=2000)
    with home.looking() as client:
        first = client.get("/runs", params={"text": "run", "status": "FINISHED"}).text
        assert "51 runs, page 1 of 2" in Page(first).text and "run 50" in first and "run 0<" not in first
        (older,) = re.findall(r'rel="next" href="([^"]+)"', first)
        second = client.get(older.replace("&amp;", "&")).text
        assert "page 2 of 2" in Page(second).text and "run 0<" in second and 'rel="prev"' in second
        assert "page 2 of 2" in client.get("/runs", params={"page": 99}).text


def test_one_run_with_its_parts_and_the_versions_that_it_made(home: Home) -> None:
    run = home.run(metrics={"result.valid_accuracy": 0.5}, parameters={"seed": 7})
    part = home.run("encode", parent=run)
    version = home.version(run=run)
    with home.looking() as client:
        found = client.get("/api/v1/run", params={"id": run}).json()
        assert [each["id"] for each in found["parts"]] == [part] and found["versions"] == [["tickets", int(version)]]
        assert found["parameters"] == {"seed": "7"} and found["metrics"] == {"result.valid_accuracy": 0.5}
        assert f"/run?id={run}" in client.get("/run", params={"id": part}).text
        assert f"/model?name=tickets&amp;version={version}" in client.get("/run", params={"id": run}).text
        assert client.get("/run", params={"id": "../x"}).status_code == client.get("/api/v1/run", params={"id": "x"}).status_code == 404


def test_what_differs_between_runs_comes_first(home: Home) -> None:
    runs = [home.run(f"run {seed}", parameters={"aaa": 1, "seed": seed}, metrics={"accuracy": seed / 10}) for seed in (1, 2)]
    with home.looking() as client:
        found = client.get("/api/v1/compare", params={"run": [*runs, "none"]}).json()
        assert [row["name"] for row in found["parameters"]] == ["seed", "aaa"]
        assert found["metrics"][0]["values"] == [0.1, 0.2]
        assert client.get("/compare", params={"run": runs}).text.count('class="differs"') == 2
        assert "Tick two runs" in client.get("/compare", params={"run": runs[:1]}).text
        assert client.get("/compare", params={"run": ["x"] * 21}).status_code == 422


def test_runs_that_change_or_are_deleted_are_followed(home: Home) -> None:
    run = home.run("changing", None)
    with home.looking() as client:
        status = lambda: [each["status"] for each in client.get("/api/v1/runs").json()["runs"]]
        assert status() == ["RUNNING"]
        home.client.set_terminated(run)
        home.read()
        assert status() == ["FINISHED"]
        home.client.delete_run(run)
        home.read()
        assert status() == []


def test_a_clock_that_is_ahead_hides_no_run(home: Home) -> None:
    run = home.run("behind", None, start=time.time() - 7200)
    home.run("ahead", start=time.time() + 3600, end=time.time() + 7200)
    with home.looking() as client:
        home.client.set_terminated(run, end_time=int((time.time() - 3600) * 1000))
        home.run("later")
        home.read()
        found = {each["name"]: each["status"] for each in client.get("/api/v1/runs").json()["runs"]}
    assert found == {"behind": "FINISHED", "ahead": "FINISHED", "later": "FINISHED"}


def test_runs_of_an_experiment_that_was_brought_back_are_there_again(home: Home) -> None:
    home.run("old", start=1000, end=2000)
    experiment = home.client.get_experiment_by_name("ulmfit-tickets").experiment_id
    names = lambda: [each["name"] for each in client.get("/api/v1/runs").json()["runs"]]
    with home.looking() as client:
        home.client.delete_experiment(experiment)
        home.read()
        assert names() == []
        home.client.restore_experiment(experiment)
        home.read()
        assert names() == ["old"]
