"""Learning curves of the methods of words on the catalog's corpora, for the other benchmarks of experiments.

    python benchmarks/word_curves.py --out CURVES.csv [--downloads FOLDER] [--trials 5]

Reads the corpora that ``ULMFIT_DATA`` holds or the package index has. Trial t draws its labels with seed t, stratified; a smaller draw
is a part of a larger one. All trials are judged on the same rows, which no trial learns from. Writes a line per trial, size and method, as
they are made; lines that are there already are not made again.
"""

from __future__ import annotations

import argparse
import csv
import logging
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ulmfit.config import LabelsConfig
from ulmfit.corpora.catalog.entries import fetch
from ulmfit.corpora.catalog.vectors import fetch_vectors
from ulmfit.corpora.ingest.quarantine import judge
from ulmfit.experiments.methods.mean_vectors import MeanVectors, vocabulary
from ulmfit.experiments.methods.method import Method
from ulmfit.experiments.methods.nbsvm import NaiveBayesSVM
from ulmfit.experiments.methods.tfidf import TfidfRegression
from ulmfit.labels.drawing import draw

CORPORA = ("imdb", "ag-news", "dbpedia-14", "trec-6", "disaster-tweets")
SIZES = (50, 100, 200, 400, 800, 1600, 3200)
POOL, TESTS = 8_000, 1_500  # rows to learn from and to be judged on, at most
COLUMNS = ("corpus", "method", "size", "trial", "accuracy")


@dataclass(frozen=True)
class Rows:
    """Texts and their labels' codes int64 [N]; ``classes``: how many there are."""

    texts: list[str]
    codes: NDArray[np.int64]
    classes: int

    def take(self, rows: NDArray[np.int64]) -> Rows:
        return Rows([self.texts[row] for row in rows.tolist()], self.codes[rows], self.classes)


def corpus(name: str, downloads: Path) -> tuple[Rows, Rows]:
    """Rows to learn from, and rows to be judged on: of the corpus's test split, or where it has none held out of the others. Each text
    occurs once."""
    usable = {text: (label, row.split) for row in fetch(name, downloads).rows() for text, label in _labelled(row)}
    names = sorted({label for label, _ in usable.values()})
    codes = np.array([names.index(label) for label, _ in usable.values()])
    rows = Rows(list(usable), codes, len(names))
    order = np.random.default_rng(0).permutation(len(codes))
    held = np.array([split == "test" for _, split in usable.values()])[order]
    tests = order[held] if held.any() else order[:TESTS]
    rest = order[~held] if held.any() else order[TESTS:]
    return rows.take(rest[:POOL]), rows.take(tests[:TESTS])


def _labelled(row) -> Iterator[tuple[str, str]]:
    reason, text, _, label = judge(row, needs_label=True)
    if not reason and label is not None:
        yield text, label


def methods(downloads: Path, texts: list[str]) -> dict[str, Method]:
    """The three methods, by name."""
    vectors = fetch_vectors("glove-50d", vocabulary(texts), downloads)
    return {"tfidf": TfidfRegression(), "nbsvm": NaiveBayesSVM(), "glove": MeanVectors(vectors)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--downloads", type=Path, default=Path(".ulmfit/downloads"))
    parser.add_argument("--trials", type=int, default=5)
    arguments = parser.parse_args()
    done = _done(arguments.out)
    loaded = {name: corpus(name, arguments.downloads) for name in CORPORA}
    ways = methods(arguments.downloads, [text for parts in loaded.values() for rows in parts for text in rows.texts])
    with open(arguments.out, "a", newline="") as file:
        lines = csv.writer(file)
        if not done:
            lines.writerow(COLUMNS)
        for trial in range(arguments.trials):
            for name, (train, test) in loaded.items():
                for size in SIZES:
                    if size > len(train.codes):
                        continue
                    drawn = train.take(draw(train.codes, LabelsConfig(number=size, seed=trial)))
                    for way, method in ways.items():
                        if (name, way, str(size), str(trial)) in done:
                            continue
                        found = method.fit(drawn.texts, drawn.codes, train.classes).probabilities(test.texts)
                        lines.writerow([name, way, size, trial, f"{(found.argmax(1) == test.codes).mean():.6f}"])
                        file.flush()
            logging.info("trial %d of %d", trial + 1, arguments.trials)


def _done(path: Path) -> set[tuple[str, ...]]:
    if not path.exists():
        return set()
    with open(path, newline="") as file:
        return {tuple(line[:4]) for line in csv.reader(file)}


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    main()
