"""A study as a user runs it: its trials are tracked under one run, its report is written, and a point added makes itself alone."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from mlflow import MlflowClient

from tests.conftest import FILL, TOPICS, CommandLine, Finished, write_general, write_tickets
from tests.experiments.methods.random_decoder import write_decoder


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("study")
    tickets, general = write_tickets(folder / "tickets.csv", 300), write_general(folder / "general.txt", 60)
    columns = [str(tickets), "--text-column", "body", "--label-column", "topic", "--pretrain", str(general), "--preset", "tiny"]
    return ["data-quantity", *columns, "--trials", "2", "--reading", "forward", "--workspace", str(folder / "workspace"), "--json"]


@pytest.fixture(scope="module")
def first(ulmfit: CommandLine, arguments: list[str]) -> Finished:
    finished = ulmfit(*arguments, "--labels", "20,60", "--methods", "ulmfit,tfidf")
    assert finished.code == 0, finished.err
    return finished


@pytest.mark.slow
def test_trials_are_tracked_under_the_run_of_the_study(first: Finished) -> None:
    run, results = first.json["run"], first.json["results"]
    client = MlflowClient(run["tracking_uri"])
    children = client.search_runs([run["experiment"]], f"tags.`mlflow.parentRunId` = '{run['id']}' AND tags.`ulmfit.trial` != ''")
    assert {child.info.run_id for child in children} == {result["run_id"] for result in results} and len(children) == 8
    tracked = client.get_run(results[0]["run_id"]).data
    assert tracked.metrics["forward.accuracy"] == results[0]["scores"]["forward"]["accuracy"]
    assert (tracked.params["method"], tracked.params["labels"], tracked.params["regime"]) == ("ulmfit", "20", "general+domain")
    assert tracked.tags["ulmfit.stage.judge"].startswith(results[0]["key"])


@pytest.mark.slow
def test_the_command_prints_the_points_and_writes_a_report(first: Finished) -> None:
    assert "means of 2 trials" in first.out and "TF-IDF + logistic regression" in first.out
    report = Path(first.json["report"])
    assert {path.name for path in report.parent.iterdir()} == {
        "report.html", "summary.json", "trials.csv", "labels-tickets-csv.png", "labels-tickets-csv.svg",
    }  # fmt: skip
    splits = first.json["corpora"][0]["splits"]
    assert [(result["labels"], result["unlabelled"]) for result in first.json["results"][:3:2]] == [
        (labels, splits["train"] - labels) for labels in (20, 60)
    ]


@pytest.mark.slow
def test_a_point_that_is_added_makes_itself_alone(ulmfit: CommandLine, arguments: list[str], first: Finished) -> None:
    again = ulmfit(*arguments, "--labels", "20,60,100", "--methods", "tfidf")
    assert again.code == 0, again.err
    assert [result["built"] for result in again.json["results"]] == [0, 0, 0, 0, 1, 1]
    planned = ulmfit(*arguments, "--labels", "20,60,100", "--methods", "tfidf", "--dry-run")
    assert planned.code == 0 and planned.json["stages"] == {} and "none" in planned.out


@pytest.mark.slow
def test_a_decoder_from_a_folder_is_a_method_beside_the_others(
    ulmfit: CommandLine, arguments: list[str], first: Finished, tmp_path: Path
) -> None:
    words = sorted({*FILL.split(), *(word for topic in TOPICS.values() for word in topic.split())})
    asked = ["--labels", "20,60", "--methods", "tfidf,decoder", "--decoder", str(write_decoder(tmp_path / "gpt", words))]
    ran = ulmfit(*arguments, *asked)
    assert ran.code == 0, ran.err
    results = {result["trial"]["point"]["method"]: result for result in ran.json["results"]}
    assert results["tfidf"]["built"] == 0 and results["decoder"]["built"] == 1
    assert results["decoder"]["seconds"] > 0 and 0 < results["decoder"]["scores"]["decoder"]["accuracy"] <= 1
    assert "fine-tuned transformer decoder" in ran.out
    write_decoder(tmp_path / "moved", words)
    moved = ulmfit(*arguments, *asked[:-1], str(tmp_path / "moved"))
    assert [result["built"] for result in moved.json["results"]] == [0] * 8, "it is known by its files"


@pytest.mark.slow
def test_beside_each_curve_one_by_choice(ulmfit: CommandLine, arguments: list[str], first: Finished) -> None:
    asked = [*arguments, "--labels", "20,60", "--methods", "ulmfit,tfidf", "--active"]
    ran = ulmfit(*asked)
    assert ran.code == 0, ran.err
    built = {(result["trial"]["point"]["method"], bool(result["trial"]["point"]["chosen_after"])): 0 for result in ran.json["results"]}
    for result in ran.json["results"]:
        built[result["trial"]["point"]["method"], bool(result["trial"]["point"]["chosen_after"])] += result["built"]
    assert built == {("ulmfit", False): 0, ("tfidf", False): 0, ("ulmfit", True): 2 * 3, ("tfidf", True): 2 * 2}
    page = Path(ran.json["report"]).read_text()
    assert "chosen labels" in ran.out and "What 60 labels drawn at random reach" in page
    again = ulmfit(*asked)
    assert again.json["made"] == 0 and [one["scores"] for one in again.json["results"]] == [one["scores"] for one in ran.json["results"]]


VARIED = """
from flows.study import study
from flows.study_request import Study

if __name__ == "__main__":
    given = {"text_column": "body", "label_column": "topic", "preset": "tiny", "trials": 2, "reading": "forward", "labels": 20}
    found = study(Study.model_validate({**given, **GIVEN, "vary": {"classifier.lr": [0.01, 0.02]}}))
    print(found.model_dump_json())
"""


@pytest.mark.slow
def test_settings_are_varied_from_python(ulmfit: CommandLine, arguments: list[str], first: Finished, tmp_path: Path) -> None:
    places = {name: arguments[arguments.index(f"--{name}") + 1] for name in ("pretrain", "workspace")}
    script = tmp_path / "vary.py"
    script.write_text(VARIED.replace("GIVEN", repr({"corpus": arguments[1], **places})))
    ran = subprocess.run([sys.executable, str(script)], cwd=tmp_path, env=ulmfit.environment, capture_output=True, text=True, timeout=200)
    assert ran.returncode == 0, ran.stderr
    found = json.loads(ran.stdout.splitlines()[-1])
    variants = [(one["trial"]["point"]["variant"], one["labels"], one["trial"]["number"]) for one in found["results"]]
    assert variants == [(f"classifier.lr={lr}", 20, number) for lr in (0.01, 0.02) for number in (0, 1)]
    page = Path(found["report"]).read_text()
    assert "The best of 2 settings is classifier.lr=" in page and "with 20 labels" in page
