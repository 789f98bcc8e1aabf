"""A workspace with a long life behind it, for the dashboard to show: two models, what landed for them, runs, decisions, studies.

    python benchmarks/dashboard_workspace.py FOLDER [--runs 1000] [--versions 50] [--studies 10]

All goes through the real stores: artifacts, ledger, decisions, reports of studies, and MLflow's registry. Runs go through MLflow once, and
the rows of that one are copied in its database, for a thousand would take minutes. What trainings make is made up; the same seed makes the same.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sqlite3
import time
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from mlflow import MlflowClient
from mlflow.entities import Metric, Param, RunTag

from tasks.calls import KEY_TAG, PARENT_TAG
from tasks.champion import ModelRecords
from tasks.registry import EVALUATION_TAG
from tasks.tracking import Tracker
from tasks.workspace import Workspace
from ulmfit.config import EvaluateConfig
from ulmfit.corpora.corpus_record import CorpusRecord, SplitFacts
from ulmfit.corpora.ingest.quarantine import QUARANTINE
from ulmfit.corpora.landing.entries import Arrival, Counts, LandedFile, SetAside
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.corpora.quality.quality_record import Findings, SplitQuality, describe
from ulmfit.decisions.cycle import Cycle, NewText
from ulmfit.decisions.decision import Author, Decision, Followed, What
from ulmfit.decisions.retrain_policy import RetrainPolicy
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation import baseline
from ulmfit.evaluation.comparable import Candidate, Rows
from ulmfit.evaluation.evaluate import evaluate
from ulmfit.evaluation.gate import judge
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.predictions import HeldOut, Predictions
from ulmfit.evaluation.results import Results
from ulmfit.evaluation.verdict import Verdict
from ulmfit.experiments.ablations import VARIANTS
from ulmfit.experiments.trial import Point, Trial, TrialResult
from ulmfit.monitoring.drift import drift
from ulmfit.monitoring.drift_figures import DriftFigures, Hits, TextFigures
from ulmfit.monitoring.policy import DriftPolicy
from ulmfit.presets import tiny
from ulmfit.report.study_page import render_study
from ulmfit.report.study_summary import StudyCorpus, StudySummary
from ulmfit.report.summary import RunSummary
from ulmfit.store.artifacts import Artifact, Built
from ulmfit.store.filesystem import join, write_bytes
from ulmfit.store.journal import new_id
from ulmfit.store.recipe import Recipe

LABELS = ("billing", "cancel", "delivery", "refund", "technical")
SOURCES = {"mail": 3.0, "chat": 2.0, "phone/transcripts": 0.7, "forms": 0.4}  # how much comes from each
STAGES = ("corpus", "tokens", "vocab", "ids", "language-model", "language-model", "classifier", "classifier", "evaluation")
WORDS = [
    "the",
    "parcel",
    "came",
    "late",
    "and",
    "nobody",
    "answers",
    "my",
    "invoice",
    "shows",
    "two",
    "charges",
    "please",
    "cancel",
    "it",
    "the",
    "app",
    "closes",
    "when",
    "I",
    "log",
    "in",
]
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
    flows = tracked_runs(made)
    few = max(1, size.versions // 8)
    begin = made.now - WEEK * (size.versions + 1)
    for name, versions, runs in (("tickets", size.versions - few, flows[few:]), ("claims", few, flows[:few])):
        live(made, name, versions, runs, begin)
    for number in range(size.studies):
        study(made, number, flows[number % len(flows)])
    return workspace


def tracked_runs(made: Furnished) -> list[str]:
    """The runs of flows and of their stages, each a copy of one that MLflow has made; the ids of the flows' runs, the newest first."""
    first = made.client.create_run(
        made.experiment, tags={"ulmfit.flow": "retrain", "ulmfit.corpus": "tickets"}, run_name="retrain tickets"
    ).info.run_id
    now = int(time.time() * 1000)
    metrics = [Metric(f"result.{name}", 0.9, now, 0) for name in ("accuracy", "macro_f1", *(f"figure{number}" for number in range(14)))]
    params = [Param(f"finetune.option{number}", str(number / 10)) for number in range(30)]
    tags = [RunTag(f"ulmfit.stage.{name}-{number}", f"{'a' * 64} run={first}") for number, name in enumerate(STAGES)]
    made.client.log_batch(first, metrics, params, tags)
    made.client.set_terminated(first)
    flows = max(1, made.size.runs // (len(STAGES) + 1))
    ids = [hashlib.md5(f"flow {number}".encode()).hexdigest() for number in range(flows)]
    with closing(sqlite3.connect(made.workspace.database)) as connection, connection:
        copy = partial(_copied, connection, first)
        for number, run in enumerate(ids):
            begun = now - number * 86_400_000 * 365 // flows - 3_000_000
            status = "RUNNING" if number == 0 else "FAILED" if number % 20 == 7 else "FINISHED"
            kind: dict[str, str | None] = {"ulmfit.flow": "study" if number % 10 == 3 else "retrain"}
            if number == 0:  # under way: four stages have ended
                kind |= {f"ulmfit.stage.{name}-{at}": None for at, name in enumerate(STAGES) if at >= 4}
            copy(
                run,
                f"{kind['ulmfit.flow']} {'claims' if number % 8 == 0 else 'tickets'}",
                status,
                begun,
                None if number == 0 else begun + 3_600_000,
                kind,
            )
            for at, stage in enumerate(STAGES[: 5 if number == 0 else None]):
                part = hashlib.md5(f"{run} {at}".encode()).hexdigest()
                seconds = int(made.rng.integers(60, 500)) * 1000
                running = number == 0 and at == 4
                facts = {PARENT_TAG: run, "ulmfit.kind": stage, KEY_TAG: "a" * 64, "ulmfit.flow": None}
                copy(
                    part,
                    f"{stage}-{at}",
                    "RUNNING" if running else "FINISHED",
                    begun + at * 300_000,
                    None if running else begun + at * 300_000 + seconds,
                    facts,
                )
    made.client.delete_run(first)
    return ids


def _copied(
    connection: sqlite3.Connection, run: str, id_: str, name: str, status: str, start: int, end: int | None, tags: dict[str, str | None]
) -> None:
    """A copy of all rows of ``run``, with a name, times and ``tags`` of its own; None: it has no such tag."""
    connection.row_factory = sqlite3.Row
    own = {"run_uuid": id_, "name": name, "status": status, "start_time": start, "end_time": end, "lifecycle_stage": "active"}
    for table in ("runs", "metrics", "latest_metrics", "params", "tags"):
        for row in connection.execute(f"select * from {table} where run_uuid = ?", [run]).fetchall():
            values = {**dict(row), "run_uuid": id_} if table != "runs" else {**dict(row), **own}
            if table == "tags" and values["key"] in ("mlflow.runName", *tags):
                continue
            connection.execute(f"insert into {table} values ({', '.join('?' * len(values))})", list(values.values()))
    named = {"mlflow.runName": name, **tags}
    connection.executemany(
        "insert into tags (key, value, run_uuid) values (?, ?, ?)", [(key, value, id_) for key, value in named.items() if value is not None]
    )


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
        retraining = decide(records, name, "retrain", at, cycle=cycle, champion=champion)
        model, evaluation = artifacts(made, name, week)
        tags = {KEY_TAG: model.key, EVALUATION_TAG: evaluation.key, "accuracy": "0.9"}
        version = str(made.client.create_model_version(name, "made-up", runs[min(week, len(runs) - 1)], tags=tags).version)
        champion = judged(made, records, name, version, champion, at + timedelta(hours=2), retraining.id, evaluation.key)
        registered(made, name, version, at + timedelta(hours=1))
    landed(made, name, made.now - timedelta(hours=5), versions)
    made.client.set_registered_model_alias(name, "champion", champion)
    made.client.set_registered_model_alias(name, "challenger", str(versions))


def registered(made: Furnished, name: str, version: str, at: datetime) -> None:
    """When the version was made: MLflow takes no time of another's."""
    with closing(sqlite3.connect(made.workspace.database)) as connection, connection:
        milliseconds = int(at.timestamp() * 1000)
        connection.execute("update model_versions set creation_time = ? where name = ? and version = ?", [milliseconds, name, version])


def decide(records: ModelRecords, name: str, what: What, at: datetime, **facts: object) -> Decision:
    """A decision of that time, recorded and, where something follows from it, carried out."""
    decision = Decision.model_validate({"id": new_id(at), "time": at, "model": name, "what": what, "by": SCHEDULE, **facts})
    records.journal.append(decision.id, decision)
    if what in ("first version", "promoted", "retrain"):
        done = at + timedelta(minutes=1)
        records.journal.append(new_id(done), Followed(decision=decision.id, time=done, done=True))
    return decision


def judged(
    made: Furnished, records: ModelRecords, name: str, version: str, champion: str | None, at: datetime, retraining: str, evaluation: str
) -> str:
    """The first version, or one that the gate looks at; which is champion then."""
    facts = {"version": version, "champion": champion, "retraining": retraining, "evaluations": (evaluation,)}
    if champion is None:
        decide(records, name, "first version", at, **facts)
        return version
    verdict = verdicts()[int(made.rng.integers(0, 3))]
    decide(records, name, "compared", at, policy=GatePolicy(), verdict=verdict, **facts)
    if verdict.outcome != "promoted":
        return champion
    decide(records, name, "promoted", at + timedelta(seconds=5), verdict=verdict, **facts)
    return version


@cache
def verdicts() -> tuple[Verdict, ...]:
    """One that promotes, one that holds, one that blocks."""
    truth = np.arange(1000) % 2

    def candidate(wrong: Sequence[int]) -> Candidate:
        predicted = truth.copy()
        predicted[list(wrong)] ^= 1
        shares = np.full((1000, 2), len(wrong) / 1000)  # as sure as it is right
        shares[np.arange(1000), predicted] = 1 - len(wrong) / 1000
        return Candidate("multi-class", ["bad", "good"], Predictions(shares), seconds=0.01, bytes=9_000_000)

    slices = {f"label {label}": np.arange(1000) % 5 == number for number, label in enumerate(LABELS)}
    compare = lambda wrong: judge(Rows(truth, ["bad", "good"], slices), candidate(range(100)), candidate(wrong), 0, GatePolicy())
    return compare(range(50, 100)), compare(range(5, 100)), compare(range(150))


def look(week: int, earlier: Sequence[DriftFigures]) -> DriftFigures:
    """What drift a week brings: none but for one week in fifteen."""
    rng = np.random.default_rng(week)
    shift = 0.6 if week % 15 == 14 else 0.0

    def figures(rows: int, away: float) -> TextFigures:
        labels = dict(zip(LABELS, rng.multinomial(rows, [0.3, 0.25, 0.2, 0.15, 0.1]).tolist(), strict=True))
        lengths = tuple(int(length) for length in np.exp(rng.normal(4.0 + away / 2, 0.6, rows)).clip(5, 400))
        losses, unknown = rng.normal(4.2 + away, 0.5, rows), rng.beta(2, 60, rows) * (1 + away)
        hits = Hits(right=int(rows * (0.9 - away / 6)), rows=rows)
        return TextFigures(losses=tuple(losses.tolist()), unknown=tuple(unknown.tolist()), lengths=lengths, labels=labels, hits=hits)

    return drift(figures(600, 0.0), figures(400, shift), DriftPolicy(), list(earlier)[-8:])


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


def text_of(rng: np.random.Generator, words: int) -> str:
    return " ".join(rng.choice(WORDS, words))


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


def corpus_record(name: str, week: int) -> CorpusRecord:
    """The facts of the corpus of that week."""
    documents = 900 * (week + 1)
    shares = {"train": 0.5, "valid": 0.1, "test": 0.1, "unlabelled": 0.3}
    splits = {}
    for split, share in shares.items():
        number = int(documents * share)
        labels = dict.fromkeys(LABELS, number // len(LABELS)) if split != "unlabelled" else {}
        splits[split] = SplitQuality.of(np.repeat([40, 160, 640], [number // 4, number // 2, number // 4]), labels, sum(labels.values()))
    measured = Measurements(
        documents=documents, characters=documents * 200, html=9 * week, tags=4 * week, broken=week, sampled=64, languages={"en": 60}
    )
    findings = Findings(
        rows=documents + 30 * week, quarantined={"no label": 8 * week + 1, "empty": 4 * week}, duplicates=90 * (week + 1), folded_duplicates=110 * (week + 1),
        documents={split: held.documents for split, held in splits.items()}, overlap={"train/test": 3 * week},
    )  # fmt: skip
    return CorpusRecord(
        name=name, digest=hashlib.sha256(f"{name} {week}".encode()).hexdigest(), labels=LABELS,
        splits={split: SplitFacts.of(held) for split, held in splits.items()}, parts=(), quarantined=findings.quarantined,
        duplicates=findings.duplicates, overlap_removed=3 * week, warnings=(), source="landing", more=(),
        quality=describe(measured, findings, splits),
    )  # fmt: skip


def history(lm: bool) -> dict[str, bytes]:
    """The curve of a training."""
    points = [{"step": step, "name": "train_loss", "value": 3 + 3 / (1 + step / 50)} for step in range(10, 401, 10)]
    points += [{"step": step, "name": "valid_loss", "value": 3.2 + 2.5 / (1 + step / 60)} for step in range(100, 401, 100)]
    points += [] if lm else [{"step": step, "name": "valid_accuracy", "value": 0.92 - 20 / (step + 60)} for step in range(100, 401, 100)]
    return {"history.json": json.dumps(points).encode()}


@cache
def results(seed: int) -> Results:
    """The scores of a version on 400 rows."""
    rng = np.random.default_rng(seed)
    truth = rng.permutation(np.arange(400) % len(LABELS))

    def shares(skill: float) -> np.ndarray:
        values = np.exp(rng.normal(size=(400, len(LABELS))) + skill * np.eye(len(LABELS))[truth])
        return values / values.sum(1, keepdims=True)

    systems = {"forward": shares(2.0 + seed / 20), "backward": shares(2.0 + seed / 20)}
    systems[ENSEMBLE] = (systems["forward"] + systems["backward"]) / 2
    systems[baseline.NAME] = shares(1.6)
    texts = [text_of(rng, 30) for _ in range(400)]
    documents = HeldOut([f"mail/{row}" for row in range(400)], texts, truth, LABELS)
    return evaluate({name: Predictions(found) for name, found in systems.items()}, documents, EvaluateConfig(bootstrap=40, mistakes=12))


def study(made: Furnished, number: int, run: str) -> None:
    """A study of one of two kinds, with its report."""
    ablation = number % 3 == 2
    corpus = ("tickets", "trec-6", "imdb", "claims")[number % 4]
    tried = _ablation(corpus, number) if ablation else _grid(corpus, number)
    started = made.now - timedelta(days=30 * number + 2)
    summary = StudySummary(
        kind="ablation" if ablation else "data-quantity",
        asked={"labels": "50,100,200,400", "trials": 3, "seed": number},
        corpora=[StudyCorpus(name=corpus, key="k" * 64, digest="d" * 64, labels=LABELS, splits={"train": 5000, "test": 500})],
        results=tried, settings=tiny(), made=40, found=12, busy=5400.0, slots=2, machine="2 cores",
        run=RunSummary(
            id=run, experiment="1", tracking_uri=made.workspace.tracking_uri, started=f"{started:%Y-%m-%dT%H:%M:%SZ}", seconds=3000.0 + number,
            device="cpu", workspace=str(made.workspace.root), versions={"torch": "2.13"},
        ),
    )  # fmt: skip
    folder = made.workspace.reports / f"{summary.kind}-{corpus}-{number}"
    folder.mkdir(parents=True)
    render_study(summary, folder)
    os.utime(folder / "summary.json", (started.timestamp(), started.timestamp()))


def _grid(corpus: str, seed: int) -> list[TrialResult]:
    rng = np.random.default_rng(seed)
    found = []
    for method, regime, top, decay in (
        ("ulmfit", "general+domain", 0.93, 1.1),
        ("scratch", None, 0.86, 3.6),
        ("tfidf", None, 0.9, 2.6),
        ("nbsvm", None, 0.89, 2.7),
    ):
        for labels in (50, 100, 200, 400, 800):
            for trial in range(3):
                accuracy = float(top - decay / labels**0.5 + rng.normal(0, 0.008))
                found.append(_trial(Point(corpus=corpus, method=method, regime=regime, labels=labels), trial, labels, accuracy))
    return found


def _ablation(corpus: str, seed: int) -> list[TrialResult]:
    rng = np.random.default_rng(seed)
    point = lambda variant: Point(corpus=corpus, method="ulmfit", regime="general+domain", labels=500, variant=variant)
    return [
        _trial(point(variant), trial, 500, float(0.88 - 0.004 * at + rng.normal(0, 0.006)))
        for at, variant in enumerate(VARIANTS)
        for trial in range(3)
    ]


def _trial(point: Point, number: int, labels: int, accuracy: float) -> TrialResult:
    systems: Callable[[str], float] = lambda system: accuracy - (0.0 if system == ENSEMBLE else 0.01)
    names = ("forward", "backward", ENSEMBLE) if point.method in ("ulmfit", "scratch") else (point.method,)
    scores = {name: {"accuracy": systems(name), "macro_f1": systems(name) - 0.05, "roc_auc": None} for name in names}
    key = hashlib.sha256(f"{point} {number}".encode()).hexdigest()
    return TrialResult(
        trial=Trial(point=point, number=number), documents=500, labels=labels, unlabelled=4000, scores=scores,
        errors=tuple(1 - accuracy + 0.3 / (epoch + 1) ** 2 for epoch in range(6)) if number == 0 else (), seconds=40.0, shared_seconds=300.0, documents_per_second=900.0, key=key,
        run_id=key[:32], built=9,
    )  # fmt: skip


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
