"""The main job on a small corpus, as a user runs it: once, again, with another option, killed, damaged."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT, CommandLine, Finished, write_general, write_tickets

STAGES = {
    "ingest", "tokenise", "vocabulary", "encode",
    "ingest-general", "tokenise-general", "vocabulary-general", "encode-general",
    "pretrain-forward", "finetune-forward", "classify-forward",
    "pretrain-backward", "finetune-backward", "classify-backward",
    "word-model", "average", "evaluate", "explain", "familiarity",
}  # fmt: skip

FIRST = "The customer says that it was on monday and we could not help them with this login because our team is away please."


@pytest.fixture(scope="module")
def arguments(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("data")
    tickets, general = write_tickets(folder / "tickets.csv", 2000), write_general(folder / "general.txt")
    columns = ["--corpus", str(tickets), "--text-column", "body", "--label-column", "topic", "--pretrain", str(general)]
    options = [
        "--preset",
        "tiny",
        "--set",
        "classifier.epochs=6",
        "--set",
        "classifier.lr=0.03",
        "--set",
        "words=true",
        "--dask",
        "2",
        "--json",
    ]
    return ["train", *columns, *options, "--workspace", str(tmp_path_factory.mktemp("workspace"))]


@pytest.fixture(scope="module")
def first(ulmfit: CommandLine, arguments: list[str]) -> Finished:
    finished = ulmfit(*arguments)
    assert finished.code == 0, finished.err
    return finished


def workspace(arguments: list[str]) -> Path:
    return Path(arguments[arguments.index("--workspace") + 1])


def made(summary: dict[str, Any]) -> set[str]:
    return {stage["name"] for stage in summary["stages"] if not stage["cached"]}


def test_the_json_carries_scores_keys_runs_and_the_version(first: Finished) -> None:
    summary = first.json
    systems = summary["results"]["systems"]
    assert set(systems) == {"forward", "backward", "forward+backward", "words", "forward+backward+words", "TF-IDF + logistic regression"}
    for scores in systems.values():
        for metric in ("accuracy", "macro_f1", "roc_auc"):
            assert scores[metric]["low"] <= scores[metric]["value"] <= scores[metric]["high"]
    assert systems["forward+backward"]["accuracy"]["value"] > 0.5  # four classes: chance is a quarter
    assert made(summary) == STAGES
    assert all(len(stage["key"]) == 64 and len(stage["run_id"]) == 32 for stage in summary["stages"])
    assert summary["model"]["name"] == "ulmfit-tickets" and summary["model"]["version"] == "1"
    assert summary["decision"] is None and "in use  this version" in first.out
    assert summary["corpus"]["labels"] == ["account", "billing", "delivery", "network"]
    assert sum(split["documents"] for split in summary["corpus"]["splits"].values()) + summary["corpus"]["duplicates"] >= 1990


def test_logs_go_to_standard_error_and_the_report_is_there(first: Finished) -> None:
    assert "classify-forward: done" in first.err and "classify-forward: done" not in first.out
    report = Path(first.json["report"])
    assert "<html" in report.read_text() and json.loads((report.parent / "summary.json").read_text())["model"]["name"] == "ulmfit-tickets"
    card = (report.parent / "card.md").read_text()
    assert "# Model card: ulmfit-tickets, version 1" in card and "label network" in card and "holds: general" in card
    reasons, first_mistakes = first.json["reasons"], first.json["results"]["mistakes"][:6]
    assert {mistake["id"] for mistake in first_mistakes} == set(reasons) and "<mark style=" in report.read_text()
    for mistake in first_mistakes:
        found = reasons[mistake["id"]]
        assert (
            found["label"] == mistake["predicted"]
            and found["words"]
            and found["probability"] == pytest.approx(mistake["probability"], abs=1e-3)
        )


def test_a_strange_text_is_told(ulmfit: CommandLine, first: Finished, arguments: list[str], tmp_path: Path) -> None:
    (tmp_path / "texts.jsonl").write_text(
        "".join(json.dumps({"text": text}) + "\n" for text in ("Der Hund bellt laut im Wald heute", FIRST))
    )
    options = ["--workspace", str(workspace(arguments)), "--warn"]
    done = ulmfit("predict", "models:/ulmfit-tickets/1", str(tmp_path / "texts.jsonl"), *options)
    strange, usual = map(json.loads, done.out.splitlines())
    assert "of the words are unknown, which less than 1% of its own texts reach" in strange["warning"] and strange["unknown"] > 0.5
    assert usual["warning"] is None and 1 < usual["perplexity"] < strange["perplexity"] * 100 and usual["unknown"] == 0


def test_the_registry_leads_to_the_card(first: Finished) -> None:
    from mlflow import MlflowClient

    run = first.json["run"]
    version = MlflowClient(run["tracking_uri"]).get_model_version("ulmfit-tickets", "1")
    assert f"[Model card](#/experiments/{run['experiment']}/runs/{run['id']}/artifacts/report/card.html)" in version.description


def test_one_parent_run_with_a_child_a_stage_inputs_and_models(first: Finished) -> None:
    from mlflow import MlflowClient

    summary = first.json
    client = MlflowClient(summary["run"]["tracking_uri"])
    children = client.search_runs([summary["run"]["experiment"]], f"tags.mlflow.parentRunId = '{summary['run']['id']}'", max_results=100)
    assert {child.info.run_name for child in children} == STAGES
    assert all(child.info.status == "FINISHED" for child in children)
    runs = {child.info.run_name: child for child in children}
    tuned = client.get_run(runs["finetune-forward"].info.run_id)  # a search leaves models out
    keys = {stage["name"]: stage["key"] for stage in summary["stages"]}
    assert {entry.dataset.digest for entry in tuned.inputs.dataset_inputs} >= {keys["encode"][:32]}
    assert len(tuned.inputs.model_inputs) == 1 and len(tuned.outputs.model_outputs) == 1
    assert len(client.get_metric_history(tuned.info.run_id, "train_loss")) > 2
    assert "training.lr" in tuned.data.params
    parent = client.get_run(summary["run"]["id"])
    assert parent.info.status == "FINISHED" and len(parent.outputs.model_outputs) == 1


def test_run_again_finds_every_stage(ulmfit: CommandLine, prefect_api: str, arguments: list[str], first: Finished) -> None:
    before = len(states(prefect_api))
    again = ulmfit(*arguments)
    assert again.code == 0, again.err
    assert made(again.json) == set()
    assert again.json["model"]["version"] == "1"
    assert again.json["results"] == first.json["results"]
    assert states(prefect_api).count("Cached") >= len(STAGES) and len(states(prefect_api)) > before


def states(prefect_api: str) -> list[str]:
    """The names of the states of all task runs on the server."""
    request = urllib.request.Request(f"{prefect_api}/task_runs/filter", b"{}", {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=30) as answer:
        return [run["state_name"] for run in json.load(answer)]


def test_a_changed_option_and_a_damaged_shard_rerun_what_they_concern(ulmfit: CommandLine, arguments: list[str], first: Finished) -> None:
    """A classifier option concerns the classifiers alone; a shard that was edited is made again, with the same result."""
    ids = next(stage for stage in first.json["stages"] if stage["name"] == "encode")
    shard = workspace(arguments) / "artifacts" / "ids" / ids["key"] / "part-00000.ids.arrow"
    whole = shard.read_bytes()
    shard.write_bytes(whole[:-100] + bytes(100))
    changed = ulmfit(*arguments, "--set", "classifier.epochs=2")
    assert changed.code == 0, changed.err
    assert made(changed.json) == {"encode", "classify-forward", "classify-backward", "average", "evaluate", "explain", "familiarity"}
    assert "part-00000.ids.arrow" in changed.err
    assert shard.read_bytes() == whole
    assert changed.json["model"]["version"] == "2"
    decision = changed.json["decision"]
    assert (decision["what"], decision["version"], decision["champion"]) == ("compared", "2", "1")
    assert decision["verdict"]["outcome"] in ("promoted", "held", "blocked") and decision["verdict"]["figures"]["cycle"] == 1
    assert f"verdict {decision['verdict']['outcome'].replace('promoted', 'fit')}" in changed.out
    assert "in use  version 1, as before; to make the new one champion: ulmfit promote ulmfit-tickets 2 --workspace" in changed.out
    assert "Compared with the champion, version 1, this version is" in Path(changed.json["report"]).read_text()
    told = ulmfit("history", "ulmfit-tickets", "--workspace", str(workspace(arguments)), "--json", PREFECT_API_URL="http://127.0.0.1:9/api")
    assert told.json["champion"] == "1" and [each["what"] for each in told.json["decisions"]] == ["first version", "compared"]
    assert told.json["decisions"][1] == decision | {"followed": None}


def test_killed_anywhere_the_next_run_goes_on(ulmfit: CommandLine, arguments: list[str], first: Finished, tmp_path: Path) -> None:
    here = [*arguments[: arguments.index("--workspace")], "--workspace", str(tmp_path)]
    process = ulmfit.start(*here)
    lms = tmp_path / "artifacts" / "language-model"
    deadline = time.monotonic() + 120
    while not (lms.exists() and any(lms.iterdir())):
        assert process.poll() is None and time.monotonic() < deadline
        time.sleep(0.05)
    os.killpg(process.pid, signal.SIGKILL)
    process.communicate()
    finished = {path.parent.name for path in (tmp_path / "artifacts").glob("[!.]*/*/artifact.json")}
    second = ulmfit(*here)
    assert second.code == 0, second.err
    assert {stage["key"] for stage in second.json["stages"] if stage["cached"]} == finished
    assert {stage["name"]: stage["key"] for stage in second.json["stages"]} == {
        stage["name"]: stage["key"] for stage in first.json["stages"]
    }


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])  # Ctrl-C; a service manager, Kubernetes
def test_a_signal_ends_a_training_and_says_what_is_kept(number: int, ulmfit: CommandLine, arguments: list[str], tmp_path: Path) -> None:
    long = ["--set", "pretrain.epochs=500", "--workspace", str(tmp_path)]
    process = ulmfit.start(*arguments[: arguments.index("--workspace")], *long)
    while not list((tmp_path / "artifacts").glob(".work/*/checkpoints/step-*")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    _, err = process.communicate(timeout=20)
    assert process.returncode == 128 + number
    assert "the same command continues from there" in err and "Traceback" not in err


@pytest.mark.slow
@pytest.mark.parametrize("server", [{}, {"PREFECT_API_URL": ""}], ids=["one server", "a server each"])
def test_two_runs_at_once_share_the_work(server: dict[str, str], ulmfit: CommandLine, arguments: list[str], tmp_path: Path) -> None:
    here = [*arguments[: arguments.index("--workspace")], "--workspace", str(tmp_path)]
    runs = [ulmfit.start(*here, **server) for _ in range(2)]
    ended = [Finished(run.wait(), *out) for run, out in [(run, run.communicate(timeout=200)) for run in runs]]
    assert [run.code for run in ended] == [0, 0], ended[0].err + ended[1].err
    first, second = (made(run.json) for run in ended)
    assert first | second == STAGES and not first & second


NEW_PROCESS = """
import json, sys, mlflow
mlflow.set_tracking_uri(sys.argv[1])
model = mlflow.pyfunc.load_model(sys.argv[2])
answer = model.predict(json.load(open(sys.argv[3])))
json.dump(answer.to_dict("list"), open(sys.argv[4], "w"))
"""


def test_a_new_process_gets_the_flows_probabilities_from_the_registry_uri(first: Finished, arguments: list[str], tmp_path: Path) -> None:
    root, summary = workspace(arguments) / "artifacts", first.json
    keys = {stage["name"]: stage["key"] for stage in summary["stages"]}
    test = pq.read_table(root / "corpus" / keys["ingest"] / "part-00000.parquet", filters=[("split", "=", "test")])
    (tmp_path / "texts.json").write_text(json.dumps(test["text"].to_pylist()))
    uri = f"models:/ulmfit-tickets/{summary['model']['version']}"
    command = [
        sys.executable,
        "-c",
        NEW_PROCESS,
        summary["run"]["tracking_uri"],
        uri,
        str(tmp_path / "texts.json"),
        str(tmp_path / "answer.json"),
    ]
    subprocess.run(command, check=True, cwd=tmp_path, env={**os.environ, "PYTHONPATH": ""})
    answer = json.loads((tmp_path / "answer.json").read_text())
    written = pq.read_table(root / "evaluation" / keys["evaluate"] / "predictions.parquet").to_pylist()
    ensemble = {row["id"]: row for row in written if row["system"] == "forward+backward+words"}
    labels = summary["corpus"]["labels"]
    expected = np.array([ensemble[name]["probabilities"] for name in test["id"].to_pylist()])
    found = np.stack([answer[f"probability_{label}"] for label in labels], axis=1)
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert answer["label"] == [ensemble[name]["predicted"] for name in test["id"].to_pylist()]


def test_lineage_from_the_registry_uri_alone(ulmfit: CommandLine, arguments: list[str], first: Finished) -> None:
    where = ["--workspace", str(workspace(arguments))]
    told = ulmfit("lineage", "models:/ulmfit-tickets@champion", *where, "--json")
    chain = told.json
    keys = {stage["key"]: stage["name"] for stage in first.json["stages"]}
    assert {keys[key] for key in chain["artifacts"]} == STAGES - {"evaluate", "explain", "familiarity"}
    corpora = {entry["record"]["name"] for entry in chain["artifacts"].values() if entry["kind"] == "corpus"}
    assert corpora == {"tickets.csv", "general.txt"}
    tree = ulmfit("lineage", "models:/ulmfit-tickets@champion", *where)
    assert "language-model" in tree.out and "tickets.csv" in tree.out
    missing = ulmfit("lineage", "models:/nobody@champion", *where)
    assert missing.code == 2 and "ulmfit-tickets" in missing.err and "Traceback" not in missing.err


def test_predict_from_a_folder_and_from_the_registry(ulmfit: CommandLine, arguments: list[str], first: Finished, tmp_path: Path) -> None:
    texts = ["The invoice charge refund was wrong, payment by card.", "Router and wifi signal outage."]
    folder = first.json["model"]["path"]
    lines = ulmfit("predict", folder, *[part for text in texts for part in ("--text", text)]).out.strip().splitlines()
    rows = [json.loads(line) for line in lines]
    assert len(rows) == 2 and all(abs(sum(row["probabilities"].values()) - 1) < 1e-4 for row in rows)
    (tmp_path / "more.csv").write_text("body\n" + "\n".join(f'"{text}"' for text in texts) + "\n")
    answer = ulmfit(
        "predict",
        "models:/ulmfit-tickets/1",
        str(tmp_path / "more.csv"),
        "--text-column",
        "body",
        "--workspace",
        str(workspace(arguments)),
        "--json",
    )
    assert [{"text": row.pop("body"), **row} for row in answer.json["predictions"]] == rows


def test_the_project_is_what_is_tested() -> None:
    import flows

    assert Path(flows.__file__).is_relative_to(ROOT)
