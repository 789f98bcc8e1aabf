"""What the report of a study shows, out of its summary: series of points, tables, the six criteria."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from ulmfit.evaluation.results import Estimate
from ulmfit.experiments.ablations import FORGETTING, WHOLE
from ulmfit.experiments.answer import accuracy
from ulmfit.experiments.means import METRICS, Mean, mean_score, means
from ulmfit.experiments.trial import TITLES, MethodName, TrialResult
from ulmfit.report.looks import SERIES, Look
from ulmfit.report.numbers import count
from ulmfit.report.study_figures import Chart, Series
from ulmfit.report.study_summary import StudySummary

METRIC_TITLES = dict(zip(METRICS, ("Accuracy", "Macro F1", "ROC AUC"), strict=True))
FEW_LABELS = 100  # of the criterion
EXAMPLE_TRIAL = 0  # whose errors by epoch are drawn


@dataclass(frozen=True)
class Line:
    """Points that differ in one number alone, with a title and a look."""

    title: str
    look: Look
    points: Sequence[Mean]

    def at(self, labels: int) -> Mean | None:
        """The point of so many labels."""
        return next((point for point in self.points if point.labels == labels), None)


def lines_of(points: Sequence[Mean]) -> list[Line]:
    """A line for each method, regime and number of unlabelled documents, by labels; and one by choice, which begins where a random one does."""
    groups: dict[str, list[Mean]] = {}
    for point in points:
        several = len({other.point.unlabelled for other in points if other.point.regime == point.point.regime}) > 1
        text = "" if not several else ", all unlabelled" if point.point.unlabelled is None else f", {point.point.unlabelled:,} unlabelled"
        groups.setdefault(point.point.title + text, []).append(point)
    groups = {title: [*_beginning(found, points), *found] for title, found in groups.items()}
    ordered = {title: sorted(found, key=lambda point: point.labels) for title, found in groups.items()}
    drawn = [Line(title, Look.of(0), found) for title, found in ordered.items()]
    first = sorted(drawn, key=lambda line: not _at_an_end(line, drawn))  # those that a figure shows get looks of their own
    return [replace(line, look=Look.of(first.index(line))) for line in drawn]


def _beginning(line: Sequence[Mean], points: Sequence[Mean]) -> list[Mean]:
    """Of a line by choice the point of labels drawn at random, whose model chose first."""
    if not line[0].point.chosen_after:
        return []
    first = line[0].point.model_copy(update={"labels": line[0].point.chosen_after[0], "chosen_after": ()})
    return [point for point in points if point.point == first]


def label_chart(corpus: str, lines: Sequence[Line]) -> Chart | None:
    """Accuracy by labels; None where their number was not varied."""
    if max((len(line.points) for line in lines), default=0) < 2:
        return None
    shown = [line for line in lines if len(lines) <= SERIES or _at_an_end(line, lines)][:SERIES]
    series = [_series(line.title, line.look, [(point.labels, point) for point in line.points]) for line in shown]
    return Chart(_file("labels", corpus), f"{corpus}: accuracy by labelled documents", "labelled documents", "accuracy", series)


def _at_an_end(line: Line, lines: Sequence[Line]) -> bool:
    """Whether it reads the most text of the lines of its regime, or, where the general language model is tuned, the least."""
    point = line.points[0].point
    others = [other.points[0].point for other in lines if other.points[0].point.regime == point.regime]
    amounts = sorted((other.unlabelled is None, other.unlabelled or 0) for other in others)
    ends = amounts[-1:] if point.regime != "general+domain" else [amounts[0], amounts[-1]]
    return point.regime is None or (point.unlabelled is None, point.unlabelled or 0) in ends


def text_chart(corpus: str, points: Sequence[Mean]) -> Chart | None:
    """Accuracy by unlabelled documents at the most labels at which they were varied; None where they were not."""
    tuned = [point for point in points if point.point.regime]
    varied = {point.labels for point in tuned if len({other.unlabelled for other in tuned if other.labels == point.labels}) > 2}
    if not varied:
        return None
    labels = max(varied)
    groups: dict[str, list[tuple[float, Mean]]] = {}
    for point in sorted((point for point in tuned if point.labels == labels), key=lambda point: point.unlabelled):
        groups.setdefault(point.point.title, []).append((point.unlabelled, point))
    most = max(x for found in groups.values() for x, _ in found)
    series = []
    for number, (title, found) in enumerate(groups.items()):
        level = found if len(found) > 1 else [(0, found[0][1]), (most, found[0][1])]  # it reads none of the text
        series.append(_series(title, Look.of(number), level))
    name = f"{corpus}: accuracy by unlabelled documents, {labels:,} labels"
    return Chart(_file("text", corpus), name, "unlabelled documents", "accuracy", series)


def epoch_chart(corpus: str, results: Iterable[TrialResult]) -> Chart | None:
    """Figure 4: validation error by epoch of the whole method and of full fine-tuning, first trial; None where that was not tried."""
    tried = {
        result.trial.point.variant: result
        for result in results
        if result.trial.number == EXAMPLE_TRIAL and result.errors and result.trial.point.corpus == corpus
    }
    if FORGETTING not in tried or WHOLE not in tried:
        return None
    titles = {WHOLE: WHOLE, FORGETTING: "full fine-tuning"}
    series = [
        Series(title, Look.of(number), list(range(1, len(tried[name].errors) + 1)), tried[name].errors, [None] * len(tried[name].errors))
        for number, (name, title) in enumerate(titles.items())
    ]
    title = f"{corpus}: validation error after each epoch of the classifier (the paper's Figure 4)"
    return Chart(_file("epochs", corpus), title, "epoch", "validation error", series, logarithmic=False)


def _series(title: str, look: Look, points: Sequence[tuple[float, Mean]]) -> Series:
    scores = [point.scores["accuracy"] for _, point in points]
    bounds = [None if score.low is None or score.high is None else (score.low, score.high) for score in scores]
    return Series(title, look, [x for x, _ in points], [score.value or 0.0 for score in scores], bounds)


def _file(kind: str, corpus: str) -> str:
    """A file's name; of the corpus's only letters and digits."""
    return f"{kind}-" + "".join(letter if letter.isascii() and letter.isalnum() else "-" for letter in corpus.rpartition("/")[2])[:60]


def direction_table(results: Sequence[TrialResult]) -> list[tuple[str, int, dict[str, Estimate]]]:
    """Accuracy of each direction and of their average, for the points that have both: title, labels, accuracy by system."""
    both = [result for result in results if len(result.scores) > 1]
    rows = []
    for point in means(both):
        own = [result for result in both if result.trial.point == point.point]
        systems = {system: mean_score(own, "accuracy", system) for system in own[0].scores}
        rows.append((point.point.title, point.labels, systems))
    return rows


@dataclass(frozen=True)
class Criteria:
    """What counts in practice beside accuracy, of one method. ``few``: accuracy at the labels nearest to 100, ``few_labels``.

    ``breadth``: on how many of the corpora it is best there, or within the interval of the best. ``per_doubling``: accuracy that a doubling of
    the labels brought, on average, from the fewest to the most.
    """

    title: str
    seconds: float
    shared_seconds: float | None
    documents_per_second: float | None
    settings: int
    few: Estimate
    few_labels: int
    breadth: str
    per_doubling: float | None


def criteria_of(summary: StudySummary) -> list[Criteria]:
    """Of each method, with labels drawn at random. Ours is, of an ablation, the whole method; else the best regime at the labels nearest to 100."""
    points = _standing_for_methods([point for point in summary.means if not point.point.chosen_after])
    corpora = {result.trial.point.corpus for result in summary.results}
    methods: dict[MethodName, list[Mean]] = {}
    for point in points:
        methods.setdefault(point.point.method, []).append(point)
    return [_criteria(method, found, points, len(corpora), summary.changed) for method, found in methods.items()]


def _standing_for_methods(points: Sequence[Mean]) -> Sequence[Mean]:
    """Without an ablation's variants of our method."""
    if not any(point.point.variant == WHOLE for point in points):
        return points
    return [point for point in points if point.point.method != "ulmfit" or point.point.variant == WHOLE]


def _criteria(method: MethodName, own: list[Mean], every: Sequence[Mean], corpora: int, changed: int) -> Criteria:
    near = min(own, key=lambda point: (abs(point.labels - FEW_LABELS), -accuracy(point)))
    curve = sorted((point for point in own if _same_line(point, near)), key=lambda point: point.labels)
    first, last = curve[0], curve[-1]
    doublings = (last.labels / first.labels) if first.labels else 1
    few = [point for point in own if point.labels == near.labels]
    wins = {point.point.corpus for point in few if _near_best(point, [other for other in every if _same_place(point, other)])}
    return Criteria(
        title=TITLES[method],
        seconds=near.seconds,
        shared_seconds=near.shared_seconds or None,
        documents_per_second=near.documents_per_second,
        settings=changed,
        few=near.scores["accuracy"],
        few_labels=near.labels,
        breadth=f"{count(len(wins))} of {count(corpora)}",
        per_doubling=None if doublings <= 1 else (accuracy(last) - accuracy(first)) / _log2(doublings),
    )


def _same_line(point: Mean, other: Mean) -> bool:
    mine, its = point.point, other.point
    return (mine.corpus, mine.regime, mine.unlabelled, mine.variant) == (its.corpus, its.regime, its.unlabelled, its.variant)


def _same_place(point: Mean, other: Mean) -> bool:
    return (point.point.corpus, point.labels) == (other.point.corpus, other.labels)


def _near_best(point: Mean, others: Sequence[Mean]) -> bool:
    best = max(others, key=accuracy)
    low = best.scores["accuracy"].low
    return accuracy(point) >= (accuracy(best) if low is None else low)


def _log2(ratio: float) -> float:
    from math import log2

    return log2(ratio)
