"""The drift figures of a model over its cycles, each with its own limits, from the records of its decisions."""

from datetime import datetime

from ulmfit.decisions.history import History
from ulmfit.monitoring.drift_figures import Figure
from ulmfit.store.json import Facts

TITLES = {
    "perplexity": "Perplexity a token",
    "outlying": "Outlying documents",
    "unknown": "Unknown tokens",
    "length": "Tokens a document",
    "labels": "Share of the label that moves most",
    "accuracy": "Accuracy of the champion",
}
SHARES = ("outlying", "unknown", "labels", "accuracy")  # shown in percent
EFFECTS = {"outlying": "Cohen's h", "accuracy": "Cohen's h", "labels": "Cohen's w"}  # the others are Cohen's d
UPWARDS, DOWNWARDS = ("outlying",), ("accuracy",)  # figures that are noticed in one direction alone


class DriftPoint(Facts):
    """A figure in one cycle; ``champion``: under which it was measured, and with which its history begins anew."""

    time: datetime
    champion: str | None
    figure: Figure


class DriftSeries(Facts):
    """A figure over the cycles in which it was measured, the first one first. ``sides``: in which effects count, "up", "down" or both."""

    name: str
    title: str
    share: bool
    effect: str
    sides: list[str]
    points: list[DriftPoint]

    @property
    def last(self) -> Figure:
        """The figure of the last cycle."""
        return self.points[-1].figure


def drift(history: History) -> list[DriftSeries]:
    """All six figures; none where drift was never measured."""
    measured = [each for each in history.decisions if each.cycle and each.cycle.drift]
    if not measured:
        return []
    return [
        DriftSeries(
            name=name,
            title=title,
            share=name in SHARES,
            effect=EFFECTS.get(name, "Cohen's d"),
            sides=["up"] if name in UPWARDS else ["down"] if name in DOWNWARDS else ["up", "down"],
            points=[
                DriftPoint(time=each.time, champion=each.champion, figure=each.cycle.drift.by_name[name])
                for each in measured
                if each.cycle and each.cycle.drift
            ],
        )
        for name, title in TITLES.items()
    ]
