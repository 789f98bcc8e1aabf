"""The results of an evaluation, computed here and kept as ``results.json``: scores, differences from the baseline, mistakes."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np
from pydantic import BaseModel, ConfigDict

from ulmfit.config import EvaluateConfig
from ulmfit.directions import ENSEMBLE
from ulmfit.evaluation import baseline, metrics
from ulmfit.evaluation.calibration import expected_calibration_error, reliability
from ulmfit.evaluation.predictions import HeldOut, Predictions
from ulmfit.labels.label_set import Task

FILE = "results.json"
EXCERPT = 400  # characters of a mistake's text

Systems = Mapping[str, Predictions]


class Facts(BaseModel):
    """Base of what ``results.json`` holds: immutable; names that a later version adds are ignored."""

    model_config = ConfigDict(frozen=True)


class Estimate(Facts):
    """A share with its bootstrap interval; None where it is not defined."""

    value: float | None
    low: float | None
    high: float | None


class LabelScores(Facts):
    """One label: test documents that have it and that are predicted to, and its scores; None where they are not defined."""

    documents: int
    predicted: int
    precision: float | None
    recall: float | None
    f1: float | None


class CalibrationError(Facts):
    """Expected calibration error of a system before its temperature (None where it has none), and after."""

    before: float | None
    after: float | None


class ReliabilityBin(Facts):
    """Predictions with a probability in ]low, high]: how many, their mean probability, and the share of them that is right."""

    low: float
    high: float
    predictions: int
    confidence: float
    accuracy: float


class Calibration(Facts):
    """Errors by system, and the reliability diagram of the headline: bins by "before" and "after" calibration."""

    systems: dict[str, CalibrationError]
    reliability: dict[str, list[ReliabilityBin]]


class Mistake(Facts):
    """A wrong prediction; ``true`` and ``predicted`` are lists where a document may have several labels."""

    id: str
    text: str
    true: str | list[str]
    predicted: str | list[str]
    probability: float


class EvaluationRecord(Facts):
    """What the stage reports of an evaluation: values of all scores by system, and calibration errors."""

    scores: dict[str, dict[str, float | None]]
    calibration: dict[str, CalibrationError]


class Results(Facts):
    """The content of ``results.json``.

    ``systems`` and ``differences`` (from the baseline, in accuracy) are by system. ``confusion`` (rows are true classes; None
    where a document may have several labels), ``per_label`` and ``mistakes`` are those of the ``headline``.
    """

    task: Task
    labels: list[str]
    documents: int
    bootstrap: int
    confidence: float
    headline: str
    baseline: str | None
    systems: dict[str, dict[str, Estimate]]
    differences: dict[str, Estimate]
    calibration: Calibration
    confusion: list[list[int]] | None
    per_label: list[LabelScores]
    mistakes: list[Mistake]

    @classmethod
    def from_json(cls, data: str | bytes) -> Results:
        """Read ``results.json``."""
        return cls.model_validate_json(data)

    def to_json(self) -> str:
        """The text of ``results.json``."""
        return json.dumps(self.model_dump(), indent=1)

    def record(self) -> EvaluationRecord:
        """What the stage reports."""
        scores = {system: {metric: estimate.value for metric, estimate in found.items()} for system, found in self.systems.items()}
        return EvaluationRecord(scores=scores, calibration=self.calibration.systems)


def evaluate(systems: Systems, documents: HeldOut, config: EvaluateConfig) -> Results:
    """Score every system on the documents, and compare each with the baseline where that is one of them.

    The headline is the average of both directions, or else the first system: its labels and mistakes are listed.
    """
    headline = ENSEMBLE if ENSEMBLE in systems else next(iter(systems))
    first, labels = systems[headline], documents.labels
    return Results(
        task="multi-label" if documents.several else "multi-class",
        labels=list(documents.names),
        documents=len(labels),
        bootstrap=config.bootstrap,
        confidence=config.confidence,
        headline=headline,
        baseline=baseline.NAME if baseline.NAME in systems else None,
        systems={name: _scores(system, labels, config) for name, system in systems.items()},
        differences=_differences(systems, labels, config),
        calibration=_calibration(systems, labels, headline),
        confusion=None if documents.several else metrics.confusion(labels, first.probabilities).tolist(),
        per_label=[LabelScores.model_validate(row) for row in metrics.per_label(labels, first.probabilities, first.thresholds)],
        mistakes=mistakes(first, documents, config.mistakes),
    )


def _scores(system: Predictions, labels: metrics.Labels, config: EvaluateConfig) -> dict[str, Estimate]:
    found = metrics.score(labels, system.probabilities, config, system.thresholds)
    return {metric: Estimate.model_validate(estimate) for metric, estimate in found.items()}


def _differences(systems: Systems, labels: metrics.Labels, config: EvaluateConfig) -> dict[str, Estimate]:
    """Of every system but the baseline, where there is one."""
    other = systems.get(baseline.NAME)
    if other is None:
        return {}

    def difference(system: Predictions) -> Estimate:
        limits = (system.thresholds, other.thresholds)
        return Estimate.model_validate(metrics.accuracy_difference(labels, system.probabilities, other.probabilities, config, limits))

    return {name: difference(system) for name, system in systems.items() if name != baseline.NAME}


def _calibration(systems: Systems, labels: metrics.Labels, headline: str) -> Calibration:
    error = lambda shares: None if shares is None else expected_calibration_error(shares, labels)
    first = systems[headline]
    drawn = {"before": first.uncalibrated, "after": first.probabilities}
    return Calibration(
        systems={
            name: CalibrationError(before=error(system.uncalibrated), after=error(system.probabilities)) for name, system in systems.items()
        },
        reliability={
            when: [ReliabilityBin.model_validate(row) for row in reliability(shares, labels)]
            for when, shares in drawn.items()
            if shares is not None
        },
    )


def mistakes(predictions: Predictions, documents: HeldOut, most: int) -> list[Mistake]:
    """The wrong predictions with the highest probability, at most ``most``: labels or data may be at fault there.

    Where a document may have several labels, documents with the most wrong labels come first; ``probability`` is then the mean
    probability of the wrong decisions about these labels.
    """
    names = np.asarray(documents.names, dtype=object)
    labels, probabilities = documents.labels, np.asarray(predictions.probabilities)
    predicted: Sequence[str | list[str]]
    true: Sequence[str | list[str]]
    if documents.several:
        decided = metrics.decisions(probabilities, predictions.thresholds)
        wrong = decided != labels
        faults = wrong.sum(1)
        sureness = np.where(wrong, np.where(decided, probabilities, 1 - probabilities), 0).sum(1) / np.maximum(faults, 1)
        predicted, true = ([names[row].tolist() for row in held] for held in (decided, labels))
    else:
        codes, sureness = probabilities.argmax(1), probabilities.max(1)
        faults = (codes != labels).astype(np.int64)
        predicted, true = names[codes].tolist(), names[labels].tolist()
    first = np.lexsort((-sureness, -faults))[: min(most, int((faults > 0).sum()))]
    return [
        Mistake(
            id=documents.ids[row],
            text=excerpt(documents.texts[row]),
            true=true[row],
            predicted=predicted[row],
            probability=round(float(sureness[row]), 4),
        )
        for row in first
    ]


def excerpt(text: str) -> str:
    """The beginning of ``text`` on one line, cut at a word."""
    line = " ".join(text.split())
    return line if len(line) <= EXCERPT else line[:EXCERPT].rsplit(" ", 1)[0] + " …"


def read_results(folder: Path) -> Results:
    """The results in the folder of an evaluation artifact."""
    return Results.from_json((folder / FILE).read_bytes())
