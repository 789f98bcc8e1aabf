"""What a study of variants answers, in sentences: of an ablation beside the whole method, else the best setting beside the last."""

from collections.abc import Sequence

from ulmfit.experiments.ablations import FORGETTING, WHOLE
from ulmfit.experiments.answer import METRIC, UNSURE, accuracy, in_points, in_words
from ulmfit.experiments.means import Mean, difference, means
from ulmfit.experiments.paper_tables import error
from ulmfit.experiments.trial import TrialResult


def variant_answers(results: Sequence[TrialResult]) -> list[str]:
    """Sentences about the variants of one corpus, of which there is one or more."""
    points = sorted((point for point in means(results) if point.point.variant != FORGETTING), key=accuracy, reverse=True)
    whole = next((point for point in points if point.point.variant == WHOLE), None)
    if whole:
        return _beside(whole, [point for point in points if point is not whole], results)
    best, last = points[0], points[-1]
    said = f"The best of {len(points)} settings is {best.point.title} with {best.labels:,} labels: {in_words(best.scores[METRIC])} right"
    if best is last:
        return [f"{said}."]
    return [f"{said}; over the last, {last.point.title}: {in_points(difference(results, best.point, last.point, METRIC), UNSURE)}."]


def _beside(whole: Mean, others: Sequence[Mean], results: Sequence[TrialResult]) -> list[str]:
    """Of an ablation; ``others``: its variants, the best first."""
    said = [f"With {whole.labels:,} labels the whole method is wrong on {in_words(error(whole.scores[METRIC]))} of the documents."]
    if len(others) < 2:
        return [*said, *(f"The variant tried is {_errors(other, whole, results)}." for other in others)]
    better = sum(accuracy(point) > accuracy(whole) for point in others)
    said.append(f"The variant with the most errors is {_errors(others[-1], whole, results)}.")
    if not better:
        return [*said, f"None of the {len(others)} variants makes fewer errors than the whole method."]
    return [
        *said,
        f"The one with the fewest is {_errors(others[0], whole, results)}. {better} of {len(others)} variants make fewer than the whole method.",
    ]


def _errors(variant: Mean, whole: Mean, results: Sequence[TrialResult]) -> str:
    more = in_points(difference(results, whole.point, variant.point, METRIC), UNSURE)
    return f"{variant.point.title}: {in_words(error(variant.scores[METRIC]))}, {more}"
