"""Requests of studies: what is tried, as a list of requests of the main job. Like every request they read nothing."""

import json
from abc import abstractmethod
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any, ClassVar, Literal, TypeVar

from pydantic import Field, JsonValue

from flows.request import TrainRequest
from ulmfit.directions import DIRECTIONS, Direction
from ulmfit.errors import UserError
from ulmfit.experiments.ablations import VARIANTS, variants
from ulmfit.experiments.forecast import Purchase
from ulmfit.experiments.methods.named import WORD_METHODS
from ulmfit.experiments.published import TABLES, TableNumber
from ulmfit.experiments.trial import REGIMES, MethodName, Network, Point, Regime, Trial

Choice = TypeVar("Choice", bound=str)

CHOOSING: tuple[MethodName, ...] = ("ulmfit", "tfidf")  # methods whose model may choose the next labels
METHODS: tuple[MethodName, ...] = ("ulmfit", "scratch", *WORD_METHODS)
FEWEST_TO_VALIDATE = 20  # documents


@dataclass(frozen=True)
class Asked:
    """A trial, and the request of the main job that it is."""

    trial: Trial
    request: TrainRequest


class StudyRequest(TrainRequest):
    """What all studies have in common. A trial is a request of the main job, which differs in the draw of its data and in its seeds."""

    # Settings: intervals are those of the trials; folds would make a classifier five times as dear, and change its confidence alone.
    EVERY_TRIAL: ClassVar[tuple[str, ...]] = ("evaluate.bootstrap=100", "classifier.folds=null")

    stages: Literal["embedded"] = Field("embedded", description="a study makes its many short stages itself")
    trials: int = Field(5, ge=1, description="trials per point; each draws its own documents")
    reading: Literal["forward", "backward", "both"] = Field("both", description="directions of the networks: forward, backward or both")
    decoder: str | None = Field(None, description="folder of a transformer (config.json, safetensors, tokenizer) for the method decoder")

    def asked(self) -> list[Asked]:
        """The trials, in the order in which they are made."""
        return [
            Asked(Trial(point=point, number=number), self.request_of(point, number))
            for point in self.points()
            for number in range(self.trials)
        ]

    @abstractmethod
    def points(self) -> list[Point]:
        """The points of the study. UserError where there is none, or they are not well asked for."""

    def purchase(self) -> Purchase:
        """What the forecasts are about."""
        return Purchase()

    def request_of(self, point: Point, number: int) -> TrainRequest:
        """A point's trial as a request of the main job."""
        fields = self.model_dump(include=set(TrainRequest.model_fields))
        options = [*self.EVERY_TRIAL, *_validating(point), *self.options, *point.options, *self._draw(point, number)]
        return TrainRequest.model_validate({**fields, "corpus": point.corpus, "options": options})

    def _draw(self, point: Point, number: int) -> Iterator[str]:
        """The settings by which a trial draws its labels, its further text, and its random numbers.

        Where a language model reads all the text, all trials share it: only the labels are drawn. Else the corpus itself is cut to the
        labelled documents and so many others, so that nothing, not even the vocabulary, knows of more.
        """
        seed = (self.seed or 0) + number
        yield from (f"classifier.seed={seed}", f"labels.seed={seed}")
        labels = str(point.labels or "null")
        if point.regime in (None, "general") or point.unlabelled is None:
            yield f"labels.number={labels}"
        else:
            yield from (f"corpus.max_train={labels}", f"corpus.max_unlabelled={point.unlabelled}")
            yield from (f"corpus.draw={seed}", f"finetune.seed={seed}")

    def folder_for(self, method: MethodName) -> str | None:
        """The decoder's folder, for that method. UserError where none is named."""
        if method != "decoder":
            return None
        if not self.decoder:
            raise UserError("--methods decoder: name the folder of a transformer with --decoder")
        return self.decoder

    def read(self) -> tuple[Direction, ...]:
        """The directions of the networks."""
        return DIRECTIONS if self.reading == "both" else (self.reading,)


class DataQuantityRequest(StudyRequest):
    """How many labels, and how much text of the domain?"""

    labels: str = Field("50,100,200,500,1000,2000", description="labelled documents to learn from, as 50,100,all")
    documents: str = Field("all", description="further documents that the language model reads, as 0,500,all")
    regimes: str = Field("general+domain", description="language models of ULMFiT: general, domain, general+domain")
    methods: str = Field("ulmfit,tfidf", description="methods: ulmfit, scratch, tfidf, nbsvm, glove, decoder")
    active: bool = Field(
        False,
        description="add to each curve of ulmfit and tfidf one whose labels are chosen, for each number by the model of the number before",
    )
    oversample: bool = Field(False, description="repeat documents of rarer labels until all are as frequent as the commonest")
    more_labels: int | None = Field(None, ge=1, description="how many more labels to forecast [as many as the largest number]")
    more_documents: int | None = Field(
        None, ge=1, description="how many more unlabelled documents to forecast [as many as the largest number]"
    )
    label_cost: float | None = Field(None, gt=0, description="price of a label; with --document-cost the report names the better buy")
    document_cost: float | None = Field(None, gt=0, description="price of an unlabelled document")

    def purchase(self) -> Purchase:
        return Purchase(
            labels=self.more_labels, documents=self.more_documents, label_cost=self.label_cost, document_cost=self.document_cost
        )

    def points(self) -> list[Point]:
        labels, methods = numbers(self.labels, "--labels", 1), chosen(self.methods, METHODS, "--methods")
        documents, regimes = numbers(self.documents, "--unlabelled", 0), chosen(self.regimes, REGIMES, "--regimes")
        options = ("labels.oversample=true",) if self.oversample else ()
        points = []
        for method, number in product(methods, labels):
            base = Point(
                corpus=self.corpus, method=method, labels=number, options=options, directions=self.read(), decoder=self.folder_for(method)
            )
            points += [base] if method != "ulmfit" else [found for regime in regimes for found in self._by_regime(base, regime, documents)]
        return [*points, *self._chosen(points)] if self.active else points

    def _chosen(self, points: list[Point]) -> list[Point]:
        """Beside points of which all labelled text is at hand the same with chosen labels. UserError where there are none."""
        sizes = [number for number in numbers(self.labels, "--labels", 1) if number is not None]
        if len(sizes) < 2:
            raise UserError(f"--active: labels are chosen step by step; give --labels two numbers or more in the place of {self.labels}")
        before = {number: tuple(sizes[:at]) for at, number in enumerate(sizes) if at}
        whole = [point for point in points if point.method in CHOOSING and (point.regime in (None, "general") or point.unlabelled is None)]
        if not whole:
            raise UserError(
                "--active: labels are chosen for ulmfit and tfidf, among all the text; give --methods one of them, and --unlabelled all"
            )
        return [point.model_copy(update={"chosen_after": before[point.labels]}) for point in whole if point.labels in before]

    def _by_regime(self, base: Point, regime: Regime, documents: list[int | None]) -> Iterator[Point]:
        """A language model that is not tuned reads none of the domain's text: one point, whatever there is."""
        if regime == "general":
            yield base.model_copy(update={"regime": regime, "unlabelled": 0, "options": (*base.options, "finetune.epochs=0")})
            return
        for number in documents:
            yield base.model_copy(update={"regime": regime, "unlabelled": number})


class AblationRequest(StudyRequest):
    """Which parts of the method matter: the paper's Tables 4 to 7 and Figure 4. As there, validation rows judge, and one direction reads."""

    EVERY_TRIAL: ClassVar[tuple[str, ...]] = (*StudyRequest.EVERY_TRIAL, "judge=valid")

    reading: Literal["forward", "backward", "both"] = Field("forward", description="directions of the networks: forward, backward or both")
    tables: str = Field(
        "4,5,6,7", description="tables of the paper: 4 (pretraining), 5 (dropouts), 6 (tuning of the LM), 7 (of the classifier)"
    )
    figure: str = Field("4", description="figure of the paper: 4 (validation error by epoch), or none")
    labels: str = Field("all", description="labelled documents to learn from: a number, or all")

    def points(self) -> list[Point]:
        if self.figure not in ("4", "none"):
            raise UserError(f"--figure {self.figure}: write 4 or none")
        labels = numbers(self.labels, "--labels", 1)
        if len(labels) > 1:
            raise UserError(f"--labels {self.labels}: the tables of an ablation are of one number of labels; write one, or all")
        found = []
        for name in variants(self.shown(), self.figure == "4"):
            variant = VARIANTS[name]
            point = Point(corpus=self.corpus, method="ulmfit", variant=name, labels=labels[0], directions=self.read())
            found.append(point.model_copy(update={"method": variant.method, "regime": variant.regime, "options": variant.options}))
        return found

    def shown(self) -> list[TableNumber]:
        """The tables asked for; UserError for one that is none."""
        known = {str(table): table for table in TABLES}
        return [known[name] for name in chosen(self.tables, list(known), "--tables")]


class BenchmarkRequest(StudyRequest):
    """Methods side by side on several corpora."""

    corpora: list[str] = Field(default_factory=list, description="corpora")
    labels: str = Field("100,500", description="labelled documents to learn from, as 100,500,all")
    methods: str = Field("ulmfit,tfidf,nbsvm", description="methods: ulmfit, scratch, tfidf, nbsvm, glove, decoder")

    def points(self) -> list[Point]:
        labels, methods = numbers(self.labels, "--labels", 1), chosen(self.methods, METHODS, "--methods")
        regime: dict[str, Regime | None] = {"ulmfit": "general+domain"}
        return [
            Point(
                corpus=corpus,
                method=method,
                regime=regime.get(method),
                labels=number,
                directions=self.read(),
                decoder=self.folder_for(method),
            )
            for corpus, method, number in product(self.corpora or [self.corpus], methods, labels)
        ]


class Study(StudyRequest):
    """Any settings of the main job varied: every combination of the values of ``vary`` (``{"classifier.lr": [0.005, 0.01]}``) is a point."""

    DRAWN: ClassVar[tuple[str, ...]] = ("labels.number", "labels.seed", "classifier.seed")  # by each trial

    vary: dict[str, list[JsonValue]] = Field(default_factory=dict, description="values of settings, by stage.option")
    labels: int | None = Field(None, ge=1, description="labelled documents to learn from [all]")
    method: Network = "ulmfit"

    def points(self) -> list[Point]:
        if drawn := [name for name in self.DRAWN if name in self.vary]:
            raise UserError(f"vary: each trial draws {drawn[0]} itself; the fields of a study are labels, trials and seed")
        rows = [
            tuple(f"{name}={_as_option(value)}" for name, value in zip(self.vary, values, strict=True))
            for values in product(*self.vary.values())
        ]
        regime: Regime | None = "general+domain" if self.method == "ulmfit" else None
        base = Point(corpus=self.corpus, method=self.method, regime=regime, labels=self.labels, directions=self.read())
        return [base.model_copy(update={"variant": ", ".join(row) or None, "options": row}) for row in rows]


def _as_option(value: JsonValue) -> str:
    """As ``--set`` reads it."""
    return value if isinstance(value, str) else json.dumps(value)


def numbers(given: str, flag: str, least: int) -> list[int | None]:
    """``50,100,all`` as numbers, ``all`` as None, each once and in order; UserError for what is neither."""
    found = set[int | None]()
    for word in _words(given):
        if word != "all" and not (word.isascii() and word.isdecimal() and len(word) < 10 and int(word) >= least):
            raise UserError(
                f"{flag} {given}: {word!r} is no number of documents; write numbers from {least} on, and all, with commas between them"
            )
        found.add(None if word == "all" else int(word))
    if not found:
        raise UserError(f"{flag} is empty; write numbers of documents with commas between them, as 50,100,all")
    return sorted(found, key=lambda number: (number is None, number or 0))


def chosen(given: str, known: Iterable[Choice], flag: str) -> list[Choice]:
    """The names among ``known`` that are given, each once, in the order given; UserError for another."""
    found: dict[Choice, None] = {}
    for word in _words(given):
        name = next((name for name in known if name == word), None)
        if name is None:
            raise UserError(f"{flag} {given}: there is no {word!r}; choose among {', '.join(known)}")
        found[name] = None
    if not found:
        raise UserError(f"{flag} is empty; choose among {', '.join(known)}")
    return list(found)


def _words(given: str) -> list[str]:
    return [word.strip() for word in given.split(",") if word.strip()]


def _validating(point: Point) -> Iterator[str]:
    """So many validation documents as a team with so few labels would hold out, a tenth of all; an ablation shows their error, so takes all."""
    if point.labels and not point.variant:
        yield f"classifier.max_valid={max(FEWEST_TO_VALIDATE, point.labels // 9)}"


def fields_of(request: StudyRequest) -> dict[str, Any]:
    """What was asked for, beside the main job's own fields: for the report."""
    return request.model_dump(mode="json", exclude=set(TrainRequest.model_fields))
