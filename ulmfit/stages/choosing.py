"""The stages of a study that choose the next labels: those of the documents that the model of the step before is least sure of."""

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ulmfit.config import Settings
from ulmfit.directions import Direction
from ulmfit.experiments.label_next import margins
from ulmfit.experiments.methods.named import WordMethod, method_named
from ulmfit.labels.drawing import draw, rows_to_learn, write_chosen
from ulmfit.shards.documents import Documents
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.models import drawn_labels
from ulmfit.stages.outputs import ChosenRows, Classifier, Corpus, IdShards, Output
from ulmfit.stages.stage import Context, Stage, keys_of
from ulmfit.stages.trials import predicted
from ulmfit.store.artifacts import Built
from ulmfit.store.recipe import Recipe

CHOICE_VERSION = 1


def choose(
    corpus: Corpus,
    ids: IdShards,
    forward: Classifier | None,
    backward: Classifier | None,
    settings: Settings,
    number: int,
    before: ChosenRows | None = None,
) -> Stage[ChosenRows]:
    """The rows that the classifiers learnt from, and further ones until there are ``number``: where their mean is least sure.

    ``before``: the rows they learnt from; None: those that ``settings.labels`` draws.
    """
    both: dict[Direction, Classifier | None] = {"forward": forward, "backward": backward}
    given: dict[Direction, Classifier] = {direction: classifier for direction, classifier in both.items() if classifier}
    inputs: dict[str, Output[Any]] = {"corpus": corpus, "ids": ids} | {str(name): made for name, made in given.items()}
    recipe, inputs = _recipe({}, inputs, settings, number, before)

    def build(work: Path, context: Context) -> Built:
        pool, device = Documents.open(ids.path, ["train"]), context.placement.device
        known = before.rows if before else draw(pool.labels, settings.labels)
        free = np.setdiff1d(np.arange(len(pool)), known)
        rest = pool.take(free)
        found = [predicted(classifier, rest, direction, device).probabilities for direction, classifier in given.items()]
        return _written(work, known, free[least_sure(np.mean(found, axis=0), number - len(known))])

    return Stage(ChosenRows, recipe, inputs, build, trains=True)


def choose_by_words(
    corpus: Corpus, method: WordMethod, settings: Settings, number: int, before: ChosenRows | None = None
) -> Stage[ChosenRows]:
    """The same by a method of words, which learns here from the rows so far."""
    inputs: dict[str, Output[Any]] = {"corpus": corpus}
    recipe, inputs = _recipe({"method": method, "seed": settings.labels.seed}, inputs, settings, number, before)

    def build(work: Path, context: Context) -> Built:
        pool, strings = read_split(corpus, "train"), corpus.record.labels
        codes = pool.codes(strings)
        known = before.rows if before else draw(codes, settings.labels)
        learnt = pool.take(rows_to_learn(codes, settings.labels, known).tolist())
        fitted = method_named(method, settings.labels.seed, context.downloads, pool.texts).fit(
            learnt.texts, learnt.codes(strings), len(strings)
        )
        free = np.setdiff1d(np.arange(len(codes)), known)
        found = fitted.probabilities(pool.take(free.tolist()).texts)
        return _written(work, known, free[least_sure(found, number - len(known))])

    return Stage(ChosenRows, recipe, inputs, build, trains=True)


def least_sure(probabilities: NDArray[np.floating], number: int) -> NDArray[np.int64]:
    """Places of the ``number`` rows of [N, L] whose two likeliest classes are closest (breaking ties); of equal ones, the first."""
    return margins(probabilities).argsort(kind="stable")[:number]


def _recipe(
    facts: dict[str, Any], inputs: dict[str, Output[Any]], settings: Settings, number: int, before: ChosenRows | None
) -> tuple[Recipe, dict[str, Output[Any]]]:
    whole = inputs | ({"before": before} if before else {})
    drawn = {"strategy": "breaking-ties", "number": number, "labels": drawn_labels(settings, before).keyed()}
    return Recipe("choice", CHOICE_VERSION, facts | drawn, keys_of(whole)), whole


def _written(work: Path, known: NDArray[np.int64], further: NDArray[np.int64]) -> Built:
    rows = np.sort(np.concatenate([known, further]))
    write_chosen(work / "rows.json", rows)
    return Built({"rows": len(rows)})
