"""The paper's Tables 4 to 7 beside ours: the errors, and what each part of the method is worth there and here."""

from collections.abc import Mapping, Sequence

from ulmfit.evaluation.results import Estimate
from ulmfit.experiments.ablations import ROWS, WHOLE
from ulmfit.experiments.answer import METRIC
from ulmfit.experiments.means import Mean, difference, means
from ulmfit.experiments.published import TABLES, published
from ulmfit.experiments.trial import TrialResult
from ulmfit.store.json import Facts


class PaperRow(Facts):
    """A variant. ``ours`` and ``paper``: error rates as shares (None: the paper has not this corpus).

    ``worse`` and ``paper_worse``: by how much they are more than the whole method's; None for that itself.
    """

    title: str
    ours: Estimate
    worse: Estimate | None
    paper: float | None
    paper_worse: float | None


def paper_tables(corpus: str, results: Sequence[TrialResult]) -> dict[str, list[PaperRow]]:
    """The tables of which all variants were tried, by title."""
    tried = {point.point.variant: point for point in means(results)}
    return {
        f"Table {table}: {TABLES[table][0]}": _rows(rows, [published(table, row, corpus) for row in rows], tried, results)
        for table, rows in ROWS.items()
        if all(variant in tried for variant in rows.values())
    }


def _rows(
    rows: Mapping[str, str], percents: Sequence[float | None], tried: Mapping[str | None, Mean], results: Sequence[TrialResult]
) -> list[PaperRow]:
    """Of one table, whose last row is the whole method."""
    whole = tried[WHOLE].point
    return [
        PaperRow(
            title=title,
            ours=error(tried[variant].scores[METRIC]),
            worse=None if variant == WHOLE else difference(results, whole, tried[variant].point, METRIC),
            paper=None if percent is None else percent / 100,
            paper_worse=None if variant == WHOLE or percent is None else (percent - (percents[-1] or 0)) / 100,
        )
        for (title, variant), percent in zip(rows.items(), percents, strict=True)
    ]


def error(score: Estimate) -> Estimate:
    """The error rate of an accuracy."""
    less = lambda value: None if value is None else 1 - value
    return Estimate(value=less(score.value), low=less(score.high), high=less(score.low))
