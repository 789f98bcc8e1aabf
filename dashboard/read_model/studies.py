"""The studies in the workspace: curves, answers and forecasts of each, which take seconds to reckon, once for each summary that is new."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from dashboard.read_model.database import Database
from dashboard.read_model.reports import SUMMARY
from ulmfit.evaluation.results import Estimate
from ulmfit.experiments.paper_tables import PaperRow
from ulmfit.report.looks import Look
from ulmfit.store.json import Facts

if TYPE_CHECKING:
    from ulmfit.report.study_figures import Chart
    from ulmfit.report.study_page import CorpusView
    from ulmfit.report.study_summary import StudySummary

log = logging.getLogger(__name__)

TRAINING = "training"  # the kind of the reports that are of no study


class StudySeries(Facts):
    """A line: x rising, y from 0 to 1 with its bounds (None where a single trial gives none). ``look``: the number of its look."""

    title: str
    look: int
    x: list[float]
    y: list[float]
    bounds: list[tuple[float, float] | None]


class StudyChart(Facts):
    """A figure of some series."""

    title: str
    xlabel: str
    ylabel: str
    logarithmic: bool
    series: list[StudySeries]


class GridRow(Facts):
    """What a method reached, by the number of labelled documents."""

    title: str
    scores: dict[int, Estimate]


class StudyOf(Facts):
    """What a study found on one corpus. ``answers`` and ``forecasts``: sentences; ``tables``: of ablations, by title."""

    corpus: str
    labels: list[int]
    answers: list[str]
    forecasts: list[str]
    charts: list[StudyChart]
    accuracy: list[GridRow]
    tables: dict[str, list[PaperRow]]


class Study(Facts):
    """A study. ``name``: of its report; ``kind``: the command; ``asked``: what it was asked for, as text; ``run``: its tracked run."""

    name: str
    kind: str
    started: datetime
    seconds: float
    trials: int
    run: str
    asked: dict[str, str]
    corpora: list[StudyOf]


def read(folder: Path, database: Database) -> None:
    """Take in studies whose reports are new or were written again, each as soon as it is reckoned."""
    with database.reading() as reading:
        known = {row["name"]: row["stamp"] for row in reading.execute("select name, stamp from studies")}
        there = {row["name"]: row["stamp"] for row in reading.execute("select name, stamp from reports where kind != ?", [TRAINING])}
    with database.writing() as writing:
        writing.executemany("delete from studies where name = ?", [(name,) for name in known.keys() - there.keys()])
    for name in [name for name, stamp in there.items() if known.get(name) != stamp]:
        found = _study(name, folder / name / SUMMARY)
        with database.writing() as writing:
            facts = found.model_dump_json() if found else None
            writing.execute("insert or replace into studies values (?, ?, ?)", [name, there[name], facts])


def _study(name: str, summary: Path) -> Study | None:
    """None where the summary cannot be read as that of a study."""
    from ulmfit.report.study_page import CorpusView  # brings scipy, which no page needs
    from ulmfit.report.study_summary import StudySummary

    try:
        found = StudySummary.model_validate_json(summary.read_bytes())
        return _facts(name, found, [CorpusView(found, corpus.name) for corpus in found.corpora])
    except (OSError, ValueError, ArithmeticError, LookupError) as error:
        log.warning("%s: no study can be read there (%s)", summary, type(error).__name__)
        return None


def _facts(name: str, summary: StudySummary, views: Iterable[CorpusView]) -> Study:
    return Study(
        name=name,
        kind=summary.kind,
        started=datetime.fromisoformat(summary.run.started),
        seconds=summary.run.seconds,
        trials=len(summary.results),
        run=summary.run.id,
        asked={field: _text(value) for field, value in summary.asked.items() if value not in (None, [], {}, "")},
        corpora=[_found(view) for view in views],
    )


def _text(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _found(view: CorpusView) -> StudyOf:
    rows = [
        GridRow(title=line.title, scores={point.labels: score for point in line.points if (score := point.scores["accuracy"])})
        for line in view.lines
    ]
    return StudyOf(
        corpus=view.name,
        labels=view.labels,
        answers=list(view.answers),
        forecasts=list(view.forecasts),
        charts=[_chart(chart) for chart in view.charts],
        accuracy=rows,
        tables=view.tables,
    )


def _chart(chart: Chart) -> StudyChart:
    looks = [Look.of(number) for number in range(8)]
    series = [
        StudySeries(title=each.title, look=looks.index(each.look), x=list(each.x), y=list(each.y), bounds=list(each.bounds))
        for each in chart.series
    ]
    return StudyChart(title=chart.title, xlabel=chart.xlabel, ylabel=chart.ylabel, logarithmic=chart.logarithmic, series=series)
