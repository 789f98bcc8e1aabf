"""Tables of what ``gpu_imdb.py`` left in OUT: accuracy and calibration of each direction, of both, and of both with words.

    ULMFIT_DATA=... python benchmarks/gpu_imdb_tables.py IDS OUT

Words and baselines are trained here, on the texts of the same rows.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).parent.parent))

from gpu_imdb_ids import TEST, Reviews

from ulmfit.directions import DIRECTIONS
from ulmfit.evaluation.baseline import baseline_probabilities
from ulmfit.evaluation.calibration import expected_calibration_error, fit_temperature
from ulmfit.evaluation.weighing import fit_mixture
from ulmfit.experiments.methods.nbsvm import NaiveBayesSVM
from ulmfit.training.words import train_words

ARM = "general+domain-73500"
Shares = NDArray[np.float32]


def texts_of(split: str) -> list[str]:
    return pq.read_table(Path(os.environ["ULMFIT_DATA"]) / "imdb" / f"{split}.parquet", columns=["text"])["text"].to_pylist()


def calibrated(file: Path, codes: NDArray[np.int64]) -> tuple[Shares, Shares]:
    """Probabilities of test rows and of validation rows, through the temperature of the latter."""
    with np.load(file) as found:
        truth = torch.from_numpy(codes[found["valid_rows"]])
        logits = {name: torch.from_numpy(found[name].astype(np.float32)) for name in ("test", "valid")}
    scale = fit_temperature(logits["valid"], truth, "multi-class")
    test, valid = (torch.softmax(logits[name] / scale, 1).numpy() for name in ("test", "valid"))
    return test, valid


def main(ids: Path, out: Path) -> None:
    reviews, train = Reviews.read(ids), texts_of("train")
    test = [texts_of("test")[row] for row in np.sort(np.random.default_rng(0).permutation(len(texts_of("test")))[:TEST]).tolist()]
    codes, truth = reviews.train.labels.astype(np.int64), reviews.test.labels.astype(np.int64)
    right = lambda shares: f"{100 * (shares.argmax(1) == truth).mean():.1f}"
    print(
        "labels, draw, way | TF-IDF | NB-SVM | words | forward | backward | both | with words | error of calibration: both, with words | words count"
    )
    for file in sorted(out.glob(f"{ARM}-forward-*.npz")):
        suffix = file.stem.removeprefix(f"{ARM}-forward-")
        other = out / f"{ARM}-backward-{suffix}.npz"
        if not other.exists():
            continue
        with np.load(file) as found:
            learn, valid = found["learn"], found["valid_rows"]
        texts, labels = [train[row] for row in learn], codes[learn]
        words = train_words(texts, labels, 2, 0, [*train, *texts_of("unsup")])
        members = {direction: calibrated(path, codes) for direction, path in zip(DIRECTIONS, (file, other), strict=True)}
        members["words"] = words.probabilities(test, "multi-class"), words.probabilities([train[row] for row in valid], "multi-class")
        mixture = fit_mixture({name: shares[1] for name, shares in members.items()}, codes[valid], "multi-class")
        joined = mixture.join({name: shares[0] for name, shares in members.items()}, "multi-class")
        both = (members["forward"][0] + members["backward"][0]) / 2
        tfidf = baseline_probabilities(texts, labels, test, 0, 2)
        nbsvm = NaiveBayesSVM().fit(texts, labels, 2).probabilities(test)
        scores = [right(shares) for shares in (tfidf, nbsvm, *(members[name][0] for name in ("words", *DIRECTIONS)), both, joined)]
        errors = [f"{100 * expected_calibration_error(shares, truth):.1f}" for shares in (both, joined)]
        print(" | ".join([suffix, *scores, ", ".join(errors), f"{mixture.weights['words']:.2f}"]), flush=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
