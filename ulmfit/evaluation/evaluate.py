"""Evaluate trained systems on held-out documents: scores, differences from the baseline, calibration errors, mistakes."""

from collections.abc import Mapping, Sequence

import numpy as np

from ulmfit.config import EvaluateConfig
from ulmfit.directions import answer_among
from ulmfit.evaluation import baseline, metrics
from ulmfit.evaluation.calibration import expected_calibration_error, reliability
from ulmfit.evaluation.predictions import HeldOut, Predictions
from ulmfit.evaluation.results import Calibration, CalibrationError, Mistake, Results

EXCERPT = 400  # characters of a mistake's text

Systems = Mapping[str, Predictions]


def evaluate(systems: Systems, documents: HeldOut, config: EvaluateConfig) -> Results:
    """Score every system on the documents, and compare each with the baseline where that is one of them.

    The headline is the model's answer (``answer_among``): its labels and mistakes are listed.
    """
    headline = answer_among(systems)
    first, other, labels = systems[headline], systems.get(baseline.NAME), documents.labels
    differences = {
        name: metrics.accuracy_difference(labels, found.probabilities, other.probabilities, config, (found.thresholds, other.thresholds))
        for name, found in systems.items()
        if other and found is not other
    }
    return Results(
        task="multi-label" if documents.several else "multi-class",
        labels=list(documents.names),
        documents=len(labels),
        bootstrap=config.bootstrap,
        confidence=config.confidence,
        headline=headline,
        baseline=baseline.NAME if other else None,
        systems={name: metrics.score(labels, found.probabilities, config, found.thresholds) for name, found in systems.items()},
        differences=differences,
        calibration=_calibration(systems, labels, headline),
        confusion=None if documents.several else metrics.confusion(labels, first.probabilities).tolist(),
        per_label=metrics.per_label(labels, first.probabilities, first.thresholds),
        mistakes=mistakes(first, documents, config.mistakes),
    )


def _calibration(systems: Systems, labels: metrics.Labels, headline: str) -> Calibration:
    error = lambda shares: None if shares is None else expected_calibration_error(shares, labels)
    drawn = {"before": systems[headline].uncalibrated, "after": systems[headline].probabilities}
    return Calibration(
        systems={
            name: CalibrationError(before=error(found.uncalibrated), after=error(found.probabilities)) for name, found in systems.items()
        },
        reliability={when: reliability(shares, labels) for when, shares in drawn.items() if shares is not None},
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
        predicted, true = [names[row].tolist() for row in decided], [names[row].tolist() for row in labels]
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
