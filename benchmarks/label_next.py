"""How many labels each strategy of ``ulmfit label-next`` needs for the accuracy that random choice has at 500.

    python benchmarks/label_next.py [--downloads FOLDER] [--draws 10]

The classifier is TF-IDF + logistic regression (C 10), which is trained anew after every 50 labels: ULMFiT would need some 2,000 trainings. ``diverse``
clusters the features' first 50 singular vectors. All strategies of a draw begin with the same 100 rows; the pool is 3,000 rows.
Prints a line per corpus and strategy: where the mean curve of the draws reaches the target, with a 95% interval by bootstrap of the draws.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import csr_matrix
from sklearn.decomposition import TruncatedSVD
from sklearn.linear_model import LogisticRegression
from word_curves import Rows, corpus

from ulmfit.evaluation.baseline import fitted_words
from ulmfit.experiments.label_next import candidates_for, diverse, margins

CORPORA = ("trec-6", "ag-news", "disaster-tweets", "imdb")
STRATEGIES = ("random", "breaking-ties", "diverse")
POOL, FIRST, STEP, LAST, AIM = 3_000, 100, 50, 800, 500
SIZES = np.arange(FIRST, LAST + 1, STEP)
RESAMPLES = 2_000


def curve(strategy: str, pool: csr_matrix, vectors: NDArray, codes: NDArray, test: csr_matrix, truth: NDArray, seed: int) -> list[float]:
    """The accuracy at each of ``SIZES``."""
    random = np.random.default_rng(seed)
    order = random.permutation(len(codes))
    chosen, scores = order[:FIRST], []
    for size in SIZES:
        if size > FIRST:
            chosen = np.concatenate([chosen, _next(strategy, model, pool, vectors, np.setdiff1d(order, chosen), random)])  # noqa: F821
        model = LogisticRegression(C=10.0, max_iter=300).fit(pool[chosen], codes[chosen])
        scores.append(float((model.predict(test) == truth).mean()))
    return scores


def _next(
    strategy: str, model: LogisticRegression, pool: csr_matrix, vectors: NDArray, free: NDArray, random: np.random.Generator
) -> NDArray:
    if strategy == "random":
        return random.permutation(free)[:STEP]
    sure = margins(model.predict_proba(pool[free]))
    least = sure.argsort(kind="stable")[: candidates_for(STEP, strategy)]
    return free[least if strategy == "breaking-ties" else least[diverse(sure[least], vectors[free[least]], STEP, 0)]]


def needed(scores: NDArray[np.float64], target: float) -> float:
    """Labels at which the mean of the draws' curves [D, S] first reaches ``target``; infinite where it does not."""
    mean = scores.mean(0)
    reached = np.flatnonzero(mean >= target)
    if not len(reached):
        return np.inf
    at = reached[0]
    if at == 0:
        return float(SIZES[0])
    return float(SIZES[at - 1] + STEP * (target - mean[at - 1]) / (mean[at] - mean[at - 1]))


def report(name: str, found: dict[str, NDArray[np.float64]]) -> None:
    aim = int(np.flatnonzero(SIZES == AIM)[0])
    random = np.random.default_rng(0)
    draws = len(found["random"])
    picks = [random.integers(0, draws, draws) for _ in range(RESAMPLES)]
    for strategy, scores in found.items():
        numbers = [needed(scores[pick], found["random"][pick, aim].mean()) for pick in picks]
        low, high = np.quantile(numbers, [0.025, 0.975], method="higher")
        middle = needed(scores, found["random"][:, aim].mean())
        shown = " to ".join(f"{value:.0f}" if np.isfinite(value) else f"more than {LAST}" for value in (low, high))
        difference = 100 * (scores - found["random"])[:, aim]
        error = 1.96 * difference.std(ddof=1) / np.sqrt(draws) if strategy != "random" else 0.0
        gained = f"{difference.mean():+.1f} ({difference.mean() - error:.1f} to {difference.mean() + error:.1f})" if error else ""
        number = f"{middle:.0f}" if np.isfinite(middle) else f"more than {LAST}"
        print(f"| {name} | {strategy} | **{number}** ({shown}) | {100 * scores[:, aim].mean():.1f}% | {gained} |", flush=True)


def features(train: Rows, test: Rows) -> tuple[csr_matrix, NDArray, csr_matrix]:
    words, pool = fitted_words(train.texts)
    return pool, TruncatedSVD(50, random_state=0).fit_transform(pool), words.transform(test.texts)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--downloads", type=Path, default=Path(".ulmfit/downloads"))
    parser.add_argument("--draws", type=int, default=10)
    arguments = parser.parse_args()
    print(f"| corpus | strategy | labels for what random has at {AIM} | accuracy at {AIM} | points beyond random |")
    print("|---|---|---|---|---|")
    for name in CORPORA:
        train, test = corpus(name, arguments.downloads)
        train = train.take(np.arange(min(POOL, len(train.codes))))
        pool, vectors, tests = features(train, test)
        curves = lambda strategy: np.array(
            [curve(strategy, pool, vectors, train.codes, tests, test.codes, seed) for seed in range(arguments.draws)]  # noqa: B023
        )
        report(name, {strategy: curves(strategy) for strategy in STRATEGIES})


if __name__ == "__main__":
    main()
