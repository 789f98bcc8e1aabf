"""Forecasts of real learning curves, fitted on the small half and judged on the large half.

    python benchmarks/word_curves.py --out CURVES.csv
    python benchmarks/forecasts.py CURVES.csv [--trials 5]

Curves of ``ulmfit data-quantity`` may be judged too: any csv with the columns corpus, method, size, trial, accuracy. The misfit is calibrated
on the other corpora, never on the one that is judged. Prints the tables of docs/results/forecasts.md.
"""

from __future__ import annotations

import argparse
import csv
from collections import defaultdict
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ulmfit.experiments.learning_curves.calibration import calibrated_misfit
from ulmfit.experiments.learning_curves.curve import Curve
from ulmfit.experiments.learning_curves.gains import Interval, gain
from ulmfit.experiments.learning_curves.power_law import MISFIT, fit

LARGEST = (400, 800)  # sizes up to which a curve is known
TIMES = (2, 4)


@dataclass(frozen=True)
class Check:
    """A forecast of the score, and of the gain, in points, beside what was measured."""

    corpus: str
    method: str
    largest: int
    times: int
    score: Interval
    gain: Interval
    measured: float
    gained: float


def read(path: Path, trials: int) -> dict[tuple[str, str], Curve]:
    """Corpus and method -> the curve of the first ``trials`` trials."""
    found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if int(row["trial"]) < trials:
                found[row["corpus"], row["method"]][int(row["size"])].append(float(row["accuracy"]))
    return {key: Curve.of(scores) for key, scores in found.items()}


def checks(curves: dict[tuple[str, str], Curve], calibrate: bool) -> Iterator[Check]:
    """All checks; with ``calibrate`` each corpus has the misfit of the others."""
    for (corpus, method), curve in curves.items():
        misfit = calibrated_misfit([other for (of, _), other in curves.items() if of != corpus]) if calibrate else MISFIT
        means = dict(zip(curve.sizes, 100 * curve.means, strict=True))
        for largest in LARGEST:
            law = fit(curve.up_to(largest), misfit)
            for times in TIMES:
                size = times * largest
                if size in means:
                    forecast, gained = Interval.of(100 * law.scores([size])[:, 0]), gain(law, size - largest).points
                    yield Check(corpus, method, largest, times, forecast, gained, means[size], means[size] - means[largest])


def row(name: str, found: Iterable[Check]) -> str:
    """Coverage and mean width of scores and gains, at each distance."""
    cells = [name]
    every = list(found)
    for times in TIMES:
        some = [check for check in every if check.times == times]
        for interval, measured in ((lambda c: c.score, lambda c: c.measured), (lambda c: c.gain, lambda c: c.gained)):
            held = [interval(check).low <= measured(check) <= interval(check).high for check in some]
            width = np.mean([interval(check).high - interval(check).low for check in some])
            cells.append(f"{sum(held)} of {len(held)}, {width:.1f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", type=Path)
    parser.add_argument("--trials", type=int, default=5)
    arguments = parser.parse_args()
    curves = read(arguments.curves, arguments.trials)
    for title, calibrate in (("calibrated on the other corpora", True), (f"misfit {MISFIT:.0%}", False)):
        found = list(checks(curves, calibrate))
        print(f"\n| {title} | score, 2 times | gain, 2 times | score, 4 times | gain, 4 times |\n|---|---|---|---|---|")
        print(row("all", found))
        for name in sorted({check.corpus for check in found}):
            print(row(name, (check for check in found if check.corpus == name)))
        for name in sorted({check.method for check in found}):
            print(row(name, (check for check in found if check.method == name)))
        for check in found:
            if not check.score.low <= check.measured <= check.score.high:
                bounds = f"{check.score.low:.1f} to {check.score.high:.1f}"
                print(
                    f"missed: {check.corpus}, {check.method}, {check.largest} to {check.times * check.largest}: {check.measured:.1f}, not {bounds}"
                )
    for (corpus, method), curve in curves.items():
        measured = ", ".join(f"{size} {100 * mean:.1f}" for size, mean in zip(curve.sizes, curve.means, strict=True))
        print(f"{corpus}, {method}: {measured}")


if __name__ == "__main__":
    main()
