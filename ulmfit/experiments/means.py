"""Means of trials with t-intervals."""

import math
from collections.abc import Iterable, Sequence

from ulmfit.evaluation.results import Estimate
from ulmfit.experiments.trial import Point, TrialResult
from ulmfit.store.json import Facts

METRICS = ("accuracy", "macro_f1", "roc_auc")
CONFIDENCE = 0.95


def mean(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """The mean of trials' scores, 0 to 1, and its interval by Student's t within these; none for a single trial, no value for no trial."""
    found = student(values, confidence)
    if found.low is None or found.high is None:
        return found
    return Estimate(value=found.value, low=max(0.0, found.low), high=min(1.0, found.high))


def student(values: Sequence[float], confidence: float = CONFIDENCE) -> Estimate:
    """The mean of any numbers and its interval by Student's t; none for a single number, no value for none."""
    from scipy.stats import t

    if not values:
        return Estimate(value=None, low=None, high=None)
    centre = math.fsum(values) / len(values)
    if len(values) == 1:
        return Estimate(value=centre, low=None, high=None)
    spread = math.sqrt(math.fsum((value - centre) ** 2 for value in values) / (len(values) - 1) / len(values))
    half = float(t.ppf((1 + confidence) / 2, len(values) - 1)) * spread
    return Estimate(value=centre, low=centre - half, high=centre + half)


class Mean(Facts):
    """A point's trials taken together. ``labels`` and ``unlabelled``: how many there were; seconds and speed are means of the trials."""

    point: Point
    trials: int
    labels: int
    unlabelled: int
    scores: dict[str, Estimate]
    seconds: float
    shared_seconds: float
    documents_per_second: float | None


def means(results: Iterable[TrialResult], system: str | None = None) -> list[Mean]:
    """The points, in the order of their first trials. ``system``: another than the headline."""
    points: dict[Point, list[TrialResult]] = {}
    for result in results:
        points.setdefault(result.trial.point, []).append(result)
    return [_mean(point, found, system) for point, found in points.items()]


def mean_score(results: Iterable[TrialResult], metric: str, system: str | None) -> Estimate:
    """Over the results that have this score. ``system``: another than the headline."""
    scores = [result.score(metric, system) for result in results]
    return mean([score for score in scores if score is not None])


def difference(results: Iterable[TrialResult], ours: Point, other: Point, metric: str) -> Estimate:
    """By how much ``ours`` scores more, -1 to 1. Trials of one number draw the same labels, so the interval is that of their differences."""
    scores: dict[Point, dict[int, float]] = {ours: {}, other: {}}
    for result in results:
        if result.trial.point in scores and (score := result.score(metric)) is not None:
            scores[result.trial.point][result.trial.number] = score
    return student([score - scores[other][number] for number, score in scores[ours].items() if number in scores[other]])


def _mean(point: Point, found: list[TrialResult], system: str | None) -> Mean:
    scores = {metric: mean_score(found, metric, system) for metric in METRICS}
    speeds = [one.documents_per_second for one in found if one.documents_per_second]
    return Mean(
        point=point,
        trials=len(found),
        labels=found[0].labels,
        unlabelled=found[0].unlabelled,
        scores=scores,
        seconds=sum(one.seconds for one in found) / len(found),
        shared_seconds=found[0].shared_seconds,
        documents_per_second=sum(speeds) / len(speeds) if speeds else None,
    )
