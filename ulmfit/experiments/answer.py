"""What a study answers, in sentences."""

from collections.abc import Iterable, Sequence

from ulmfit.evaluation.results import Estimate
from ulmfit.experiments.means import Mean, difference, means
from ulmfit.experiments.trial import REGIME_TITLES, TITLES, TrialResult

METRIC = "accuracy"
UNSURE = "which of the two is better cannot be told"


def accuracy(point: Mean) -> float:
    """The mean accuracy of a point; 0 where there is none."""
    return point.scores[METRIC].value or 0.0


def in_words(estimate: Estimate) -> str:
    """In percent, with its interval where there is one."""
    value = f"{100 * (estimate.value or 0):.1f}%"
    if estimate.low is None or estimate.high is None:
        return value
    return f"{value} ({100 * estimate.low:.1f} to {100 * estimate.high:.1f})"


def in_points(gain: Estimate, unsure: str) -> str:
    """A difference in points of 100, with the interval of the trials' where there are several; ``unsure`` is said where 0 lies inside."""
    value = f"{100 * (gain.value or 0):+z.1f} points"
    if gain.low is None or gain.high is None:
        return f"{value}, in a single trial"
    interval = f"({100 * gain.low:z.1f} to {100 * gain.high:z.1f})"
    return f"{value} {interval}; {unsure}" if gain.low <= 0 <= gain.high else f"{value} {interval}"


def by_labels(points: Iterable[Mean]) -> dict[int, Mean]:
    """The best point at each number of labels."""
    best: dict[int, Mean] = {}
    for point in points:
        if point.labels not in best or accuracy(point) > accuracy(best[point.labels]):
            best[point.labels] = point
    return dict(sorted(best.items()))


def answers(results: Sequence[TrialResult]) -> list[str]:
    """Sentences about one corpus of a study without variants: what is reached, by which margin, what the labels are worth, and what the domain's text adds."""
    points = means(results)
    methods = {method: by_labels(point for point in points if point.point.method == method) for method in TITLES}
    methods = {method: found for method, found in methods.items() if found}
    ours = methods.get("ulmfit")
    if not ours:
        found = max(points, key=accuracy)
        return [f"The best here is {found.point.title} with {found.labels:,} labels: {in_words(found.scores[METRIC])} right."]
    others = [found for method, found in methods.items() if method != "ulmfit"]
    said = [_margin(results, point, [found[labels] for found in others if labels in found]) for labels, point in _ends(ours)]
    said += [_worth(ours, other) for method, other in methods.items() if method not in ("ulmfit", "scratch")][:1]
    return [*said, *_text(results, points)]


def _ends(points: dict[int, Mean]) -> list[tuple[int, Mean]]:
    """The fewest labels and the most."""
    rows = list(points.items())
    return rows if len(rows) < 2 else [rows[0], rows[-1]]


def _margin(results: Iterable[TrialResult], ours: Mean, others: Sequence[Mean]) -> str:
    text = f"With {ours.labels:,} labels ULMFiT is right on {in_words(ours.scores[METRIC])} of the documents"
    if not others:
        return f"{text}."
    best = max(others, key=accuracy)
    gained = in_points(difference(results, ours.point, best.point, METRIC), UNSURE)
    return f"{text}; the best of the others, {TITLES[best.point.method]}, on {in_words(best.scores[METRIC])}: {gained}."


def _worth(ours: dict[int, Mean], other: dict[int, Mean]) -> str:
    """How many labels another method needs for what ours reaches with the fewest."""
    labels, point = next(iter(ours.items()))
    name = TITLES[next(iter(other.values())).point.method]
    needed = next((number for number, found in other.items() if accuracy(found) >= accuracy(point)), None)
    if needed is None:
        return f"What ULMFiT reaches with {labels:,} labels, {name} does not reach with {max(other):,}."
    if needed <= labels:
        return f"{name} reaches as much with {needed:,} labels."
    return f"What ULMFiT reaches with {labels:,} labels, {name} reaches with {needed:,}, among the numbers tried."


def _text(results: Iterable[TrialResult], points: Sequence[Mean]) -> list[str]:
    """What the domain's text is worth at the most labels at which it was varied."""
    by_number: dict[int, list[Mean]] = {}
    for point in points:
        if point.point.regime:
            by_number.setdefault(point.labels, []).append(point)
    varied = [labels for labels, found in by_number.items() if len({point.unlabelled for point in found}) > 1]
    if not varied:
        return []
    most = max(varied)
    found = sorted(by_number[most], key=accuracy)
    worst, best = found[0], found[-1]
    gained = in_points(difference(results, best.point, worst.point, METRIC), UNSURE)
    return [
        f"At {most:,} labels the {_regime(best)} is best, with {in_words(best.scores[METRIC])}; over the last, the {_regime(worst)}: {gained}."
    ]


def _regime(point: Mean) -> str:
    assert point.point.regime, "a point with a language model"
    text = "" if point.point.regime == "general" else f" with {point.unlabelled:,} unlabelled documents"
    return REGIME_TITLES[point.point.regime] + text
