"""What more labels or more documents are likely to bring, from the trials of a study."""

from collections.abc import Iterable, Sequence

from ulmfit.experiments.learning_curves.curve import Curve, falls
from ulmfit.experiments.learning_curves.gains import catch_up, cheaper, gain
from ulmfit.experiments.learning_curves.power_law import FARTHEST, LEAST, PowerLaw, fit, fitted_sizes
from ulmfit.experiments.trial import TITLES, MethodName, Point, TrialResult
from ulmfit.store.json import Facts

METRIC = "accuracy"
BESIDE: MethodName = "tfidf"  # the method whose catching up is forecast


class Purchase(Facts):
    """What one thinks of buying: labels and unlabelled documents (None: as many again as there are), and their prices, where both are known."""

    labels: int | None = None
    documents: int | None = None
    label_cost: float | None = None
    document_cost: float | None = None


def curves(results: Iterable[TrialResult]) -> list[Curve]:
    """Every learning curve by labels among the trials, of any corpus and method; not those whose labels were chosen."""
    groups: dict[Point, list[TrialResult]] = {}
    for result in results:
        if result.trial.point.chosen_after:
            continue
        groups.setdefault(result.trial.point.model_copy(update={"labels": None}), []).append(result)
    return [curve for found in groups.values() if (curve := by_labels(found))]


def by_labels(results: Iterable[TrialResult]) -> Curve | None:
    """Accuracy by labels; None where there are too few numbers of them for a forecast."""
    return _curve((result.labels, result) for result in results)


def by_documents(results: Sequence[TrialResult]) -> Curve | None:
    """Accuracy by unlabelled documents, at the most labels at which enough numbers of them were tried; None where there are none."""
    found = [_curve((result.unlabelled, result) for result in results if result.labels == labels) for labels in _labels(results)]
    return next(filter(None, reversed(found)), None)


def _labels(results: Iterable[TrialResult]) -> list[int]:
    return sorted({result.labels for result in results})


def _curve(points: Iterable[tuple[int, TrialResult]]) -> Curve | None:
    scores: dict[int, list[float]] = {}
    for size, result in points:
        if (score := result.score(METRIC)) is not None:
            scores.setdefault(size, []).append(score)
    curve = Curve.of(scores)
    return curve if len(fitted_sizes(curve)) >= LEAST else None


def forecasts(results: Sequence[TrialResult], purchase: Purchase, misfit: float) -> list[str]:
    """Sentences about one corpus: what more labels and documents bring, which is the better buy, where TF-IDF catches up, what falls."""
    tuned = [result for result in results if result.trial.point.regime == "general+domain" and result.trial.point.variant is None]
    whole = [result for result in tuned if result.trial.point.unlabelled is None] or tuned
    labels, documents = by_labels(whole), by_documents(tuned)
    other = by_labels(result for result in results if result.trial.point.method == BESIDE)
    laws = {name: fit(curve, misfit) for name, curve in (("labels", labels), ("documents", documents), ("other", other)) if curve}
    said = []
    if law := laws.get("labels"):
        said.append(f"ULMFiT, {gain(law, _reach(law, purchase.labels)).sentence('labels')}.")
    if law := laws.get("documents"):
        said.append(f"ULMFiT, {gain(law, _reach(law, purchase.documents)).sentence('unlabelled documents')}.")
    said += _better_buy(laws, purchase)
    if labels and other:
        said.append(f"{catch_up(laws['labels'], laws['other'], max(labels.sizes[0], other.sizes[0])).sentence(TITLES[BESIDE])}.")
    if labels:
        said += [f"ULMFiT by labels: {fall.sentence}." for fall in falls(labels)]
    return said


def _reach(law: PowerLaw, asked: int | None) -> int:
    """How many more are forecast: those asked for, as far as a forecast goes."""
    return min(asked or law.largest, (FARTHEST - 1) * law.largest)


def _better_buy(laws: dict[str, PowerLaw], purchase: Purchase) -> list[str]:
    if not (purchase.label_cost and purchase.document_cost and "labels" in laws and "documents" in laws):
        return []
    more = _reach(laws["labels"], purchase.labels)
    bought = cheaper(laws["labels"], laws["documents"], purchase.label_cost, purchase.document_cost, more)
    return [f"{bought.sentence[0].upper()}{bought.sentence[1:]}."]
