"""``make stack-test``: the story of a model on the stack, as deployments live it: a promotion by an event, a block, a rollback."""

import csv
import json
import random
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any
from urllib.error import HTTPError

from infra.local.credentials import Credentials
from infra.local.health import ask_prefect
from infra.local.services import base_environment, client_environment
from infra.local.stack import ROOT, Stack
from ulmfit.errors import RunFailed
from ulmfit.store.json import JsonObject

TOPICS = {
    "account": ("password", "login", "email", "profile", "locked", "reset"),
    "billing": ("invoice", "charge", "refund", "payment", "card", "fee"),
    "delivery": ("parcel", "courier", "late", "address", "tracking", "box"),
    "network": ("router", "wifi", "signal", "outage", "cable", "speed"),
}
FILL = (
    "the",
    "customer",
    "says",
    "that",
    "it",
    "was",
    "on",
    "monday",
    "and",
    "we",
    "could",
    "not",
    "help",
    "because",
    "our",
    "team",
    "is",
    "away",
)
MISTAKEN = dict(zip(sorted(TOPICS), [*sorted(TOPICS)[1:], min(TOPICS)], strict=True))  # the label that somebody gives by mistake
LENIENT = {"mode": "not-worse", "margin": 0.4, "slice_margin": 0.9, "min_rows": 50, "max_calibration_worsening": 0.9}
STRICT = {"mode": "not-worse", "margin": 0.02, "slice_margin": 0.05, "min_rows": 50}
PATIENCE, AWAY = 1200.0, 120.0  # seconds for a run, and for a server that is restarted
ENDED = ("COMPLETED", "FAILED", "CRASHED", "CANCELLED")


@dataclass(frozen=True)
class Step:
    """What was done, and what came of it. ``because``: the reasons in the decision. ``run``: the id of Prefect's run, where there is one."""

    name: str
    outcome: str
    version: str | None
    because: list[str]
    seconds: float
    run: str | None


class Team:
    """A team that uses the stack: a landing folder of its own, and a model."""

    def __init__(self, stack: Stack, folder: Path, model: str, options: Sequence[str] = ("classifier.epochs=6", "classifier.lr=0.03")):
        self.stack, self.folder, self.model, self.options = stack, folder, model, options
        self.credentials = Credentials.read(stack)
        self.landing = folder / "landing"
        self.landing.mkdir(parents=True)
        rng = random.Random(2)
        words = [*FILL, *(word for topic in TOPICS.values() for word in topic)]
        (folder / "general.txt").write_text("".join(" ".join(rng.choices(words, k=60)) + ".\n" for _ in range(100)))
        for name, gate in (("lenient", LENIENT), ("strict", STRICT)):
            policy = {"min_documents": 200, "settle_seconds": 0.5, "gate": {**gate, "max_latency_factor": None}}
            (folder / f"{name}.yaml").write_text(json.dumps(policy))

    def land(self, name: str, rows: int, seed: int, mistaken: bool = False) -> None:
        """A file with tickets, made from the seed, comes in."""
        rng = random.Random(seed)
        with open(self.landing / f"{name}.tmp", "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["no", "body", "topic"])
            for number in range(rows):
                topic = rng.choice(sorted(TOPICS))
                words = [rng.choice(TOPICS[topic]) if rng.random() < 0.25 else rng.choice(FILL) for _ in range(rng.randint(8, 40))]
                writer.writerow([f"{name}-{number}", " ".join(words), MISTAKEN[topic] if mistaken else topic])
        (self.landing / f"{name}.tmp").rename(self.landing / name)

    def request(self, policy: str) -> JsonObject:
        """What a retraining is asked, as a deployment's form has it."""
        columns: JsonObject = {"text_column": "body", "label_column": "topic", "id_column": "no"}
        return {
            "landing": str(self.landing),
            "model": self.model,
            "dask": self.stack.dask,
            **columns,
            "preset": "tiny",
            "pretrain": str(self.folder / "general.txt"),
            "policy": str(self.folder / f"{policy}.yaml"),
            "options": list(self.options),
        }

    def ask(self, path: str, body: Any = None) -> Any:
        """Prefect's server, to be asked again where it or its database is being restarted, as Prefect's own clients do."""
        deadline = time.monotonic() + AWAY
        while True:
            try:
                return ask_prefect(self.stack, self.credentials, path, body)
            except OSError as error:
                passing = not isinstance(error, HTTPError) or error.code == HTTPStatus.SERVICE_UNAVAILABLE
                if not passing or time.monotonic() > deadline:
                    raise
            time.sleep(1)

    def start(self, policy: str) -> str:
        """Start the deployment ``retrain``; the id of its run."""
        deployment = self.ask("deployments/name/retrain/retrain")["id"]
        asked = {"parameters": {"request": self.request(policy)}, "idempotency_key": str(uuid.uuid4())}
        return self.ask(f"deployments/{deployment}/create_flow_run", asked)["id"]

    def tell(self, policy: str) -> str:
        """Send the event that new data is there; the id of the run that it starts."""
        event: JsonObject = {
            "id": str(uuid.uuid4()),
            "occurred": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime()),
            "event": "ulmfit.data.new",
            "resource": {"prefect.resource.id": f"ulmfit.data.{self.model}"},
            "payload": self.request(policy),
        }
        before = {run["id"] for run in self.runs()}
        self.ask("events", [event])
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            if new := [run["id"] for run in self.runs() if run["id"] not in before]:
                return new[0]
            time.sleep(1)
        raise RunFailed("the event ulmfit.data.new started no run within 120 s")

    def runs(self) -> list[JsonObject]:
        """The runs of the deployment for this model."""
        found = self.ask("flow_runs/filter", {"flows": {"name": {"any_": ["retrain"]}}, "sort": "START_TIME_DESC"})
        return [run for run in found if (run["parameters"].get("request") or {}).get("model") == self.model]

    def wait(self, run: str) -> None:
        """Until a run has ended well. RunFailed where it has not."""
        deadline = time.monotonic() + PATIENCE
        state: JsonObject = {}
        while time.monotonic() < deadline:
            state = self.ask(f"flow_runs/{run}")["state"]
            if state.get("type") == "COMPLETED":
                return
            if state.get("type") in ENDED and state["type"] != "CRASHED":  # the reconciler starts a crashed one again
                break
            time.sleep(1)
        raise RunFailed(f"the run {run} is {state.get('name')}: {state.get('message')}; see its log in Prefect")

    def decisions(self) -> list[JsonObject]:
        """The model's history."""
        return self.command("history", self.model)["decisions"]

    def command(self, *arguments: str) -> JsonObject:
        """``ulmfit`` as a person uses it beside the stack: with the variables of ``.stack/env``."""
        environment = base_environment() | client_environment(self.stack, self.credentials)
        command = [sys.executable, "-P", "-m", "ulmfit", *arguments, "--json"]
        done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True)
        if done.returncode:
            raise RunFailed(f"ulmfit {' '.join(arguments)}: {' '.join(done.stderr.split())[-500:]}")
        return json.loads(done.stdout.strip().splitlines()[-1])


def tell_story(team: Team, say: Callable[[str], None]) -> list[Step]:
    """All steps; RunFailed where one comes out otherwise than it should."""
    steps: list[Step] = []

    def step(name: str, expected: str, run: Callable[[], str | None]) -> None:
        begun, before = time.monotonic(), len(steps) and len(team.decisions())
        identity = run()
        new = team.decisions()[before:]
        decision = new[-1]
        verdict: JsonObject = next((one["verdict"] for one in reversed(new) if one.get("verdict")), {"reasons": []})
        outcome: str = decision["what"] if decision["what"] != "compared" else verdict["outcome"]
        because = [*verdict["reasons"], *filter(None, [decision.get("because")])]
        steps.append(Step(name, outcome, decision.get("version"), because, round(time.monotonic() - begun, 1), identity))
        say(f"{name}: {outcome}, {steps[-1].seconds:.0f} s")
        if outcome != expected:
            raise RunFailed(f"{name}: {expected} was expected, and it came to: {outcome} ({'; '.join(because)})")

    def deployed(start: Callable[[str], str], policy: str) -> Callable[[], str]:
        def run() -> str:
            identity = start(policy)
            team.wait(identity)
            return identity

        return run

    def rolled_back() -> None:
        team.command("rollback", team.model, "--because", "complaints since Monday")

    team.land("a.csv", 400, 1)
    step("the first version, by the deployment", "first version", deployed(team.start, "lenient"))
    team.land("b.csv", 1200, 2)
    step("a promotion, by the event that new data is there", "promoted", deployed(team.tell, "lenient"))
    team.land("c.csv", 2400, 3, mistaken=True)
    step("a block: new labels are mistaken", "blocked", deployed(team.start, "strict"))
    step("a rollback, by a person", "rolled back", rolled_back)
    return steps


def write_report(folder: Path, model: str, steps: Sequence[Step], seconds: float) -> Path:
    """``report.json`` and ``report.md``; the path of the second."""
    facts = {"model": model, "seconds": round(seconds, 1), "steps": [vars(one) for one in steps]}
    (folder / "report.json").write_text(json.dumps(facts, indent=2))
    lines = [f"# The story of {model} on the stack", "", f"All as expected, in {seconds:.0f} s.", ""]
    lines += ["| step | outcome | version | because | seconds | Prefect's run |", "|---|---|---|---|---|---|"]
    for one in steps:
        because = "; ".join(one.because).replace("|", "\\|").replace("\n", " ")
        lines.append(f"| {one.name} | {one.outcome} | {one.version or ''} | {because} | {one.seconds:.0f} | {one.run or ''} |")
    (folder / "report.md").write_text("\n".join(lines) + "\n")
    return folder / "report.md"


def live(stack: Stack, say: Callable[[str], None]) -> Path:
    """Live the story with a model of its own; the report."""
    begun, stamp = time.monotonic(), time.strftime("%Y%m%d-%H%M%S")
    team = Team(stack, stack.folder / "tests" / stamp, f"stack-test-{stamp}")
    steps = tell_story(team, say)
    return write_report(team.folder, team.model, steps, time.monotonic() - begun)
