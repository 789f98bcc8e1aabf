"""The results of an evaluation as typed facts, kept as ``results.json``; ``evaluate.py`` computes them."""

import json
from pathlib import Path

from ulmfit.directions import answer_among
from ulmfit.labels.label_set import Task
from ulmfit.store.json import Facts, SparseFacts

FILE = "results.json"


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

    @property
    def calibrated(self) -> bool:
        """Whether any system has a temperature."""
        return any(error.before is not None for error in self.systems.values())


class Mistake(Facts):
    """A wrong prediction; ``true`` and ``predicted`` are lists where a document may have several labels."""

    id: str
    text: str
    true: str | list[str]
    predicted: str | list[str]
    probability: float


class EvaluationRecord(SparseFacts):
    """What the stage reports of an evaluation: values of all scores by system, and calibration errors; of a study's trial also the speeds."""

    scores: dict[str, dict[str, float | None]]
    calibration: dict[str, CalibrationError]
    documents_per_second: float | None = None  # predicted
    training_seconds: float | None = None  # of a method of words, which learns in the same stage

    @property
    def answer(self) -> dict[str, float | None]:
        """The scores of the model's answer."""
        return self.scores[answer_among(self.scores)]


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

    def to_json(self) -> str:
        """The text of ``results.json``."""
        return json.dumps(self.model_dump(), indent=1)

    def record(self) -> EvaluationRecord:
        """What the stage reports."""
        scores = {system: {metric: estimate.value for metric, estimate in found.items()} for system, found in self.systems.items()}
        return EvaluationRecord(scores=scores, calibration=self.calibration.systems)


def read_results(folder: Path) -> Results:
    """The results in the folder of an evaluation artifact."""
    return Results.model_validate_json((folder / FILE).read_bytes())
