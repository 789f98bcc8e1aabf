"""The gate over 200 cycles on the same held-out rows: wrong promotions, gains found, false alarms of slices and of calibration.

    python benchmarks/gate.py [--stories 4000] [--seed 0] [--out docs/results]

Writes gate.svg into ``--out`` and prints the tables of docs/results/gate.md. A model is right on a row if the row's ease plus noise of the model's own
is positive; ease is shared by all models, which are so alike that two of them disagree on a given share of the rows. Challengers are either
trained anew (noise drawn for each) or warm (noise that goes on from the challenger before, correlation 0.9).
"""

from __future__ import annotations

import argparse
import platform
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from scipy.optimize import brentq
from scipy.stats import binom, multivariate_normal, norm

from ulmfit.evaluation.calibration import expected_calibration_error
from ulmfit.evaluation.paired import shown_above
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.slice_losses import slice_figures
from ulmfit.evaluation.spending import HALF, alpha_of_cycle
from ulmfit.evaluation.verdict import Disagreement

CYCLES, ACCURACY, WARM = 200, 0.9, 0.9
MARGIN, ALPHA = GatePolicy().margin, GatePolicy().alpha
SHOWN = (1, 5, 10, 20, 50, 100, 200)  # cycles in the tables

Ints = NDArray[np.int64]
Counts = tuple[Ints, Ints]  # rows that only the challenger, and only the champion, gets right: [stories, cycles]


@dataclass(frozen=True)
class World:
    """Models that disagree on a share ``differ`` of rows where they are as good; challengers are better by ``gain``."""

    rows: int
    differ: float
    gain: float = 0.0
    warm: bool = False

    def counts(self, stories: int, cycles: int, generator: np.random.Generator) -> Counts:
        """Disagreements of a champion with the challengers of all cycles, in so many stories."""
        shared = _correlation(self.differ)
        bars = norm.isf(ACCURACY), norm.isf(ACCURACY + self.gain)  # a model is right where its score is above
        own = np.float32(np.sqrt(1 - shared))
        found = np.zeros((2, stories, cycles), np.int64)
        draw = lambda: generator.standard_normal(self.rows, np.float32)
        for story in range(stories):
            ease = np.float32(np.sqrt(shared)) * draw()
            champion = ease + own * draw() > bars[0]
            noise = draw()
            for cycle in range(cycles):
                noise = WARM * noise + np.float32(np.sqrt(1 - WARM**2)) * draw() if self.warm else draw()
                challenger = ease + own * noise > bars[1]
                both = np.count_nonzero(challenger & champion)
                found[:, story, cycle] = np.count_nonzero(challenger) - both, np.count_nonzero(champion) - both
        return found[0], found[1]


@cache
def _correlation(differ: float) -> float:
    """The correlation of two models' scores at which they disagree on a share ``differ`` of rows."""
    bar = norm.ppf(ACCURACY)
    both = lambda r: multivariate_normal.cdf([bar, bar], cov=[[1, r], [r, 1]], abseps=1e-8, releps=1e-8)
    return float(brentq(lambda r: 2 * (ACCURACY - both(r)) - differ, 0.5, 0.9999, xtol=1e-5))


@cache
def last_cycle(gained: int, lost: int, rows: int, allowed: float) -> int:
    """The last cycle, at most CYCLES, in which such a challenger would be shown to be better than ``-allowed``; 0 for none."""
    found = Disagreement(rows=rows, only_challenger_right=gained, only_champion_right=lost)
    if found.difference + allowed < 2 * np.sqrt(max(gained + lost, rows * allowed)) / rows:  # two standard errors are too few for any cycle
        return 0
    low, high = 0, CYCLES
    while low < high:
        middle = (low + high + 1) // 2
        low, high = (middle, high) if shown_above(found, -allowed, alpha_of_cycle(middle, ALPHA)) else (low, middle - 1)
    return low


def promoted(counts: Counts, rows: int, allowed: float = 0.0, first: int = 1) -> NDArray[np.bool_]:
    """bool [stories, cycles]: whether the challenger of a cycle passes; the first column is cycle ``first``."""
    gained, lost = counts
    pairs, where = np.unique(np.stack([gained.ravel(), lost.ravel()], 1), axis=0, return_inverse=True)
    last = np.array([last_cycle(int(b), int(c), rows, allowed) for b, c in pairs])[where.ravel()].reshape(gained.shape)
    return last >= first + np.arange(gained.shape[1])


def by_now(passes: NDArray[np.bool_]) -> NDArray[np.float64]:
    """[cycles]: share of stories with a promotion up to each cycle."""
    return np.maximum.accumulate(passes, 1).mean(0)


# --- what is measured


def wrong_promotions(stories: int, seed: int) -> Iterator[tuple[str, NDArray[np.float64]]]:
    """By name, the share of stories with a wrong promotion up to each cycle, where every promotion is wrong."""
    for number, (mode, allowed) in enumerate((("better", 0.0), ("not-worse", MARGIN))):
        for warm, differ in ((False, 0.04), (False, 0.08), (True, 0.04)):
            world = World(1000, differ, -allowed, warm)
            generator = np.random.default_rng([seed, number, warm, round(100 * differ)])
            passes = promoted(world.counts(stories, CYCLES, generator), world.rows, allowed)
            yield f"{mode}, {'warm' if warm else 'anew'}, {differ:.0%} differ", by_now(passes)


def wrong_after_gains(stories: int, seed: int, every: int, gain: float) -> tuple[NDArray[np.float64], float]:
    """[CYCLES]: share of stories with a wrong promotion so far where every ``every``-th challenger is better by ``gain`` and the champion changes.

    The others are as good as the champion of their cycle, so that promoting one is wrong. Models are trained anew; the first is right on
    65% of rows. Also the mean number of right promotions.
    """
    generator, rows, shared = np.random.default_rng([seed, 5]), 1000, _correlation(0.04)
    draw = lambda: generator.standard_normal(rows, np.float32)
    wrong, right = np.zeros((stories, CYCLES), bool), 0
    for story in range(stories):
        ease, level = np.sqrt(shared) * draw(), 0.65
        model = lambda accuracy, ease=ease: ease + np.sqrt(1 - shared) * draw() > norm.isf(accuracy)
        champion = model(level)
        for cycle in range(1, CYCLES + 1):
            better = cycle % every == 0
            challenger = model(level + gain * better)
            gained, lost = int((challenger & ~champion).sum()), int((champion & ~challenger).sum())
            if last_cycle(gained, lost, rows, 0.0) >= cycle:
                champion, level = challenger, level + gain * better
                right += better
                wrong[story, cycle - 1] = not better
    return by_now(wrong), right / stories


def found_at(world: World, stories: int, seed: int, allowed: float = 0.0) -> NDArray[np.float64]:
    """[CYCLES]: share of challengers that are promoted if they come in that cycle."""
    counts = world.counts(stories, 1, np.random.default_rng([seed, 7, world.rows, round(1000 * world.differ)]))
    alone = np.concatenate([promoted(counts, world.rows, allowed, first=cycle) for cycle in range(1, CYCLES + 1)], 1)
    return alone.mean(0)


def found_within(world: World, first: int, stories: int, seed: int) -> NDArray[np.float64]:
    """[20]: share of stories in which a gain that is there from cycle ``first`` on is found by then, and by each of the next 19 cycles."""
    counts = world.counts(stories, 20, np.random.default_rng([seed, 11, first, round(1000 * world.differ)]))
    return by_now(promoted(counts, world.rows, first=first))


def found_by_sequence(differ: float, rows: int = 1000, gain: float = 0.02) -> dict[str, NDArray[np.float64]]:
    """Share of gains found at each cycle by the test that takes the number of disagreements as given, for several ways to spend alpha."""
    cycles = np.arange(1, CYCLES + 1)
    slow = 1 / (cycles * np.log(cycles + 1) ** 2)
    levels = {
        "1 / (k log^2(k + 1))": ALPHA * slow / 3.388,  # its sum over all k
        **{f"H = {half}": ALPHA * half / ((half + cycles - 1) * (half + cycles)) for half in (10, HALF, 50, 100)},
        "equal, nothing after 200": np.full(CYCLES, ALPHA / CYCLES),
    }
    n = np.arange(int(binom.ppf(1e-6, rows, differ)), int(binom.isf(1e-6, rows, differ)) + 1)

    def power(level: float) -> float:
        return float(binom.pmf(n, rows, differ) @ binom.sf(binom.isf(level, n, 0.5), n, (1 + gain / differ) / 2))

    return {name: np.array([power(level) for level in found]) for name, found in levels.items()}


def slice_alarms(stories: int, seed: int, loss: float, size: int) -> tuple[float, float]:
    """Share of cycles with an alarm of a slice, and of those of the one slice of ``size`` rows that loses ``loss``; 20 others lose nothing.

    2,000 rows: ten labels of 200 rows each, six length classes, four sources, and the slice. The models differ on 6% of the rows.
    """
    rows, alarms, hits = 2000, 0, 0
    generator = np.random.default_rng([seed, 13, size, round(100 * loss)])
    shared, bar = _correlation(0.06), norm.isf(ACCURACY)
    policy = GatePolicy()
    for _ in range(stories):
        groups = [generator.permutation(rows) % parts for parts in (10, 6, 4)]
        masks = {f"{i}={code}": group == code for i, group in enumerate(groups) for code in range(group.max() + 1)}
        lost = masks["lost"] = generator.permutation(rows) < size
        ease = np.sqrt(shared) * generator.standard_normal(rows)
        scores = ease + np.sqrt(1 - shared) * generator.standard_normal((2, rows))
        right = scores[0] > bar, scores[1] > np.where(lost, norm.isf(ACCURACY - loss), bar)
        worse = {found.name for found in slice_figures(right, masks, policy.slice_margin, policy.min_slice_rows) if found.worse}
        alarms += bool(worse)
        hits += "lost" in worse
    return alarms / stories, hits / stories


def calibration_alarms(stories: int, seed: int, rows: int) -> float:
    """Share of cycles in which the calibration error of one of two models that are equally well calibrated is higher by more than is allowed."""
    generator, alarms = np.random.default_rng([seed, 17, rows]), 0
    for _ in range(stories):
        ease = generator.normal(2, 2, rows)
        truth = (ease + generator.logistic(size=rows) < 0).astype(np.int64)
        first, second = (1 / (1 + np.exp(ease + generator.normal(0, 0.3, rows))) for _ in range(2))
        errors = [expected_calibration_error(np.stack([1 - share, share], 1), truth) for share in (first, second)]
        alarms += errors[1] - errors[0] > GatePolicy().max_calibration_worsening
    return alarms / stories


# --- figure and tables


def figure_of(wrong: dict[str, NDArray[np.float64]], found: dict[str, NDArray[np.float64]]) -> Figure:
    """Two panels: wrong promotions up to each cycle, with their limit, and the share of gains found at each cycle."""
    figure = Figure(figsize=(9.4, 3.6), layout="constrained")
    left, right = figure.subplots(1, 2)
    cycles = np.arange(1, CYCLES + 1)
    left.axhline(ALPHA, color="#888888", linewidth=1, linestyle=(0, (4, 4)))
    left.text(CYCLES, ALPHA, "limit", ha="right", va="bottom", fontsize=9, color="#666666")
    for axes, curves, title in (
        (left, wrong, "stories with a wrong promotion so far"),
        (right, found, "gains of 2 points found, 1,000 held-out rows"),
    ):
        for name, curve in curves.items():
            axes.plot(cycles, curve, label=name, linewidth=1.5)
        axes.set_title(title, loc="left", fontsize=10.5)
        axes.set_xlabel("cycle")
        axes.set_ylim(0, 0.08 if axes is left else 1)
        axes.yaxis.set_major_formatter(lambda value, _: f"{100 * value:g}%")
        axes.grid(axis="y", color="#dddddd", linewidth=0.8)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(length=0)
        axes.legend(frameon=False, fontsize=8, loc="upper left" if axes is left else "upper right")
    return figure


def table(head: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """Print a Markdown table."""
    print("", *("| " + " | ".join(line) + " |" for line in (head, ["---"] * len(head), *lines)), sep="\n", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--stories", type=int, default=4000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path("docs/results"))
    options = parser.parse_args()
    n, seed = options.stories, options.seed
    percent: Callable[[float], str] = lambda share: f"{share:.1%}"
    at = lambda curve, cycles=SHOWN: [percent(curve[cycle - 1]) for cycle in cycles]
    heads = [f"cycle {cycle}" for cycle in SHOWN]

    print(f"{n} stories, seed {seed}, Python {platform.python_version()}, numpy {np.__version__}")
    wrong = dict(wrong_promotions(n, seed))
    table(["wrong promotion up to", *heads], [[name, *at(curve)] for name, curve in wrong.items()])
    changing, right = wrong_after_gains(n // 2, seed, every=20, gain=0.03)
    table(
        ["wrong promotion up to", *heads],
        [[f"better, every 20th is better by 3 points: {right:.2f} right promotions a story", *at(changing)]],
    )

    worlds = {f"{differ:.0%} of rows differ": World(1000, differ, 0.02) for differ in (0.03, 0.04, 0.06, 0.08)}
    found = {name: found_at(world, n, seed) for name, world in worlds.items()}
    table(["gain of 2 points found if it comes in", *heads], [[name, *at(curve)] for name, curve in found.items()])
    more = {f"{rows:,} rows": found_at(World(rows, 0.06, 0.02), n // 5, seed) for rows in (2000, 4000)}
    table(["more rows, 6% differ", *heads], [[name, *at(curve)] for name, curve in more.items()])
    lines = []
    for first in (1, 20, 100):
        for name, world in list(worlds.items())[1::2]:
            lines.append([f"cycle {first}", name, *at(found_within(world, first, n // 2, seed), (1, 3, 5, 10, 20))])
    table(["there from", "", "at once", "by the 3rd cycle", "5th", "10th", "20th"], lines)

    for differ in (0.04, 0.08):
        spent = found_by_sequence(differ)
        table([f"spending, {differ:.0%} differ", *heads, "mean"], [[name, *at(c), percent(c.mean())] for name, c in spent.items()])

    lines = []
    for rows in (1000, 2000, 4000):
        for differ in (0.03, 0.06):
            lines.append([f"{rows:,}", f"{differ:.0%}", *at(1 - found_at(World(rows, differ), n // 5, seed, MARGIN))])
    table(["not-worse, equal models held: rows", "differ", *heads], lines)

    lines = [["none", "0", percent(slice_alarms(n, seed, 0.0, 200)[0]), ""]]
    for size in (100, 200, 400):
        for loss in (0.1, 0.2):
            lines.append([f"{size} rows", f"{100 * loss:g}", "", percent(slice_alarms(n // 4, seed, loss, size)[1])])
    table(["slice that loses", "points", "any alarm", "this one found"], lines)
    table(["rows", "calibration blocks"], [[f"{rows:,}", percent(calibration_alarms(n // 2, seed, rows))] for rows in (200, 500, 1000)])
    with matplotlib.rc_context({"svg.fonttype": "none", "svg.hashsalt": "gate"}):
        figure_of(wrong, found).savefig(options.out / "gate.svg", facecolor="white", metadata={"Date": None})


if __name__ == "__main__":
    main()
