"""Out-of-sample predictions of all labelled documents: in turn each fold of them is left out, and predicted by classifiers of the others."""

from pathlib import Path
from typing import Any

import numpy as np

from ulmfit.directions import Direction
from ulmfit.evaluation.predictions import HeldOut, Predictions, write_predictions
from ulmfit.labels.drawing import write_chosen
from ulmfit.shards.documents import Documents
from ulmfit.stages.outputs import ChosenRows, Classifier, Corpus, FoldPredictions, IdShards, Output
from ulmfit.stages.stage import Context, Stage, keys_of
from ulmfit.stages.trials import predicted
from ulmfit.store.artifacts import Built
from ulmfit.store.recipe import Recipe
from ulmfit.training.regression import folds

FOLD_VERSION = 1
LABELLED = ("train", "valid", "test")
SYSTEM = "ulmfit"


def leave_out(ids: IdShards, number: int, of: int, seed: int) -> Stage[ChosenRows]:
    """The labelled documents of all splits but for those of the fold ``number``, from 0, of ``of`` stratified ones."""
    inputs = {"ids": ids}
    recipe = Recipe("fold", FOLD_VERSION, {"number": number, "of": of, "seed": seed}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        documents = Documents.open(ids.path, LABELLED)
        learnt = [rows for rows, _ in folds(documents.labels, of, seed)][number]
        write_chosen(work / "rows.json", learnt)
        return Built({"rows": len(learnt), "splits": LABELLED, "rest_validates": True})

    return Stage(ChosenRows, recipe, inputs, build)


def predict_left_out(
    corpus: Corpus, ids: IdShards, learnt: ChosenRows, forward: Classifier | None, backward: Classifier | None
) -> Stage[FoldPredictions]:
    """What the classifiers, which learnt from the rows ``learnt``, say of the labelled documents that were left out."""
    both: dict[Direction, Classifier | None] = {"forward": forward, "backward": backward}
    given: dict[Direction, Classifier] = {direction: classifier for direction, classifier in both.items() if classifier}
    inputs: dict[str, Output[Any]] = {"ids": ids, "learnt": learnt} | {str(name): made for name, made in given.items()}
    recipe = Recipe("fold-predictions", FOLD_VERSION, {"labels": corpus.record.labels}, keys_of(inputs))

    def build(work: Path, context: Context) -> Built:
        documents = Documents.open(ids.path, LABELLED)
        left_out = documents.take(np.setdiff1d(np.arange(len(documents)), learnt.rows))
        found = [
            predicted(classifier, left_out, direction, context.placement.device).probabilities for direction, classifier in given.items()
        ]
        rows = HeldOut(left_out.ids, [], left_out.labels, corpus.record.labels)
        write_predictions(work, {SYSTEM: Predictions(np.mean(found, axis=0))}, rows)
        return Built({"documents": len(left_out)})

    return Stage(FoldPredictions, recipe, inputs, build, trains=True)
