"""A trial of a study: what is tried, and what came of it."""

from typing import Literal, get_args

from ulmfit.directions import Direction, answer_among
from ulmfit.experiments.methods.named import WordMethod
from ulmfit.store.json import Facts

Network = Literal["ulmfit", "scratch"]
MethodName = Network | WordMethod
Regime = Literal["general", "domain", "general+domain"]
REGIMES: tuple[Regime, ...] = get_args(Regime)

TITLES: dict[MethodName, str] = {
    "ulmfit": "ULMFiT",
    "scratch": "the same network from scratch",
    "tfidf": "TF-IDF + logistic regression",
    "nbsvm": "NB-SVM",
    "glove": "mean GloVe vectors + logistic regression",
    "decoder": "fine-tuned transformer decoder",
}
REGIME_TITLES: dict[Regime, str] = {
    "general": "general language model alone",
    "domain": "language model of the domain alone",
    "general+domain": "general language model tuned on the domain",
}


class Point(Facts):
    """What the trials of one point of a study have in common.

    ``labels``: labelled documents to learn from; ``unlabelled``: further documents that the language model reads; None: all there are.
    ``regime``: of a language model, None for methods without one. ``variant``: a row of an ablation. ``options``: the settings that
    differ from the study's. ``decoder``: the folder of that method's model. ``chosen_after``: the numbers of labels, each by a step, after
    which a model that had learnt from so many chose the next; the first of them are drawn at random. Empty: all are.
    """

    corpus: str
    method: MethodName
    regime: Regime | None = None
    labels: int | None = None
    unlabelled: int | None = None
    variant: str | None = None
    directions: tuple[Direction, ...] = ("forward", "backward")
    options: tuple[str, ...] = ()
    decoder: str | None = None
    chosen_after: tuple[int, ...] = ()

    @property
    def title(self) -> str:
        """The method, the regime where it has one, and whether the labels were chosen."""
        regime = f", {REGIME_TITLES[self.regime]}" if self.regime else ""
        return self.variant or f"{TITLES[self.method]}{regime}{', chosen labels' if self.chosen_after else ''}"


class Trial(Facts):
    """One of a point's trials; ``number`` from 0."""

    point: Point
    number: int

    @property
    def title(self) -> str:
        """For logs and names of runs."""
        labels = "all labels" if self.point.labels is None else f"{self.point.labels} labels"
        text = "" if self.point.regime in (None, "general") or self.point.unlabelled is None else f", {self.point.unlabelled} unlabelled"
        return f"{self.point.corpus}, {self.point.title}, {labels}{text}, trial {self.number + 1}"


class TrialResult(Facts):
    """What came of a trial.

    ``scores``: by system (a direction, their average, a method) and metric. ``errors``: validation error after each epoch of the first
    direction's classifier. ``seconds``: of its own training; ``shared_seconds``: of what it shares with others, such as language models.
    ``labels`` and ``unlabelled``: how many there were. ``key``: of the evaluation. ``built``: what this run made of the trial's stages.
    """

    trial: Trial
    documents: int
    labels: int
    unlabelled: int
    scores: dict[str, dict[str, float | None]]
    errors: tuple[float, ...] = ()
    seconds: float
    shared_seconds: float = 0.0
    documents_per_second: float | None = None
    key: str
    run_id: str
    built: int

    def score(self, metric: str, system: str | None = None) -> float | None:
        """Of the system, or of the answer: the ensemble of the most members, or the only one there is."""
        found = self.scores.get(system or answer_among(self.scores), {})
        return found.get(metric)
