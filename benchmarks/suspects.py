"""How well ``ulmfit suspects`` finds labels that were flipped on purpose.

    python benchmarks/suspects.py [--downloads FOLDER] [--rows 5000] [--seeds 3]

Of each corpus of the catalog that is at hand, ``--rows`` rows; 5% of their labels are flipped to another label of the corpus. Prints the
precision among the first 5% ranked beside chance, and of the suspects that the command would list: a line per corpus, mean and range
over the seeds.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from word_curves import CORPORA, Rows, corpus

from ulmfit.experiments.suspects import Suspicion, out_of_sample, suspicion

FLIPPED = 0.05


def measured(rows: Rows, number: int, seed: int) -> tuple[float, float, float, int, int]:
    """Precision of the first 5% and of the suspects, recall of the suspects, their number, and the rows."""
    random = np.random.default_rng(seed)
    taken = rows.take(random.permutation(len(rows.codes))[:number])
    wrong = random.permutation(len(taken.codes))[: round(FLIPPED * len(taken.codes))]
    given = taken.codes.copy()
    given[wrong] = (given[wrong] + random.integers(1, rows.classes, len(wrong))) % rows.classes
    found = suspicion(out_of_sample(taken.texts, given, seed), given)
    return _precisions(found, wrong)


def _precisions(found: Suspicion, wrong: NDArray[np.int64]) -> tuple[float, float, float, int, int]:
    first, listed = found.ranked()[: len(wrong)], found.suspects()
    right = np.isin(listed, wrong)
    return float(np.isin(first, wrong).mean()), float(right.mean()), float(right.sum() / len(wrong)), len(listed), len(found.scores)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--downloads", type=Path, default=Path(".ulmfit/downloads"))
    parser.add_argument("--rows", type=int, default=5_000)
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    print("| corpus | rows | labels | precision, first 5% | chance | suspects listed | precision | recall | seconds |")
    print("|---|---|---|---|---|---|---|---|---|")
    for name in CORPORA:
        train, _ = corpus(name, arguments.downloads)
        started = time.perf_counter()
        runs = np.array([measured(train, arguments.rows, seed) for seed in range(arguments.seeds)])
        seconds = (time.perf_counter() - started) / arguments.seeds
        (first, listed, recall, number, rows), (low, *_), (high, *_) = runs.mean(0), runs.min(0), runs.max(0)
        shown = f"**{first:.1%}** ({low:.1%} to {high:.1%}) | {FLIPPED:.0%} | {number:.0f} | {listed:.1%} | {recall:.1%} | {seconds:.0f}"
        print(f"| {name} | {rows:.0f} | {train.classes} | {shown} |", flush=True)


if __name__ == "__main__":
    main()
