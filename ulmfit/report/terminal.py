"""Tables for the terminal: the systems and their scores, and the quality of a corpus."""

from collections.abc import Mapping, Sequence

from rich import box
from rich.table import Table
from rich.text import Text

from ulmfit.corpora.quality.quality_record import Share
from ulmfit.evaluation.results import Results
from ulmfit.experiments.means import CONFIDENCE, Mean
from ulmfit.report.corpus_quality import FEW, CorpusQuality, Lengths, findings
from ulmfit.report.numbers import count, interval, percent, portion, signed
from ulmfit.report.scores import metric_titles

Row = tuple[str, int, float]  # what is counted, how often, and its share


def result_table(results: Results) -> Table:
    """The systems and their scores."""
    table = _table(f"{count(results.documents)} documents judged, {percent(results.confidence, 0)} intervals")
    shown = dict(list(metric_titles(results).items())[:3])  # as many as 80 columns hold
    titles = [title if title == "ROC AUC" else title[0].lower() + title[1:] for title in shown.values()]
    for heading in ("system", *titles, "over baseline"):
        table.add_column(heading, justify="left" if heading == "system" else "right", no_wrap=heading != "system")
    for name, scores in results.systems.items():
        cells = [f"{percent(score.value)}\n{interval(score)}" for score in (scores[metric] for metric in shown)]
        difference = results.differences.get(name)
        cells.append(f"{signed(difference.value)}\n{interval(difference)}" if difference else "")
        table.add_row(*(Text(cell) for cell in (name, *cells)), style="bold" if name == results.headline else "")
    return table


def quality_table(quality: CorpusQuality) -> Table:
    """What was found in a corpus, then lengths, languages and the labels of train."""
    measured, lengths, languages = quality.measured, Lengths.of(quality), quality.languages
    table = _table(f"{count(measured.documents)} usable documents of {count(measured.characters)} characters")
    for heading in ("found", "count", "share"):
        table.add_column(heading, justify="left" if heading == "found" else "right", no_wrap=heading != "found")
    limits = sorted({lengths.limit(share) for share in (0.5, 0.9)}) if lengths.bins else []
    shorter = [(limit, lengths.shorter(limit)) for limit in limits]
    labels = quality.splits["train"].labels if "train" in quality.splits else {}
    sections: list[list[Row]] = [
        [(row.title, row.count, row.share) for row in findings(quality)],
        [(f"Shorter than {count(limit)} characters", number, number / lengths.documents) for limit, number in shorter],
        _few(languages.guessed, f"Language {{}}, of {count(languages.told)} sampled", "languages"),
        _few(labels, "Label {} in train", "labels"),
    ]
    for section in filter(None, sections):
        for title, number, share in section:
            table.add_row(*(Text(cell) for cell in (title, count(number), portion(share))))
        table.add_section()
    return table


def _few(shares: Mapping[str, Share], title: str, kind: str) -> list[Row]:
    """Rows of ``shares``, the largest first; of many, the largest few, the others together and the smallest."""
    order = sorted(shares.items(), key=lambda item: -item[1].documents)
    rows = [(title.format(name), found.documents, found.share) for name, found in order]
    if len(rows) <= FEW + 1:
        return rows
    others = rows[FEW - 1 : -1]
    together = (f"{len(others)} other {kind}", sum(number for _, number, _ in others), sum(share for *_, share in others))
    return [*rows[: FEW - 1], together, rows[-1]]


def _table(title: str) -> Table:
    return Table(
        title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, show_edge=False, pad_edge=False, padding=(0, 1, 0, 0)
    )


def study_table(found: Sequence[Mean]) -> Table:
    """The points of a study, each with the means of its trials and their intervals."""
    several = len({point.point.corpus for point in found}) > 1
    table = _table(f"means of {max(point.trials for point in found)} trials, {percent(CONFIDENCE, 0)} intervals")
    for heading in (*(["corpus"] if several else []), "method", "labels", "unlabelled", "accuracy", "macro F1", "ROC AUC"):
        table.add_column(heading, justify="left" if heading in ("corpus", "method") else "right")
    for point in found:
        cells = [f"{percent(score.value)}\n{interval(score)}" for score in point.scores.values()]
        text = (*([point.point.corpus] if several else []), point.point.title, count(point.labels), count(point.unlabelled), *cells)
        table.add_row(*(Text(cell) for cell in text))
    return table
