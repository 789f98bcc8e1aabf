"""Studies that are made up, with their reports, for the dashboard to show."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable
from datetime import datetime, timedelta

import numpy as np

from benchmarks.dashboard_figures import LABELS
from tasks.workspace import Workspace
from ulmfit.directions import ENSEMBLE
from ulmfit.experiments.ablations import VARIANTS
from ulmfit.experiments.trial import Point, Trial, TrialResult
from ulmfit.presets import tiny
from ulmfit.report.study_page import render_study
from ulmfit.report.study_summary import StudyCorpus, StudySummary
from ulmfit.report.summary import RunSummary


def study(workspace: Workspace, number: int, run: str, now: datetime) -> None:
    """A study of one of two kinds, with its report."""
    ablation = number % 3 == 2
    corpus = ("tickets", "trec-6", "imdb", "claims")[number % 4]
    tried = _ablation(corpus, number) if ablation else _grid(corpus, number)
    started = now - timedelta(days=30 * number + 2)
    summary = StudySummary(
        kind="ablation" if ablation else "data-quantity",
        asked={"labels": "50,100,200,400", "trials": 3, "seed": number},
        corpora=[StudyCorpus(name=corpus, key="k" * 64, digest="d" * 64, labels=LABELS, splits={"train": 5000, "test": 500})],
        results=tried, settings=tiny(), made=40, found=12, busy=5400.0, slots=2, machine="2 cores",
        run=RunSummary(
            id=run, experiment="1", tracking_uri=workspace.tracking_uri, started=f"{started:%Y-%m-%dT%H:%M:%SZ}", seconds=3000.0 + number,
            device="cpu", workspace=str(workspace.root), versions={"torch": "2.13"},
        ),
    )  # fmt: skip
    folder = workspace.reports / f"{summary.kind}-{corpus}-{number}"
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
