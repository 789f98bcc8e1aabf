"""Checks that the labels of a corpus make a classification."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from ulmfit.corpora.ingest.facts import Facts
from ulmfit.corpora.ingest.splitting import LEAST
from ulmfit.corpora.splits import TEST, TRAIN, VALID
from ulmfit.errors import UserError
from ulmfit.labels.label_strings import LabelStrings


@dataclass(frozen=True)
class Subject:
    """What an error names: the source, the column of its labels if they come from one, and a document by its number."""

    source: str
    column: str | None
    name_of: Callable[[int], str]

    @property
    def labels(self) -> str:
        """Where the labels come from."""
        return self.source if self.column is None else f"{self.source}: column {self.column!r}"


def check_labels(facts: Facts, split: np.ndarray, subject: Subject, strings: LabelStrings | None) -> None:
    """UserError unless there are two classes or more with ``LEAST`` training rows each, and none in valid or test alone.

    ``strings``: what the label strings hold, where a document may have several labels; a combination of them may be rare.
    """
    train = facts.label[split == TRAIN]
    counts = np.bincount(train, minlength=len(facts.labels))
    known = np.flatnonzero(counts)
    if not len(known):
        raise UserError(f"{subject.labels}: there is no labelled training row")
    if len(known) == 1:
        raise UserError(
            f"{subject.labels} holds one class only ({facts.labels[known[0]]!r}); a classifier needs two: choose another with --label-column"
        )
    trained = strings.trained(counts) if strings else counts > 0
    for code in (TEST, VALID):
        strange = np.flatnonzero((split == code) & ~trained[facts.label])
        if len(strange):
            listed = ", ".join((strings.names(known.tolist()) if strings else [facts.labels[label] for label in known.tolist()])[:10])
            raise UserError(
                f"row {subject.name_of(int(strange[0]))} has the label {facts.labels[facts.label[strange[0]]]!r}, which no training row has "
                f"(they have: {listed}); correct or drop it"
            )
    if strings:
        return
    rare = [facts.labels[label] for label in np.flatnonzero((counts > 0) & (counts < LEAST)).tolist()]
    if rare:
        others = f" (so have {len(rare) - 1} other classes)" if len(rare) > 1 else ""
        raise UserError(f"class {rare[0]!r} has 1 training row{others}: merge it with another class or drop it; each needs {LEAST} or more")
