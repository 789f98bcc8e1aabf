"""The texts given to ``TextClassifier.fit`` with their labels, and which of them validate."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from ulmfit.config import Settings
from ulmfit.errors import UserError
from ulmfit.labels.estimator_labels import GivenLabels, listed_labels


@dataclass(frozen=True, eq=False)
class LabelledTexts:
    """N texts and their labels. ``valid`` int64: the rows to validate by; all others are there to learn from."""

    texts: list[str]
    labels: GivenLabels
    valid: NDArray[np.int64]

    @classmethod
    def read(cls, texts: list[str], labels: Any, eval_set: tuple[Iterable[str], Any] | None, settings: Settings) -> Self:
        """``texts`` with ``labels``. Those of ``eval_set`` come behind them and validate; without it a share of ``texts`` does.

        UserError for labels that do not fit the texts, and where there is nothing to learn from.
        """
        listed = labels if _is_table(labels) else listed_labels(labels)
        given = _read_labels(listed, len(texts), settings)
        valid = given.held_out(settings.corpus.valid_share, settings.corpus.seed)
        if eval_set is not None:
            further, given = _with_eval_set(listed, given, eval_set, settings)
            valid = np.arange(len(texts), len(texts) + len(further))
            texts = [*texts, *further]
        if not any(text.strip() for text in texts):
            raise UserError(f"all {len(texts)} texts are empty: there is nothing to learn from")
        return cls(texts, given, valid)


def _is_table(labels: Any) -> bool:
    return len(getattr(labels, "shape", ())) == 2


def _read_labels(labels: Any, number: int, settings: Settings) -> GivenLabels:
    config = settings.classifier
    return GivenLabels.of(labels, number, config.label_separator, config.task == "multi-label")


def _with_eval_set(
    labels: Any, given: GivenLabels, eval_set: tuple[Iterable[str], Any], settings: Settings
) -> tuple[list[str], GivenLabels]:
    """The texts of ``eval_set``, and its labels behind the ``given`` ones. UserError where they are of another kind, or new."""
    if not isinstance(eval_set, tuple | list) or len(eval_set) != 2:
        raise UserError("eval_set is no pair: give (texts, labels)")
    texts = listed_texts(eval_set[0], "eval_set's texts")
    if given.kind == "matrix":
        raise UserError("eval_set: it takes no tables of labels; give lists of labels for each text, here and in fit")
    own = listed_labels(eval_set[1])
    if len(own) != len(texts) or not own:
        raise UserError(f"eval_set has {len(texts)} texts and {len(own)} labels: give one label for each text, and one text or more")
    both = _read_labels([*labels, *own], len(given.codes) + len(own), settings)
    new = sorted(set(both.classes.tolist()) - set(given.classes.tolist()))
    if new:
        raise UserError(f"eval_set has the label {new[0]!r}, which no text to learn from has; drop such texts")
    return texts, both


def listed_texts(given: Iterable[str], name: str) -> list[str]:
    """The texts as a list. UserError for what is none: one string, a table, elements that are no strings. ``name``: what they are, for the error."""
    if isinstance(given, str):
        raise UserError(f"{name} is one string; give a list of strings")
    if hasattr(given, "columns") or isinstance(given, dict) or len(getattr(given, "shape", ())) > 1:
        raise UserError(f"{name} is a table; give the column that holds the text")
    if not isinstance(given, Iterable) or isinstance(given, bytes | set | frozenset) or getattr(given, "shape", None) == ():
        raise UserError(f"{name} is of type {type(given).__name__}; give a list of strings")
    texts = given.to_pylist() if hasattr(given, "to_pylist") else list(given)  # Arrow's elements are no strings
    for index, text in enumerate(texts):
        if not isinstance(text, str):
            raise UserError(f"{name}[{index}] is {type(text).__name__}, not a string; convert or drop it")
    return texts
