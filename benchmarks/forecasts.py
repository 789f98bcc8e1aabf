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

from ulmfit.experiments.learning_curves.calibration import Check, calibrated_misfit, checks
from ulmfit.experiments.learning_curves.curve import Curve
from ulmfit.experiments.learning_curves.power_law import MISFIT

LARGEST = (200, 400, 800, 1600)  # sizes up to which a curve is known
TIMES = (2, 4)


@dataclass(frozen=True)
class Judged:
    """A check of a curve."""

    corpus: str
    method: str
    misfit: float
    check: Check

    @property
    def times(self) -> int:
        return self.check.size // self.check.largest


def read(path: Path, trials: int) -> dict[tuple[str, str], Curve]:
    """Corpus and method -> the curve of the first ``trials`` trials."""
    found: dict[tuple[str, str], dict[int, list[float]]] = defaultdict(lambda: defaultdict(list))
    with open(path, newline="") as file:
        for row in csv.DictReader(file):
            if int(row["trial"]) < trials:
                found[row["corpus"], row["method"]][int(row["size"])].append(float(row["accuracy"]))
    return {key: Curve.of(scores) for key, scores in found.items()}


def judged(curves: dict[tuple[str, str], Curve], calibrate: bool) -> Iterator[Judged]:
    """All checks from ``LARGEST`` sizes; with ``calibrate`` each corpus has the misfit of the others."""
    for (corpus, method), curve in curves.items():
        misfit = calibrated_misfit([other for (of, _), other in curves.items() if of != corpus]) if calibrate else MISFIT
        yield from (Judged(corpus, method, misfit, check) for check in checks(curve, misfit) if check.largest in LARGEST)


def row(name: str, found: Iterable[Judged]) -> str:
    """Coverage and mean width, in points, of scores and gains at each distance."""
    cells, every = [name], list(found)
    for times in TIMES:
        some = [one.check for one in every if one.times == times]
        for which in (0, 1):
            held = [check.inside[which] for check in some]
            width = 100 * np.mean([(check.score, check.gain)[which].high - (check.score, check.gain)[which].low for check in some])
            cells.append(f"{sum(held)} of {len(held)}, {width:.1f}")
    return f"| {' | '.join(cells)} |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("curves", type=Path)
    parser.add_argument("--trials", type=int, default=5)
    arguments = parser.parse_args()
    curves = read(arguments.curves, arguments.trials)
    for title, calibrate in (("calibrated on the other corpora", True), (f"misfit {MISFIT:.0%}", False)):
        found = list(judged(curves, calibrate))
        print(f"\n| {title} | score, 2 times | gain, 2 times | score, 4 times | gain, 4 times |\n|---|---|---|---|---|")
        print(row("all", found))
        for of in ("corpus", "method"):
            for name in sorted({getattr(one, of) for one in found}):
                print(row(name, (one for one in found if getattr(one, of) == name)))
        print("misfit:", ", ".join(f"{corpus} {misfit}" for corpus, misfit in sorted({(one.corpus, one.misfit) for one in found})))
        for one in found:
            check = one.check
            if not check.inside[0]:
                bounds = f"{100 * check.score.low:.1f} to {100 * check.score.high:.1f}"
                print(f"missed: {one.corpus}, {one.method}, {check.largest} to {check.size}: {100 * check.measured:.1f}, not {bounds}")
    for (corpus, method), curve in curves.items():
        measured = ", ".join(f"{size} {100 * mean:.1f}" for size, mean in zip(curve.sizes, curve.means, strict=True))
        print(f"{corpus}, {method}: {measured}")


if __name__ == "__main__":
    main()
