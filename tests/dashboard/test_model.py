"""The pages of models: versions, comparison, curves, mistakes, report, and the commands to copy."""

from __future__ import annotations

import json
import shlex

import pytest
from fastapi.testclient import TestClient

from tests.dashboard.home import MODEL, Home
from tests.evaluation.test_gate import BETTER, CHAMPION, GAIN, first, rows
from tests.report.example import Page, history
from ulmfit.decisions.decision import Author
from ulmfit.evaluation.gate import judge
from ulmfit.store.artifacts import Built
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.recipe import Recipe


def compared(home: Home) -> None:
    """Version 3 is compared with version 2, on a slice too."""
    verdict = judge(rows(length=first(500)), CHAMPION, GAIN, 0, BETTER)
    home.decide("compared", "3", by=Author(kind="schedule"), champion="2", verdict=verdict, left_out=7)


def test_a_version_stands_beside_the_champion_that_it_was_compared_with(lived: Home) -> None:
    compared(lived)
    with lived.looking() as client:
        found = client.get("/api/v1/model", params={"name": MODEL, "version": "3"}).json()
        text = Page(client.get("/model", params={"name": MODEL}).text).text
    figures = found["comparison"]["verdict"]["figures"]
    assert figures["difference"]["low"] > 0 and found["comparison"]["champion"] == "2"
    for said in (
        "✓ passed",
        "+5.0 [3.",
        "7 rows that the champion had read are left out",
        "7.5]",
        "10 ms",
        "1.0 kB",
        "length",
        "90.0%",
        "95.0%",
    ):
        assert said in text, said


def test_versions_are_on_a_time_line_with_their_verdicts(lived: Home) -> None:
    with lived.looking() as client:
        found = client.get("/api/v1/model", params={"name": MODEL}).json()
        page = client.get("/model", params={"name": MODEL, "version": "2"}).text
    assert [(version["number"], version["outcome"], version["aliases"]) for version in found["versions"]] == [
        ("1", None, []),
        ("2", None, ["champion"]),
        ("3", "blocked", []),
    ]
    assert found["shown"]["number"] == "3"
    assert 'aria-label="version 3, ' in page and "gate: blocked" in page and "Version 2" in Page(page).text


def test_the_commands_to_copy_are_quoted_for_a_shell(lived: Home) -> None:
    name = "it's $(rm -rf ~) | a model"
    lived.version(name)
    lived.version(name)
    lived.decide("first version", "1", name)
    with lived.looking() as client:
        commands = client.get("/api/v1/model", params={"name": name}).json()["commands"]
    assert shlex.split(commands[0]["line"]) == [
        *("ulmfit", "promote", name, "2", "--because", "WHY", "--workspace", str(lived.workspace.root))
    ]


def test_mistakes_come_from_the_store_and_are_kept_nowhere_else(lived: Home) -> None:
    evaluation = lived.evaluation("with texts", text="a text that is secret")
    lived.version(evaluation=evaluation)
    with lived.looking() as client:
        told = client.get("/api/v1/model/mistakes", params={"name": MODEL}).json()
        assert told and all("a text that is secret" in each["text"] for each in told)
        assert "a text that is secret" in client.get("/model", params={"name": MODEL}).text
    for file in lived.workspace.root.glob("dashboard.db*"):
        assert b"that is secret" not in file.read_bytes()


def test_curves_of_all_trainings_behind_a_version(home: Home) -> None:
    key = trained(home)
    home.client.create_registered_model(MODEL)
    home.client.create_model_version(MODEL, "made-up", tags={"ulmfit.artifact": key})
    with home.looking() as client:
        charts = client.get("/api/v1/model/curves", params={"name": MODEL}).json()
    assert [(chart["title"], chart["unit"]) for chart in charts] == [
        ("Classifier", "loss, nats"),
        ("Classifier", "accuracy"),
        ("Language model, domain text", "loss, nats"),
    ]
    names = [curve["name"] for curve in charts[0]["curves"]]
    assert names == ["forward train loss", "forward valid loss"]
    assert charts[0]["curves"][0]["steps"] == list(range(10, 101, 10))


def trained(home: Home) -> str:
    """The key of a model of one direction, with the histories of its trainings."""

    def build(curves: list[object]):
        def write(work):
            write_bytes(work / "history.json", json.dumps(curves).encode())
            return Built({})

        return write

    make = home.workspace.store.make
    lm, _ = make(Recipe("language-model", 1, {"direction": "forward"}, {"language_model": "general"}), build(history(False)))
    classifier, _ = make(Recipe("classifier", 1, {"direction": "forward"}, {"language_model": lm.key}), build(history(True)))
    return make(Recipe("model", 1, {}, {"forward": classifier.key}), build([]))[0].key


def test_what_a_run_wrote_is_served_as_a_page_that_can_do_nothing(lived: Home) -> None:
    folder = lived.workspace.reports / "tickets-20260101-000000-abcdef"
    for page in ("report", "card"):
        write_bytes(folder / f"{page}.html", f"<h1>the {page}</h1><script>alert(1)</script>".encode())
    facts = {"name": "tickets", "model": {"name": MODEL, "version": "3"}, "run": {"id": "r"}}
    write_bytes(folder / "summary.json", json.dumps(facts).encode())
    with lived.looking() as client:
        shown = client.get("/model", params={"name": MODEL}).text
        for page in ("report", "card"):
            assert f"/{page}?name={MODEL}&amp;version=3" in shown
            answer = client.get(f"/{page}", params={"name": MODEL, "version": "3"})
            assert f"the {page}" in answer.text
            policy = answer.headers["content-security-policy"]
            assert "sandbox" in policy and "script-src" not in policy and "default-src 'none'" in policy
            assert client.get(f"/{page}", params={"name": MODEL, "version": "2"}).status_code == 404
        assert "/report?" not in client.get("/model", params={"name": MODEL, "version": "2"}).text


@pytest.mark.parametrize("query", [{"name": "../../etc"}, {"name": MODEL, "version": "9"}, {"name": ""}])
def test_what_is_not_there_is_not_found(looking: TestClient, query: dict[str, str]) -> None:
    for page in ("/model", "/report", "/api/v1/model", "/api/v1/model/curves", "/api/v1/model/mistakes"):
        assert looking.get(page, params=query).status_code == 404, page


@pytest.mark.parametrize("version", ["../1", "0", "1/2", "-1", "x"])
def test_a_version_is_a_number(looking: TestClient, version: str) -> None:
    assert looking.get("/report", params={"name": MODEL, "version": version}).status_code == 422
