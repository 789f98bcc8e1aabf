"""The story of a model on schedule, as a team lives it: real Prefect and MLflow servers, the command line, and every step in the history."""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from tests.conftest import ROOT, TOPICS, CommandLine, Finished, ticket, write_general
from tests.integration.test_tracking_away import MlflowServer

LENIENT = {"mode": "not-worse", "margin": 0.4, "slice_margin": 0.9, "min_rows": 50, "max_calibration_worsening": 0.9}
MISTAKEN = dict(zip(sorted(TOPICS), [*sorted(TOPICS)[1:], min(TOPICS)], strict=True))  # the label that somebody gives by mistake
NO_MATTER = {"max_latency_factor": None, "max_size_factor": None}  # of a tiny network, beside which words are large
STRICT = {"mode": "not-worse", "margin": 0.02, "slice_margin": 0.05, "min_rows": 50}


class Team:
    """A team's landing folder, servers and commands."""

    def __init__(self, ulmfit: CommandLine, folder: Path, tracking: str):
        self.ulmfit, self.folder, self.tracking = ulmfit, folder, tracking
        self.landing = folder / "landing"
        self.landing.mkdir()
        write_general(folder / "general.txt", 100)
        for name, gate in (("lenient", LENIENT), ("strict", STRICT)):
            (folder / f"{name}.yaml").write_text(json.dumps({"min_documents": 200, "settle_seconds": 0.5, "gate": {**gate, **NO_MATTER}}))

    def land(self, name: str, rows: int, seed: int, label: Callable[[random.Random, str], str] = lambda rng, topic: topic) -> None:
        rng = random.Random(seed)
        with open(self.landing / f"{name}.tmp", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["no", "body", "topic"])
            for number in range(rows):
                topic = rng.choice(sorted(TOPICS))
                writer.writerow([f"{name}-{number}", ticket(rng, topic), label(rng, topic)])
        (self.landing / f"{name}.tmp").rename(self.landing / name)

    @property
    def asked(self) -> dict[str, Any]:
        """What every retraining is asked, as a deployment's form has it."""
        columns = {"text_column": "body", "label_column": "topic", "id_column": "no"}
        options = ["classifier.epochs=6", "classifier.lr=0.03"]
        place = {"landing": str(self.landing), "model": "tickets", "workspace": str(self.folder / "workspace"), "dask": "1"}
        return {**place, **columns, "preset": "tiny", "pretrain": str(self.folder / "general.txt"), "options": options}

    def retrain(self, policy: str, *more: str) -> dict[str, Any]:
        single = [f"--{name.replace('_', '-')}={value}" for name, value in self.asked.items() if name != "options"]
        options = [f"--set={option}" for option in self.asked["options"]]
        done = self("retrain", *single, *options, f"--policy={self.folder / f'{policy}.yaml'}", *more, "--json")
        assert done.code == 0, done.err
        return done.json

    def __call__(self, *arguments: str) -> Finished:
        return self.ulmfit(*arguments, MLFLOW_TRACKING_URI=self.tracking)

    def command(self, name: str, *arguments: str) -> Finished:
        done = self(name, "tickets", *arguments, "--workspace", str(self.folder / "workspace"), "--json")
        assert done.code == 0, done.err
        return done

    def history(self) -> list[dict[str, Any]]:
        return self.command("history").json["decisions"]


@pytest.fixture
def team(ulmfit: CommandLine, tmp_path: Path) -> Iterator[Team]:
    (tmp_path / "mlflow").mkdir()
    server = MlflowServer(tmp_path / "mlflow")
    server.start()
    yield Team(ulmfit, tmp_path, server.url)
    server.kill()


def whats(decisions: Sequence[dict[str, Any]]) -> list[tuple[str, str | None]]:
    return [(decision["what"], decision.get("version")) for decision in decisions]


@pytest.mark.slow
@pytest.mark.timeout(1500)
def test_the_story_of_a_model(team: Team, prefect_api: str) -> None:
    team.land("a.csv", 400, 1)
    first = team.retrain("lenient")
    assert first["outcome"] == "first version" and first["training"]["model"]["version"] == "1"

    assert team.retrain("lenient")["outcome"] == "nothing to do"

    team.land("b.csv", 1200, 2)
    would = team.retrain("lenient", "--dry-run")
    assert would["outcome"] == "would train" and would["decision"]["cycle"]["new"]["documents"] > 1000
    better = team.retrain("lenient")
    assert better["outcome"] == "promoted", better["decision"]
    assert better["retraining"]["cycle"]["training"] == "warm" and better["retraining"]["cycle"]["drift"]["perplexity"]["says"]

    team.land("c.csv", 2400, 3, lambda rng, topic: MISTAKEN[topic])
    worse = team.retrain("strict")
    assert worse["outcome"] == "blocked" and "worse" in " ".join(worse["decision"]["verdict"]["reasons"])

    team.land("d.csv", 600, 4, lambda rng, topic: f"{topic} (new)")
    renamed = team.retrain("strict")
    assert renamed["outcome"] == "held" and "(new)" in " ".join(renamed["decision"]["verdict"]["reasons"])

    rolled = team.command("rollback", "--because", "complaints since Monday").json
    assert (rolled["what"], rolled["version"]) == ("rolled back", "1")
    forgotten = team.command("forget", "--document", "a.csv-7", "--because", "she asked for it")
    assert forgotten.code == 0

    decisions = team.history()
    assert whats(decisions) == [
        ("retrain", None),
        ("first version", "1"),
        ("nothing to do", None),
        ("retrain", None),
        ("compared", "2"),
        ("promoted", "2"),
        ("retrain", None),
        ("compared", "3"),
        ("retrain", None),
        ("compared", "4"),
        ("rolled back", "1"),
        ("forgotten", None),
    ]
    assert all(decision["followed"]["done"] for decision in decisions if decision["what"] in ("retrain", "promoted", "rolled back"))
    assert [decision["cycle"]["number"] for decision in decisions if decision["what"] == "retrain"] == [1, 2, 3, 4]

    run_by_event(team, prefect_api)
    assert whats(team.history()[12:]) == [("nothing to do", None)]


def run_by_event(team: Team, prefect_api: str) -> None:
    """The event that new data is there starts the deployment ``retrain``, which a worker runs."""
    deployed = team.ulmfit("deploy")
    assert deployed.code == 0, deployed.err
    event = {
        "id": "0195d3a0-0000-7000-8000-000000000001",
        "occurred": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
        "event": "ulmfit.data.new",
        "resource": {"prefect.resource.id": "ulmfit.data.tickets"},
        "payload": {**team.asked, "policy": str(team.folder / "strict.yaml")},
    }
    environment = {**team.ulmfit.environment, "MLFLOW_TRACKING_URI": team.tracking}
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", "ulmfit", "--type", "process"]
    with open(team.folder / "worker.log", "w") as output:
        worker = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            headers = {"Content-Type": "application/json"}
            urllib.request.urlopen(
                urllib.request.Request(f"{prefect_api}/events", json.dumps([event]).encode(), headers), timeout=30
            ).close()
            deadline = time.monotonic() + 240
            while len(team.history()) == 12 and time.monotonic() < deadline:
                time.sleep(2)
        finally:
            worker.terminate()
            worker.wait(60)
    assert len(team.history()) > 12, (team.folder / "worker.log").read_text()[-3000:]
