"""Writes the report of a study: ``report.html`` for people, ``summary.json`` and ``trials.csv`` for programs, figures as PNG and SVG."""

import csv
import io
import shlex
from pathlib import Path

from ulmfit.experiments.answer import answers
from ulmfit.experiments.chosen_labels import choosing_answers
from ulmfit.experiments.forecast import forecasts
from ulmfit.experiments.means import METRICS
from ulmfit.experiments.paper_tables import paper_tables
from ulmfit.experiments.variant_answers import variant_answers
from ulmfit.report import numbers
from ulmfit.report.commands import settings_by_stage
from ulmfit.report.study_figures import Chart
from ulmfit.report.study_summary import StudySummary
from ulmfit.report.study_views import METRIC_TITLES, Line, criteria_of, direction_table, epoch_chart, label_chart, lines_of, text_chart
from ulmfit.report.templating import environment
from ulmfit.store.filesystem import write_bytes


def render_study(summary: StudySummary, folder: Path) -> None:
    """Write the report into ``folder``, which is there."""
    write_bytes(folder / "summary.json", summary.model_dump_json(indent=1).encode())
    write_bytes(folder / "trials.csv", trials_csv(summary).encode())
    shown = {corpus.name: CorpusView(summary, corpus.name) for corpus in summary.corpora}
    for view in shown.values():
        for chart in view.charts:
            chart.save(folder)
    write_bytes(folder / "report.html", page_of(summary, list(shown.values())).encode())


class CorpusView:
    """What the page shows of one corpus."""

    def __init__(self, summary: StudySummary, corpus: str):
        self.name = corpus
        self.suspects = next(one.suspects for one in summary.corpora if one.name == corpus)
        self.results = [result for result in summary.results if result.trial.point.corpus == corpus]
        self.points = [point for point in summary.means if point.point.corpus == corpus]
        self.lines: list[Line] = lines_of(self.points)
        self.labels = sorted({point.labels for point in self.points})
        at_random = [point for point in self.points if not point.point.chosen_after]
        drawn = [result for result in self.results if not result.trial.point.chosen_after]
        varied = any(result.trial.point.variant for result in drawn)
        self.answers = [*(variant_answers if varied else answers)(drawn), *choosing_answers(self.results)]
        self.forecasts = forecasts(drawn, summary.purchase, summary.misfit)
        self.tables = paper_tables(corpus, self.results)
        self.directions = direction_table(self.results)
        found = (label_chart(corpus, self.lines), text_chart(corpus, at_random), epoch_chart(corpus, self.results))
        self.charts: list[Chart] = [chart for chart in found if chart]


def page_of(summary: StudySummary, views: list[CorpusView]) -> str:
    """The page as one HTML file that loads nothing from elsewhere."""
    pages = environment(numbers.percent, numbers.signed, numbers.count, numbers.duration, numbers.interval, numbers.number)
    uri = summary.run.tracking_uri
    return pages.get_template("study.html").render(
        summary=summary,
        run=summary.run,
        views=views,
        metrics=METRIC_TITLES,
        criteria=criteria_of(summary),
        settings=settings_by_stage(summary.settings),
        run_link=summary.run.runs_url,
        browse=f"mlflow ui --backend-store-uri {shlex.quote(uri)}" if uri.startswith("sqlite:") else None,
    )


def trials_csv(summary: StudySummary) -> str:
    """Every trial, a row each: what was tried, scores of the headline, seconds, keys."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    point = ("corpus", "method", "regime", "variant")
    facts = ("labels", "unlabelled", "documents", "seconds", "shared_seconds", "documents_per_second", "key", "run_id")
    writer.writerow([*point, "trial", *METRICS, *facts, "options", "labels_by"])
    for result in summary.results:
        tried = result.trial.point
        scores = [result.score(metric) for metric in METRICS]
        found = [getattr(result, name) for name in facts]
        more = (" ".join(tried.options), "choice" if tried.chosen_after else "chance")
        writer.writerow([*(getattr(tried, name) for name in point), result.trial.number, *scores, *found, *more])
    return text.getvalue()
