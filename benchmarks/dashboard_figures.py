"""Figures that are made up, for the dashboard to show: of corpora, drift, trainings and versions. The same seed makes the same."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from functools import cache

import numpy as np

from ulmfit.config import EvaluateConfig
from ulmfit.corpora.corpus_record import CorpusRecord, SplitFacts
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.corpora.quality.quality_record import Findings, SplitQuality, describe
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation import baseline
from ulmfit.evaluation.comparable import Candidate, Rows
from ulmfit.evaluation.evaluate import evaluate
from ulmfit.evaluation.gate import judge
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.predictions import HeldOut, Predictions
from ulmfit.evaluation.results import Results
from ulmfit.evaluation.verdict import Verdict
from ulmfit.monitoring.drift import drift
from ulmfit.monitoring.drift_figures import DriftFigures, Hits, TextFigures
from ulmfit.monitoring.policy import DriftPolicy

LABELS = ("billing", "cancel", "delivery", "refund", "technical")
WORDS = "the parcel came late and nobody answers my invoice shows two charges please cancel it the app closes when I log in"


def text_of(rng: np.random.Generator, words: int) -> str:
    """A text of so many words."""
    return " ".join(rng.choice(WORDS.split(), words))


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
        documents={split: quality.documents for split, quality in splits.items()}, overlap={"train/test": 3 * week},
    )  # fmt: skip
    return CorpusRecord(
        name=name, digest=hashlib.sha256(f"{name} {week}".encode()).hexdigest(), labels=LABELS,
        splits={split: SplitFacts.of(quality) for split, quality in splits.items()}, parts=(), quarantined=findings.quarantined,
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
