"""A workspace with a long life behind it, for the dashboard to show: two models, what landed for them, runs, decisions, studies.

    python benchmarks/dashboard_workspace.py FOLDER [--runs 1000] [--versions 50] [--studies 10]

All goes through the real stores: artifacts, ledger, decisions, reports of studies, and MLflow's registry. What trainings make is made up
(``dashboard_figures``); the same seed makes the same.
"""

from __future__ import annotations

import argparse
import hashlib
import sqlite3
import sys
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient

sys.path.insert(0, str(Path(__file__).parent.parent))

from benchmarks.dashboard_figures import LABELS, corpus_record, history, look, results, text_of, verdicts
from benchmarks.dashboard_runs import tracked_runs
from benchmarks.dashboard_studies import study
from tasks.calls import KEY_TAG
from tasks.champion import ModelRecords
from tasks.registry import EVALUATION_TAG
from tasks.tracking import Tracker
from tasks.workspace import Workspace
from ulmfit.corpora.ingest.quarantine import QUARANTINE
from ulmfit.corpora.landing.entries import Arrival, Counts, LandedFile, SetAside
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.decisions.cycle import Cycle, NewText
from ulmfit.decisions.decision import Author, Decision, Followed, What
from ulmfit.decisions.retrain_policy import RetrainPolicy
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.monitoring.drift_figures import DriftFigures
from ulmfit.store.artifacts import Artifact, Built
from ulmfit.store.filesystem import join, write_bytes
from ulmfit.store.journal import new_id
from ulmfit.store.recipe import Recipe

SOURCES = {"mail": 3.0, "chat": 2.0, "phone/transcripts": 0.7, "forms": 0.4}  # how much comes from each
WEEK = timedelta(days=7)
SCHEDULE = Author(kind="schedule")


@dataclass(frozen=True)
class Size:
    """How much there is: tracked runs, registered versions, studies."""

    runs: int = 1000
    versions: int = 50
    studies: int = 10
    files: int = 20  # of an arrival


@dataclass
class Furnished:
    """A workspace that is being filled. ``rng``: what everything is drawn from."""

    workspace: Workspace
    size: Size
    client: MlflowClient
    experiment: str
    rng: np.random.Generator = field(default_factory=lambda: np.random.default_rng(0))

    @property
    def now(self) -> datetime:
        return datetime.now(UTC).replace(microsecond=0)


def furnish(folder: Path, size: Size) -> Workspace:
    """Fill a workspace in ``folder``."""
    workspace = Workspace.open(folder)
    tracker = Tracker.open(workspace, "ulmfit-tickets")
    made = Furnished(workspace, size, MlflowClient(workspace.tracking_uri), tracker.experiment_id)
    flows = tracked_runs(workspace, made.client, made.experiment, size.runs, made.rng)
    few = max(1, size.versions // 8)
    begin = made.now - WEEK * (size.versions + 1)
    for name, versions, runs in (("tickets", size.versions - few, flows[few:]), ("claims", few, flows[:few])):
        live(made, name, versions, runs, begin)
    for number in range(size.studies):
        study(workspace, number, flows[number % len(flows)], made.now)
    return workspace


def live(made: Furnished, name: str, versions: int, runs: Sequence[str], begin: datetime) -> None:
    """The life of a model: every week text lands, is looked at, and a version is trained and judged."""
    made.client.create_registered_model(name)
    records, champion, drifts = ModelRecords(made.workspace, name), None, list[DriftFigures]()
    for week in range(versions):
        at = begin + WEEK * (week + 1)
        landed(made, name, at - timedelta(days=4), week)
        until = landed(made, name, at - timedelta(hours=1), week)
        found = look(week, drifts)
        drifts.append(found)
        cycle = Cycle(
            number=week + 1, landed="d" * 64, until=until, asked="a" * 64, new=NewText(files=made.size.files, documents=900, labels=300),
            training="cold" if week % 5 == 0 else "warm", reasons=("300 new or corrected labels are reason enough to train.",),
            policy=RetrainPolicy(), days=7.0 if week else None, drift=found if champion else None,
        )  # fmt: skip
        retraining = decide(records, "retrain", at, cycle=cycle, champion=champion)
        model, evaluation = artifacts(made, name, week)
        tags = {KEY_TAG: model.key, EVALUATION_TAG: evaluation.key, "accuracy": "0.9"}
        version = str(made.client.create_model_version(name, "made-up", runs[min(week, len(runs) - 1)], tags=tags).version)
        facts = {"retraining": retraining.id, "evaluations": (evaluation.key,)}
        champion = judged(made, records, version, champion, at + timedelta(hours=2), **facts)
        registered(made, name, version, at + timedelta(hours=1))
    landed(made, name, made.now - timedelta(hours=5), versions)
    made.client.set_registered_model_alias(name, "champion", champion)
    made.client.set_registered_model_alias(name, "challenger", str(versions))


def registered(made: Furnished, name: str, version: str, at: datetime) -> None:
    """When the version was made: MLflow takes no time of another's."""
    with closing(sqlite3.connect(made.workspace.database)) as connection, connection:
        milliseconds = int(at.timestamp() * 1000)
        connection.execute("update model_versions set creation_time = ? where name = ? and version = ?", [milliseconds, name, version])


def decide(records: ModelRecords, what: What, at: datetime, **facts: object) -> Decision:
    """A decision of that time, recorded and, where something follows from it, carried out."""
    decision = Decision.model_validate({"id": new_id(at), "time": at, "model": records.name, "what": what, "by": SCHEDULE, **facts})
    records.journal.append(decision.id, decision)
    if what in ("first version", "promoted", "retrain"):
        done = at + timedelta(minutes=1)
        records.journal.append(new_id(done), Followed(decision=decision.id, time=done, done=True))
    return decision


def judged(made: Furnished, records: ModelRecords, version: str, champion: str | None, at: datetime, **facts: object) -> str:
    """The first version, or one that the gate looks at; which is champion then."""
    facts |= {"version": version, "champion": champion}
    if champion is None:
        decide(records, "first version", at, **facts)
        return version
    verdict = verdicts()[int(made.rng.integers(0, 3))]
    decide(records, "compared", at, policy=GatePolicy(), verdict=verdict, **facts)
    if verdict.outcome != "promoted":
        return champion
    decide(records, "promoted", at + timedelta(seconds=5), verdict=verdict, **facts)
    return version


def landed(made: Furnished, name: str, at: datetime, week: int) -> str:
    """An arrival of so many files, some rows of which are set aside; its id."""
    ledger, rng = Ledger(made.workspace.store, name), made.rng
    files, rows, id_ = [], [], new_id(at)
    for number in range(made.size.files):
        source, amount = list(SOURCES.items())[number % len(SOURCES)]
        file = f"{source}/{at:%Y-%m-%d}-{number:03d}.csv"
        documents = int(amount * rng.integers(20, 60))
        aside = {"no label": 1, "empty": int(rng.integers(0, 3))} if number % 5 == 0 else {}
        rows += [
            {"source": file, "row": row, "reason": reason, "excerpt": text_of(rng, 6)}
            for reason, many in aside.items()
            for row in range(many)
        ]
        sha256 = hashlib.sha256(f"{name} {file}".encode()).hexdigest()
        files.append(
            LandedFile(
                number=number, name=file, named=file, stamp="1", content=f"{sha256}:.csv:", rows=documents + sum(aside.values()),
                documents=documents, labels=documents // 3, quarantined=aside,
            )
        )  # fmt: skip
    folder = hashlib.sha256(id_.encode()).hexdigest()[:16]
    quarantine = f"{folder}/00000.quarantine.parquet"
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(rows, QUARANTINE), buffer)
    write_bytes(join(ledger.location, quarantine), buffer.getvalue().to_pybytes())
    reasons = {reason: sum(row["reason"] == reason for row in rows) for reason in dict.fromkeys(row["reason"] for row in rows)}
    documents = sum(file.documents for file in files)
    counts = Counts(
        files=len(files), rows=sum(file.rows for file in files), documents=documents * 9 // 10, labels=documents // 3,
        duplicates=documents // 10, corrections=week % 4, quarantined=reasons,
    )  # fmt: skip
    broken = [SetAside(name=f"forms/{at:%Y-%m-%d}.xlsx", stamp="1", content="c", reading="r", reason="this is no table that can be read")]
    arrival = Arrival(
        id=id_, time=at, run_id=None, location="landing", files=tuple(files), parts=(), quarantine=(quarantine,), same_content=(),
        set_aside=tuple(broken if week % 10 == 9 else ()), counts=counts,
    )  # fmt: skip
    ledger.journal.append(id_, arrival)
    return id_


def artifacts(made: Furnished, name: str, week: int) -> tuple[Artifact, Artifact]:
    """Everything behind a version, and the version's own; the model and its evaluation."""
    make = partial(_make, made.workspace)
    corpus = make("corpus", {"landed": f"{name} {week}"}, {}, corpus_record(name, week).model_dump(mode="json"))
    tokens = make(
        "tokens", {"rules": "default"}, {"corpus": corpus}, {"parts": 4, "documents": 900 * (week + 1), "tokens": 48_000 * (week + 1)}
    )
    vocab = make("vocab", {"max_size": 30_000}, {"tokens": tokens}, {"tokens": 21_000 + 100 * week})
    ids = make("ids", {}, {"tokens": tokens, "vocab": vocab}, {"parts": 4, "tokens": 48_000 * (week + 1)})
    classifiers = {}
    for direction in ("forward", "backward"):
        general = make(
            "language-model", {"direction": direction, "source": "wikitext"}, {}, {"valid_perplexity": 61.2, "training_seconds": 9000.0}
        )
        tuned = {"language_model": general, "shards": ids, "vocab": vocab}
        lm = make(
            "language-model",
            {"direction": direction, "epochs": 4},
            tuned,
            {"valid_perplexity": 38.5, "training_seconds": 410.0},
            history(lm=True),
        )
        config = {"direction": direction, "epochs": 6, "optimizer": {"lr": 0.01, "weight_decay": 0.1}}
        record = {"valid_accuracy": 0.9, "training_seconds": 230.0}
        classifiers[direction] = make(
            "classifier", config, {"language_model": lm, "shards": ids, "corpus": corpus}, record, history(lm=False)
        )
    model = make("model", {}, {**classifiers, "vocab": vocab}, {"labels": list(LABELS), "artifacts": 10})
    found = results(week % 6)
    files = {"results.json": found.to_json().encode()}
    return model, make("evaluation", {"seed": week}, {"model": model, "corpus": corpus}, found.record().model_dump(mode="json"), files)


def _make(
    workspace: Workspace,
    kind: str,
    config: dict[str, Any],
    inputs: dict[str, Artifact],
    record: dict[str, Any],
    files: dict[str, bytes] | None = None,
) -> Artifact:
    def build(work: Any) -> Built:
        for name, content in (files or {"data.bin": b"made up"}).items():
            write_bytes(work / name, content)
        return Built(record)

    return workspace.store.make(Recipe(kind, 1, config, {role: artifact.key for role, artifact in inputs.items()}), build)[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    for name, default in (("runs", 1000), ("versions", 50), ("studies", 10)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    started = time.monotonic()
    furnish(options.folder, Size(options.runs, options.versions, options.studies))
    print(
        f"{options.folder}: {options.runs} runs, {options.versions} versions, {options.studies} studies in {time.monotonic() - started:.0f} s"
    )


if __name__ == "__main__":
    main()
