"""What classifiers say of documents that they have not learnt from: it tells how sure to be.

Those are the validation documents. Where they are few, they tell little: then folds of the training documents join them, each predicted by
a classifier that learns from the other folds.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Self

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ulmfit.directions import DIRECTIONS, Direction, Member
from ulmfit.evaluation.mixture import Shares
from ulmfit.evaluation.predictions import FILE, HeldOut, Predictions, WrittenPredictions, read_predictions, write_predictions
from ulmfit.evaluation.weighing import Witnesses
from ulmfit.labels.label_set import LabelSet, probabilities
from ulmfit.models.words import WordModel
from ulmfit.prediction.logits import predict_logits
from ulmfit.shards.documents import Documents
from ulmfit.training.classifying import Classifying
from ulmfit.training.curves import Curves
from ulmfit.training.loop import fit
from ulmfit.training.placement import Placement
from ulmfit.training.regression import folds
from ulmfit.training.specs import TrainingText
from ulmfit.training.words import out_of_fold

ENOUGH = 100  # validation documents that tell a temperature well enough (docs/results/few_labels.md)
MOST = 250  # training documents: folds of more may take longer than the language model (docs/decisions/2026-11-27-folds.md)
SYSTEM = "out-of-fold"

Prepare = Callable[[TrainingText, Placement, str], Classifying]


@dataclass(frozen=True, eq=False)
class Unseen:
    """Logits [N, L] of documents by a classifier that has not learnt from them; the codes of their label strings int [N], and their ids [N]."""

    logits: Tensor
    codes: NDArray[np.integer]
    ids: list[str]

    @classmethod
    def of(cls, task: Classifying, documents: Documents) -> Self:
        """By the trained model of ``task``."""
        logits = predict_logits(task.model, documents, task.text.direction, task.config.max_tokens)
        return cls(logits, documents.labels, documents.ids)

    @classmethod
    def joined(cls, several: list[Self]) -> Self:
        """All documents of one or more."""
        logits, codes = torch.cat([one.logits for one in several]), np.concatenate([one.codes for one in several])
        return cls(logits, codes, [name for one in several for name in one.ids])


def left_out(task: Classifying, prepare: Prepare) -> Unseen | None:
    """The training documents, by classifiers of the other folds, each a task that ``prepare`` makes of its text, its placement and its name.

    None where validation documents are enough, or no folds are asked for.
    """
    found = []
    for number, (learnt, documents) in enumerate(parts(task), 1):
        place = task.place
        if place.checkpoints:
            place = replace(place, checkpoints=place.checkpoints / f"fold-{number}")
        its = prepare(replace(task.text, train=learnt), place, fold_name(task.name, number))
        fit(its, Curves())
        found.append(Unseen.of(its, documents))
    return Unseen.joined(found) if found else None


def number_of_folds(task: Classifying) -> int:
    """How many folds join the validation documents: 0 where these are enough, or the training documents too few or too many."""
    config = task.config
    if not (config.folds and config.calibrate and len(task.valid) < ENOUGH):
        return 0
    return config.folds if 2 * config.folds <= len(set(task.text.train.ids)) <= MOST else 0


def fold_name(name: str, number: int) -> str:
    """What the training that leaves out fold ``number``, from 1, of the training ``name`` is called."""
    return f"{name}, without fold {number}"


def parts(task: Classifying) -> Iterator[tuple[Documents, Documents]]:
    """The documents of all other folds, and those of the fold, each once; a document that is repeated stands in one fold alone."""
    train, number = task.text.train, number_of_folds(task)
    if not number:
        return
    _, first, which = np.unique(train.ids, return_index=True, return_inverse=True)
    strata = task.objective.labels.strata_of(train.labels[first])
    for learnt, documents in folds(strata, number, task.config.seed):
        yield train.take(np.flatnonzero(np.isin(which, learnt))), train.take(first[documents])


def write_left_out(folder: Path, found: Unseen, labels: LabelSet, temperature: float) -> None:
    """Keep what was said of the folds beside the classifier in ``folder``, through its ``temperature``: members are weighed by it."""
    shares = probabilities(found.logits, labels.task, temperature).cpu().numpy()
    write_predictions(folder, {SYSTEM: Predictions(shares)}, HeldOut(found.ids, [], labels.truth_of(found.codes), labels.names))


def read_left_out(classifiers: Mapping[Direction, Path]) -> dict[Direction, WrittenPredictions]:
    """What :func:`write_left_out` kept beside each of both classifiers; nothing where they left out no folds."""
    if not all((folder / FILE).exists() for folder in classifiers.values()):
        return {}
    return {direction: read_predictions(folder, SYSTEM) for direction, folder in classifiers.items()}


def witnesses(both: Mapping[Direction, WrittenPredictions], words: WordModel, texts: Mapping[str, str], seed: int) -> Witnesses:
    """What all members say of documents of folds, none having learnt from those it speaks of. ``texts``: of the documents, by id."""
    first = both[DIRECTIONS[0]]
    assert all(found.ids == first.ids for found in both.values()), "both directions learn from the same documents, by the same seed"
    members: dict[Member, Shares] = {direction: found.probabilities for direction, found in both.items()}
    members["words"] = out_of_fold(words, [texts[name] for name in first.ids], first.labels, seed)
    return Witnesses(members, first.labels)
