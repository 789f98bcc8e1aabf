"""What it is worth to choose which labels to get: how many chosen ones reach what random ones do."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ulmfit.evaluation.results import Estimate
from ulmfit.experiments.answer import METRIC, in_points, in_words
from ulmfit.experiments.means import mean, student
from ulmfit.experiments.trial import TITLES, Point, TrialResult

Curve = Mapping[int, Mapping[int, float]]  # scores by number of labels and number of the trial
STEPS = 1000  # between the fewest labels and the most


@dataclass(frozen=True)
class Worth:
    """``labels`` drawn at random reach ``reached``; ``needed`` chosen ones do, from ``low`` to ``high``; None: not even ``labels`` of them.

    The bounds are those of the numbers at which a t-interval of the trials' differences holds 0; for a single trial there are none.
    ``gain``: of as many chosen labels, over random ones.
    """

    labels: int
    reached: Estimate
    needed: int | None
    low: int | None
    high: int | None
    gain: Estimate

    def sentences(self, name: str) -> list[str]:
        """For people; ``name``: of the method."""
        reached = f"What {self.labels:,} labels drawn at random reach, {in_words(self.reached)},"
        if self.needed is None:
            perhaps = f"; with {self.low:,} it might" if self.low else ""
            return [f"{reached} {name} does not reach with {self.labels:,} chosen ones{perhaps}.", self._gained()]
        return [f"{reached} {name} reaches with {self.needed:,} chosen ones{self._bounds()}.", self._gained()]

    def _bounds(self) -> str:
        if self.gain.low is None:
            return ""
        return f" ({self.low:,} to {f'{self.high:,}' if self.high else f'more than {self.labels:,}'})"

    def _gained(self) -> str:
        gained = in_points(self.gain, "whether it helps there cannot be told")
        return f"With {self.labels:,} labels the choice brings {gained}."


def worth(random: Curve, chosen: Curve) -> Worth | None:
    """Of two curves at the most labels that both have; None where no trial has both. Between numbers of labels, scores are interpolated by
    their logarithm."""
    sizes = sorted(set(random) & set(chosen))
    if len(sizes) < 2:
        return None
    trials = sorted(set.intersection(*(set(curve[size]) for curve in (random, chosen) for size in sizes)))
    if not trials:
        return None
    most = sizes[-1]
    goal = [random[most][trial] for trial in trials]
    numbers = np.unique(np.geomspace(sizes[0], most, STEPS).round().astype(int))
    scores = [np.interp(np.log(numbers), np.log(sizes), [chosen[size][trial] for size in sizes]) for trial in trials]
    found = [student((row - goal).tolist()) for row in np.stack(scores, axis=1)]

    def first(bounds: Sequence[float | None]) -> int | None:
        """The fewest labels with which a bound of the difference is not below 0."""
        for number, bound in zip(numbers.tolist(), bounds, strict=True):
            if bound is not None and bound >= 0:
                return int(number)
        return None

    return Worth(
        labels=most,
        reached=mean(goal),
        needed=first([one.value for one in found]),
        low=first([one.high for one in found]),
        high=first([one.low for one in found]),
        gain=found[-1],
    )


def choosing_answers(results: Sequence[TrialResult]) -> list[str]:
    """Sentences about each curve by choice among the trials of one corpus."""
    curves: dict[Point, list[TrialResult]] = {}
    for result in results:
        curves.setdefault(_line(result.trial.point), []).append(result)
    said = []
    for line, found in curves.items():
        by_choice = [result for result in found if result.trial.point.chosen_after]
        at_random = [result for result in found if not result.trial.point.chosen_after]
        first = {result.trial.point.chosen_after[0] for result in by_choice}
        begun = [result for result in at_random if result.labels in first]
        if by_choice and (gained := worth(_scores(at_random), _scores([*begun, *by_choice]))):
            said += gained.sentences(TITLES[line.method])
    return said


def _line(point: Point) -> Point:
    """What random and chosen points of all numbers of labels have in common."""
    return point.model_copy(update={"labels": None, "chosen_after": ()})


def _scores(results: Iterable[TrialResult]) -> dict[int, dict[int, float]]:
    found: dict[int, dict[int, float]] = {}
    for result in results:
        if (score := result.score(METRIC)) is not None:
            found.setdefault(result.labels, {})[result.trial.number] = score
    return found
