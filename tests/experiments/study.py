"""Trials as a study has them, made up: accuracies that grow with the labels, a little apart from trial to trial."""

from typing import Any

from ulmfit.experiments.trial import Point, Trial, TrialResult

LABELS = (50, 100, 200, 400)
BASES = {"ulmfit": 0.60, "scratch": 0.40, "tfidf": 0.50, "nbsvm": 0.48}


def trial(accuracy: float, number: int = 0, labels: int = 50, unlabelled: int = 0, asked: int | None = None, **point: Any) -> TrialResult:
    tried = Point(**{"corpus": "trec-6", "method": "tfidf", "labels": labels, "unlabelled": asked, **point})
    systems = ("forward", "backward", "forward+backward") if tried.method in ("ulmfit", "scratch") else (tried.method,)
    scores = {
        system: {"accuracy": accuracy - 0.01 * (len(systems) - 1 - at), "macro_f1": accuracy - 0.1, "roc_auc": None}
        for at, system in enumerate(systems)
    }
    return TrialResult(
        trial=Trial(point=tried, number=number), documents=500, labels=labels, unlabelled=unlabelled, scores=scores,
        errors=(0.5, 0.4, 0.45), seconds=2.0, documents_per_second=1000.0, key=f"{abs(hash(tried)):064x}", run_id="r" * 32, built=1,
    )  # fmt: skip


def grid(corpus: str = "trec-6", trials: int = 3) -> list[TrialResult]:
    """Four methods at four numbers of labels: what ours reaches with 50, TF-IDF reaches with 200."""
    found = []
    for method, base in BASES.items():
        regime = {"regime": "general+domain"} if method == "ulmfit" else {}
        for at, labels in enumerate(LABELS):
            found += [
                trial(base + 0.05 * at + 0.01 * number, number, labels, corpus=corpus, method=method, **regime) for number in range(trials)
            ]
    return found


def texts(labels: int = 50) -> list[TrialResult]:
    """The three regimes, with more and more of the domain's text."""
    found = [trial(0.55, number, labels, asked=0, method="ulmfit", regime="general") for number in range(2)]
    for regime, base in (("domain", 0.4), ("general+domain", 0.58)):
        for at, amount in enumerate((0, 500, 2000, 8000)):
            asked = None if amount == 8000 else amount
            for number in range(2):
                accuracy = base + 0.04 * at + 0.002 * number
                found.append(trial(accuracy, number, labels, amount, asked=asked, method="ulmfit", regime=regime))
    return found


def by_choice(labels: tuple[int, ...] = LABELS, gain: float = 0.04, trials: int = 3, method: str = "tfidf") -> list[TrialResult]:
    """Beside the grid's curve of a method the one by choice, better by ``gain``."""
    regime = {"regime": "general+domain"} if method == "ulmfit" else {}
    return [
        trial(BASES[method] + 0.05 * at + gain + 0.01 * number, number, size, method=method, chosen_after=labels[:at], **regime)
        for at, size in enumerate(labels)
        if at
        for number in range(trials)
    ]
