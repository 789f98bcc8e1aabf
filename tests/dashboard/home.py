"""A workspace to look at: registry, runs and decisions are real, and what trainings make is made up."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from fastapi.testclient import TestClient
from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from dashboard.app import create_app
from dashboard.read_model.database import FILE, Database
from dashboard.read_model.refreshing import Refreshing
from dashboard.site import Site
from tasks.calls import EVALUATION_TAG, KEY_TAG
from tasks.champion import ModelRecords
from tasks.workspace import Workspace
from tests.report.example import results_of
from ulmfit.decisions.decision import Author, Decision
from ulmfit.evaluation.results import Results
from ulmfit.evaluation.verdict import Verdict
from ulmfit.store.artifacts import Artifact, Built
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.journal import new_id, now
from ulmfit.store.recipe import Recipe

MODEL = "tickets"
BY = Author(kind="person", name="ada", because="it reads better")


@dataclass
class Home:
    """A workspace with the model ``tickets``."""

    workspace: Workspace
    client: MlflowClient = field(init=False)

    def __post_init__(self) -> None:
        self.client = MlflowClient(self.workspace.tracking_uri)

    @property
    def database(self) -> Database:
        return Database(self.workspace.root / FILE)

    def run(self, name: str = "train tickets", status: str | None = "FINISHED", parent: str | None = None, **facts: Any) -> str:
        """A tracked run; ``status`` None: it is under way. ``facts``: metrics, parameters, tags, start and end in seconds since the epoch."""
        found = self.client.get_experiment_by_name("ulmfit-tickets")
        experiment = found.experiment_id if found else self.client.create_experiment("ulmfit-tickets")
        tags = {"ulmfit.flow": "train", **facts.get("tags", {})} | ({"mlflow.parentRunId": parent} if parent else {})
        start, end = (int(facts[name] * 1000) if name in facts else None for name in ("start", "end"))
        run = self.client.create_run(experiment, start, tags, name).info.run_id
        metrics = [Metric(metric, value, 0, 0) for metric, value in facts.get("metrics", {}).items()]
        parameters = [Param(parameter, str(value)) for parameter, value in facts.get("parameters", {}).items()]
        if metrics or parameters:
            self.client.log_batch(run, metrics, parameters)
        if status:
            self.client.set_terminated(run, status, end)
        return run

    def evaluation(self, seed: str, text: str = "a text") -> Artifact:
        """An artifact with results."""

        def build(work: Any) -> Built:
            results = Results.model_validate(results_of(text=text))
            write_bytes(work / "results.json", results.to_json().encode())
            return Built(results.record().model_dump())

        return self.workspace.store.make(Recipe("evaluation", 1, {"seed": seed}, {}), build)[0]

    def version(self, model: str = MODEL, evaluation: Artifact | None = None, run: str | None = None) -> str:
        """A version in the registry."""
        with suppress(MlflowException):  # it is there already
            self.client.create_registered_model(model)
        tags = {KEY_TAG: "k" * 64, "accuracy": "0.9"} | ({EVALUATION_TAG: evaluation.key} if evaluation else {})
        return str(self.client.create_model_version(model, "made-up", run, tags=tags).version)

    def decide(self, what: Any, version: str | None, model: str = MODEL, by: Author = BY, followed: bool = True, **facts: Any) -> Decision:
        """A decision that is recorded, and carried out."""
        records = ModelRecords(self.workspace, model)
        decision = Decision.new(model, what, by, version=version, **facts)
        records.journal.append(decision.id, decision)
        if followed and what in ("first version", "promoted", "rolled back", "retrain"):
            records.note(decision, True)
        if what in ("first version", "promoted", "rolled back") and version:
            self.client.set_registered_model_alias(model, "champion", version)
        return decision

    def blocked(self, version: str, champion: str, reason: str = "It is worse.", model: str = MODEL) -> Decision:
        """The gate looks at a version, and blocks it."""
        verdict = Verdict(outcome="blocked", reasons=[reason])
        return self.decide("compared", version, model, Author(kind="schedule"), champion=champion, verdict=verdict)

    def landed(self, model: str = MODEL, **facts: Any) -> None:
        """An arrival in the ledger."""
        from ulmfit.corpora.landing.ledger import Ledger

        time = now()
        counts = {"files": 1, "rows": 12, "documents": 12, "labels": 7, **facts.pop("counts", {})}
        entry = {"entry": "arrival", "id": new_id(time), "time": time.isoformat(), "location": "landing", "files": [], "parts": []}
        entry |= {"quarantine": [], "same_content": [], "set_aside": [], "counts": counts, **facts}
        write_bytes(f"{Ledger(self.workspace.store, model).journal.location}/{entry['id']}.json", json.dumps(entry).encode())

    def read(self) -> None:
        """Fill the read model."""
        self.database.set_up()
        Refreshing(self.workspace, self.database).read_all()

    @contextmanager
    def looking(self, token: str | None = None, root_path: str = "", rate: float | None = None, read: bool = True) -> Iterator[TestClient]:
        """A browser before the site, once its read model is filled; it is already where ``read`` is False."""
        if read:
            self.read()
        app = create_app(Site(self.workspace, self.database, rate), token, root_path)
        with TestClient(app, follow_redirects=False) as client:
            yield client
