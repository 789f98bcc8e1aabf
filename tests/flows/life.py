"""A model's life without its trainings: landing folder, ledger, registry, gate and decisions are real, and what a training makes is made up."""

from __future__ import annotations

import csv
import itertools
import random
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest

from flows import retrain
from flows.cycle import Due, RetrainSummary, cycle
from flows.request import RetrainRequest
from tasks.champion import RegisteredModel
from tasks.comparison import Challenger, compare
from tasks.registry import register
from tasks.run import Job
from tasks.tracking import Tracker
from tasks.workspace import Workspace
from tests.prediction.test_predictor import LABELS, VOCAB, WORDS, save_classifier
from tests.tasks.test_comparison import without_code
from ulmfit.decisions.decision import Decision
from ulmfit.decisions.history import History
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation.predictions import HeldOut, Predictions, write_predictions
from ulmfit.prediction.bundle import write_bundle
from ulmfit.shards.mapping import serial
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.landed import landed
from ulmfit.stages.outputs import Corpus, Evaluation
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Built
from ulmfit.store.lineage import Ancestor, Lineage
from ulmfit.store.recipe import Recipe
from ulmfit.text.tokenizer import Tokenizer

NAME = "tickets"
POLICY = """
min_documents: 40
min_labels: 40
settle_seconds: 0
gate: {mode: not-worse, margin: 0.05, min_rows: 10, min_slice_rows: 1000, max_calibration_worsening: 0.9, max_latency_factor: null}
"""


class Killed(BaseException):
    """Ends a run as a kill does: nothing of ours catches it."""


@dataclass
class Life:
    """A model and its surroundings in ``root``. ``right``: the share of held-out rows that the next training is right on."""

    root: Path
    right: float = 0.6
    labels: Sequence[str] = field(default_factory=lambda: LABELS)
    trained: list[Due] = field(default_factory=list)

    @property
    def workspace(self) -> Workspace:
        return Workspace.named(self.root / "home")

    @property
    def model(self) -> RegisteredModel:
        return RegisteredModel(self.workspace, Tracker.open(self.workspace, "ulmfit-tickets").client, NAME)

    @property
    def history(self) -> History:
        return self.model.history()

    @property
    def said(self) -> list[tuple[str, str | None]]:
        """What was decided about which version, in order."""
        return [(decision.what, decision.version) for decision in self.history.decisions]

    def land(self, name: str, rows: int, seed: int, labels: Sequence[str] = LABELS) -> Path:
        """A file with new text comes in."""
        rng = random.Random(seed)
        folder = self.root / "landing"
        folder.mkdir(exist_ok=True)
        with open(folder / name, "w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["text", "label"])
            writer.writerows((" ".join(rng.choices(WORDS, k=8)) + f" {seed}-{row}", rng.choice(labels)) for row in range(rows))
        return folder / name

    def request(self, **changed: object) -> RetrainRequest:
        (self.root / "policy.yaml").write_text(POLICY)
        asked = {"landing": str(self.root / "landing"), "model": NAME, "policy": str(self.root / "policy.yaml"), "preset": "tiny"}
        return RetrainRequest.model_validate({**asked, "workspace": str(self.root / "home"), **changed})

    def retrain(self, **changed: object) -> RetrainSummary:
        """A cycle, its training made up."""
        return cycle(self.request(**changed), self.train)

    def train(self, due: Due) -> RetrainSummary:
        """What ``train_cycle`` does, but for the training."""
        self.trained.append(due)
        tracker = Tracker.open(self.workspace, "ulmfit-tickets")
        context = Context(self.workspace.store, self.workspace.downloads)
        job = Job(self.workspace, tracker, tracker.start("retrain", {}), context)
        corpus = make(landed(due.seen.state, due.plan.settings.corpus, due.plan.settings.quality), context)
        if not due.recorded:
            due.asked.records.journal.append(due.decision.id, due.decision)
        _, _, concluded = retrain.settle(job, due, cast(Any, self.made(corpus, due)))
        return RetrainSummary(
            model=NAME, outcome=concluded.outcome, decision=concluded.decision or due.decision, retraining=due.decision, training=None
        )

    def made(self, corpus: Corpus, due: Due) -> SimpleNamespace:
        """A model of chance that is said to be right on a share of the held-out rows; the same text and settings make the same."""
        key = Recipe("made", 1, {"right": self.right, "labels": list(self.labels)}, {"corpus": corpus.key}).key
        folder = self.root / "made" / key[:8]
        if not folder.exists():
            folder.parent.mkdir(exist_ok=True)
            VOCAB.save(folder.with_suffix(".json"))
            parts = {way: save_classifier(folder.with_suffix(f".{way}"), way, 1, list(self.labels)) for way in ("forward", "backward")}
            write_bundle(folder, **parts, vocab=folder.with_suffix(".json"), tokenizer=Tokenizer().definition)
            classifier = Ancestor(kind="classifier", version=1, config={}, inputs={"corpus": corpus.key})
            model = Ancestor(kind="model", version=1, config={}, inputs={"forward": "f" * 64})
            (folder / "lineage.json").write_bytes(Lineage(key=key, artifacts={key: model, "f" * 64: classifier}).to_json())
        evaluation = self._evaluation(corpus, key)
        bundle = SimpleNamespace(key=key, path=folder)
        challenger = lambda version: Challenger(version, cast(Any, bundle), evaluation, corpus, "test")
        return SimpleNamespace(model=bundle, evaluation=evaluation, familiar=None, challenger=challenger)

    def _evaluation(self, corpus: Corpus, key: str) -> Evaluation:
        rows = read_split(corpus, "test")
        truth, count = rows.codes(self.labels), len(self.labels)
        hit = np.arange(len(truth)) < round(self.right * len(truth))
        shares = np.full((len(truth), count), 0.1)
        shares[np.arange(len(truth)), np.where(hit, truth, (truth + 1) % count)] = 1 - 0.1 * (count - 1)

        def build(work: Path) -> Built:
            write_predictions(work, {ENSEMBLE: Predictions(shares)}, HeldOut(rows.ids, rows.texts, truth, list(self.labels)))
            return Built({"scores": {ENSEMBLE: {"accuracy": float(hit.mean())}}, "calibration": {}})

        found, _ = self.workspace.store.make(Recipe("evaluation", 1, {"right": self.right}, {"corpus": corpus.key, "model": key}), build)
        return Evaluation(found.location, found.manifest, found.copy)


def begin(root: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """The life in ``root``, without Prefect, Dask, and the code in a registered model, which take seconds."""
    for name in ("MLFLOW_TRACKING_URI", "ULMFIT_ARTIFACTS", "PREFECT_API_URL", "ULMFIT_NOTICE_URL"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tasks.registry.save_pyfunc", without_code)
    monkeypatch.setattr("flows.retrain.register", register.fn)
    monkeypatch.setattr("flows.retrain.compare", compare.fn)
    monkeypatch.setattr("tasks.cluster.open_cluster", in_process)
    return Life(root)


@contextmanager
def in_process(_: str | None) -> Iterator[SimpleNamespace]:
    yield SimpleNamespace(map=serial)


def last(life: Life) -> Decision:
    return life.history.decisions[-1]


def kill_at(monkeypatch: pytest.MonkeyPatch, target: str, number: int, after: bool) -> None:
    """The ``number``-th call of ``target`` from now on ends the run, before or after its work."""
    module, _, name = target.rpartition(".")
    owner = _owner(module)
    real, calls = getattr(owner, name), itertools.count(1)

    def killing(*arguments: Any, **keywords: Any) -> Any:
        now = next(calls) == number
        if now and not after:
            raise Killed(target)
        made = real(*arguments, **keywords)
        if now:
            raise Killed(target)
        return made

    monkeypatch.setattr(owner, name, killing)


def _owner(path: str) -> Any:
    from importlib import import_module

    try:
        return import_module(path)
    except ModuleNotFoundError:
        module, _, name = path.rpartition(".")
        return getattr(import_module(module), name)
