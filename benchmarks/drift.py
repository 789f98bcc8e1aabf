"""Drift on real text: false alarms in 100 cycles of movie reviews, and after how many documents news among them is noticed.

    ULMFIT_DATA=... python benchmarks/drift.py [--workspace DIR] [--stories 100] [--seed 0] [--out docs/results]

A champion learns from 4,000 reviews (preset small, made lighter). Reviews and news that it has not seen are measured once, document by
document, under its language model and by its answers; then cycles are drawn from them. Each story has a reference of its own, so that one
lucky or unlucky reference does not decide. News bring their own labels, which the champion does not know. Prints the tables of
docs/results/drift.md, and writes drift.svg into ``--out``.
"""

from __future__ import annotations

import argparse
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from champion import Rows, champion, settings, shuffled, text_of, workspace
from gate import table
from matplotlib.figure import Figure
from measuring import hardware
from numpy.typing import NDArray

from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import load_language_model
from ulmfit.monitoring.drift import drift
from ulmfit.monitoring.drift_figures import DriftFigures, Hits, TextFigures
from ulmfit.monitoring.measuring import measure
from ulmfit.monitoring.policy import DriftPolicy
from ulmfit.prediction.predictor import Predictor
from ulmfit.stages.evaluation import read_split

NAMES = tuple(DriftFigures.model_fields)
REFERENCE, LONGEST = 1_200, 2_000  # documents of a reference, and of a stream
SIZES = np.unique(np.geomspace(30, LONGEST, 60).astype(int))
SHARES = (0.0, 0.05, 0.2, 0.5)
OPTIONS = (
    "finetune.epochs=3",
    "labels.number=400",
    "classifier.epochs=4",
    "classifier.max_tokens=300",
    "classifier.max_valid=100",
)  # of the preset small
Ints = NDArray[np.int64]


@dataclass(frozen=True)
class Pool:
    """Documents, measured one by one: columns of equal length."""

    losses: NDArray[np.float64]
    unknown: NDArray[np.float64]
    lengths: Ints
    labels: NDArray[np.str_]
    right: NDArray[np.bool_]

    @classmethod
    def of(cls, rows: Rows, lm: LanguageModel, model: Predictor) -> Pool:
        """Measure the rows: many at a time, since no figure of a document depends on the others. Documents without a loss are left out."""
        answers = np.array([answer[0] for answer in model.decide(model.probabilities(rows.texts))])
        found = measure(rows.texts, [None] * len(rows.texts), lm, model, DriftPolicy(sample=len(rows.texts)))
        assert len(found.losses) == len(answers), "each of these documents has two tokens"
        labels = np.array(rows.labels)
        return cls(np.array(found.losses), np.array(found.unknown), np.array(found.lengths), labels, labels == answers)

    def figures(self, chosen: Ints) -> TextFigures:
        """The figures of some documents."""
        return TextFigures.model_construct(
            losses=tuple(self.losses[chosen]), unknown=tuple(self.unknown[chosen]), lengths=tuple(self.lengths[chosen]),
            labels=dict(Counter(self.labels[chosen].tolist())), hits=Hits(right=int(self.right[chosen].sum()), rows=len(chosen)),
        )  # fmt: skip

    def summary(self, name: str) -> str:
        """The figures of all documents."""
        perplexity, length = np.exp(self.losses.mean()), np.exp(np.log(self.lengths).mean())
        return (
            f"{name}: {len(self.losses):,} documents, perplexity {perplexity:.1f}, unknown {self.unknown.mean():.1%}, "
            f"length {length:.0f}, accuracy {self.right.mean():.1%}"
        )

    def __add__(self, other: Pool) -> Pool:
        return Pool(*(np.concatenate([getattr(side, name) for side in (self, other)]) for name in self.__dataclass_fields__))


def measured(folder: Path, seed: int) -> dict[str, Pool]:
    """Reviews and news that the champion has not learned from."""
    context, chosen = workspace(folder), settings(*OPTIONS)
    reviews, news = shuffled("imdb", seed), shuffled("ag_news", seed)
    text = text_of(reviews[:4000], "reviews", chosen, context)
    lm, model = champion(text, chosen, context)
    loaded, predictor = load_language_model(lm.path), Predictor(model.path)
    test = read_split(text.corpus, "test")
    rows = {"held-out": Rows(test.texts, [str(label) for label in test.labels]), "reviews": reviews[4000:8000], "news": news[:2000]}
    return {name: Pool.of(found, loaded, predictor) for name, found in rows.items()}


def alarms(reviews: Pool, stories: int, size: int, policy: DriftPolicy, seed: int, remembers: bool = False) -> NDArray[np.int64]:
    """int64 [stories, figures]: false alarms of 100 cycles of ``size`` reviews, by figure; the last column: cycles with any."""
    found = np.zeros((stories, len(NAMES) + 1), np.int64)
    for story in range(stories):
        rng = np.random.default_rng([seed, size, story])
        order = rng.permutation(len(reviews.losses))
        reference, rest = reviews.figures(order[:REFERENCE]), order[REFERENCE:]
        earlier: list[DriftFigures] = []
        for _ in range(100):
            cycle = drift(reference, reviews.figures(rng.choice(rest, size, replace=False)), policy, earlier if remembers else ())
            earlier.append(cycle)
            noticed = [figure.noticed for figure in cycle.by_name.values()]
            found[story] += np.array([*noticed, any(noticed)])
    return found


def first_noticed(reviews: Pool, news: Pool, share: float, stories: int, policy: DriftPolicy, seed: int) -> NDArray[np.float64]:
    """[stories, figures + 1]: documents after which each figure notices, and any; infinity for later than ``LONGEST``.

    The stream is looked at again and again as it grows; the first look that notices counts.
    """
    both, first = reviews + news, np.full((stories, len(NAMES) + 1), np.inf)
    for story in range(stories):
        rng = np.random.default_rng([seed, round(100 * share), story])
        order = rng.permutation(len(reviews.losses))
        reference, old = both.figures(order[:REFERENCE]), order[REFERENCE : REFERENCE + LONGEST]
        strange = rng.random(LONGEST) < share
        stream = np.where(strange, len(reviews.losses) + rng.choice(len(news.losses), LONGEST, replace=False), old)
        for size in SIZES:
            found = drift(reference, both.figures(stream[:size]), policy)
            noticed = np.array([figure.noticed for figure in found.by_name.values()])
            now = np.append(noticed, noticed.any())
            first[story] = np.where(now & np.isinf(first[story]), size, first[story])
            if not np.isinf(first[story]).any():
                break
    return first


def figure_of(curves: dict[str, NDArray[np.float64]]) -> Figure:
    """Share of streams in which any figure has noticed the news, by the documents that came."""
    figure = Figure(figsize=(5.6, 3.4), layout="constrained")
    axes = figure.subplots()
    for name, first in curves.items():
        axes.plot(SIZES, [(first <= size).mean() for size in SIZES], label=name, linewidth=1.5, drawstyle="steps-post")
    axes.set_xscale("log")
    axes.set_xticks([30, 50, 100, 200, 500, 1000, 2000], ["30", "50", "100", "200", "500", "1,000", "2,000"])
    axes.set_title("streams of reviews in which news are noticed", loc="left", fontsize=10.5)
    axes.set_xlabel("documents, news among them")
    axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
    axes.set_ylim(0, 1.02)
    axes.grid(axis="y", color="#dddddd", linewidth=0.8)
    axes.spines[["top", "right", "left"]].set_visible(False)
    axes.tick_params(length=0)
    axes.legend(frameon=False, fontsize=8, loc="lower right")
    return figure


def documents(first: Sequence[float] | NDArray[np.float64]) -> str:
    """Median and 90th percentile."""
    shown = lambda value: f"{value:,.0f}" if np.isfinite(value) else f"more than {LONGEST:,}"
    return f"{shown(np.quantile(first, 0.5, method='higher'))} ({shown(np.quantile(first, 0.9, method='higher'))})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--workspace", type=Path, default=Path("drift-workspace"))
    parser.add_argument("--stories", type=int, default=100)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    print(f"{hardware()}; {options.stories} stories, seed {options.seed}")
    kept = options.workspace / f"measured-{options.seed}.npz"
    if not kept.exists():
        np.savez(
            kept,
            **{
                f"{name}_{column}": values
                for name, pool in measured(options.workspace, options.seed).items()
                for column, values in vars(pool).items()
            },
        )
    found = np.load(kept)
    held_out, reviews, news = (
        Pool(*(found[f"{name}_{column}"] for column in Pool.__dataclass_fields__)) for name in ("held-out", "reviews", "news")
    )
    for name, pool in (("held-out reviews", held_out), ("other reviews", reviews), ("news", news)):
        print(pool.summary(name), flush=True)
    report(held_out + reviews, news, options.stories, options.seed, options.out)


def report(reviews: Pool, news: Pool, stories: int, seed: int, out: Path) -> None:
    """The tables and the figure."""
    policy, lines = DriftPolicy(), []
    for size, remembers in ((50, False), (200, False), (200, True), (1000, False)):
        found = alarms(reviews, stories, size, policy, seed, remembers)
        most = f"{(found[:, -1] > 2).mean():.0%}"
        lines.append([f"{size}{', with earlier cycles' * remembers}", *(f"{mean:.2f}" for mean in found.mean(0)), most])
    table(["false alarms in 100 cycles, documents a cycle", *NAMES, "any figure", "stories with more than 2"], lines)
    firsts = {f"{share:.0%} news": first_noticed(reviews, news, share, stories, policy, seed) for share in SHARES}
    table(
        ["noticed after, median (90th percentile)", *NAMES, "any figure"],
        [[name, *map(documents, first.T)] for name, first in firsts.items()],
    )
    out.mkdir(parents=True, exist_ok=True)
    figure_of({name: first[:, -1] for name, first in firsts.items()}).savefig(out / "drift.svg", metadata={"Date": None})


if __name__ == "__main__":
    main()
