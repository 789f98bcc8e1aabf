"""What more labels or documents bring: gains with intervals, the cheaper of two, and where one method catches up with another."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ulmfit.experiments.learning_curves.curve import LEVEL
from ulmfit.experiments.learning_curves.power_law import FARTHEST, PowerLaw, Samples

STEPS = 200  # sizes at which two curves are compared


@dataclass(frozen=True)
class Interval:
    """The median of what was sampled, and the bounds of its middle ``LEVEL``."""

    low: float
    middle: float
    high: float

    @classmethod
    def of(cls, samples: Samples) -> Interval:
        """Of samples [S]."""
        low, middle, high = np.quantile(samples, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2])
        return cls(float(low), float(middle), float(high))


@dataclass(frozen=True)
class Gain:
    """The points (of 100) that ``more`` labels or documents bring beyond the largest number measured."""

    more: int
    points: Interval

    @property
    def known(self) -> bool:
        """Whether it is a gain or a loss: 0 is not inside the interval."""
        return self.points.low > 0 or self.points.high < 0

    def sentence(self, what: str) -> str:
        """``what``: "labels", "unlabelled documents"."""
        said = f"{self.points.middle:+.1f} points" if self.known else "cannot tell"
        return f"{self.more:,} more {what}: {said} ({self.points.low:.1f} to {self.points.high:.1f})"


def gain(law: PowerLaw, more: int) -> Gain:
    """The gain of ``more`` beyond the largest size, whose own error cancels out. UserError where that is too far."""
    return Gain(more, Interval.of(_points(law, more)))


def _points(law: PowerLaw, more: int) -> Samples:
    before, after = law.scores([law.largest, law.largest + more]).T
    return 100 * (after - before)


@dataclass(frozen=True)
class Purchase:
    """What the same money buys: of labels or of documents. ``better``: which of the two gains more; None where one cannot tell."""

    money: float
    labels: Gain
    documents: Gain
    better: str | None

    @property
    def sentence(self) -> str:
        said = f"{self.better} are the better buy" if self.better else "cannot tell which is the better buy"
        return f"for {self.money:g}: {self.labels.sentence('labels')}; {self.documents.sentence('unlabelled documents')}; {said}"


def cheaper(labels: PowerLaw, documents: PowerLaw, label_cost: float, document_cost: float, more_labels: int) -> Purchase:
    """The money for ``more_labels`` labels, spent on them or on documents (as many as a forecast goes to, at most)."""
    money = more_labels * label_cost
    more_documents = max(1, min(int(money / document_cost), (FARTHEST - 1) * documents.largest))
    of_labels, of_documents = (
        _points(labels, more_labels),
        np.random.default_rng(labels.seed).permutation(_points(documents, more_documents)),
    )
    difference = Interval.of(of_labels - of_documents)
    better = "labels" if difference.low > 0 else "documents" if difference.high < 0 else None
    return Purchase(money, Gain(more_labels, Interval.of(of_labels)), Gain(more_documents, Interval.of(of_documents)), better)


@dataclass(frozen=True)
class CatchUp:
    """From how many labels on another method is as good. ``share``: how likely that comes up to ``farthest`` labels; ``labels``: where, if
    it is more likely than not."""

    share: float
    farthest: int
    labels: Interval | None

    def sentence(self, method: str) -> str:
        """``method``: the other one's name."""
        if self.labels is None:
            return f"{method} does not catch up within {self.farthest:,} labels (probability {self.share:.0%})"
        high = f"{self.labels.high:,.0f}" if self.labels.high <= self.farthest else f"more than {self.farthest:,}"
        return f"{method} catches up at {self.labels.middle:,.0f} labels ({self.labels.low:,.0f} to {high})"


def catch_up(ours: PowerLaw, other: PowerLaw, smallest: int) -> CatchUp:
    """The first number of labels, from ``smallest`` on, at which ``other`` is as good as ``ours``."""
    farthest = FARTHEST * min(ours.largest, other.largest)
    sizes = np.unique(np.geomspace(smallest, farthest, STEPS).round().astype(int))
    random = np.random.default_rng(ours.seed + 2)
    ahead = other.scores(sizes.tolist())[random.permutation(len(other.floors))] >= ours.scores(sizes.tolist())
    comes = ahead.any(axis=1)
    first = np.where(comes, sizes[ahead.argmax(axis=1)], np.inf)
    found = Interval(*np.quantile(first, [(1 - LEVEL) / 2, 0.5, (1 + LEVEL) / 2], method="higher")) if comes.mean() > 0.5 else None
    return CatchUp(float(comes.mean()), farthest, found)
