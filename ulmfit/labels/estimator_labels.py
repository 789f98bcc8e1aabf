"""The labels given to ``TextClassifier.fit`` in Python, turned into the label strings and codes that training uses."""

import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ulmfit.errors import UserError
from ulmfit.labels.label_strings import join_labels, split_labels, strata

# Labels given to ``fit``, and returned by ``predict``: one per text, lists of them, 0 and 1 [N, L].
Kind = Literal["class", "sets", "matrix"]
NUMBERS = (bool, int, float, np.bool_, np.integer, np.floating)
SCALARS = (str, *NUMBERS)
UNWRITABLE = re.compile("[\0\ud800-\udfff]")  # numpy drops a NUL at the end, and UTF-8 has no surrogates


@dataclass(frozen=True, eq=False)
class GivenLabels:
    """Labels of N texts. ``classes`` [L], in their own type, sorted (a matrix's: in the order of its columns).

    ``strings``: the distinct label strings; ``codes`` int64 [N]: each text's index in them; ``groups`` int64 [N]: its stratum for sampling.
    """

    kind: Kind
    classes: NDArray[Any]
    strings: list[str]
    codes: NDArray[np.int64]
    groups: NDArray[np.int64]

    @classmethod
    def of(cls, given: Any, texts: int, separator: str, multi_label: bool) -> "GivenLabels":
        """Read the labels ``given`` for ``texts`` texts. UserError for labels that do not fit the texts, or make no task.

        A table of two dimensions holds 0 and 1; lists, tuples or sets hold labels, as does each string where ``multi_label``, joined by
        ``separator``.
        """
        if not texts:
            raise UserError("there are no texts; give two or more, of at least two classes")
        table = len(getattr(given, "shape", ())) == 2
        labels: Any = given if table else listed_labels(given)
        number = labels.shape[0] if table else len(labels)
        if number != texts:
            raise UserError(f"{texts} texts and {number} labels: give one label for each text")
        if table:
            return _of_matrix(labels, separator)
        if any(_is_set(label) for label in labels):
            return _of_sets(labels, separator)
        if multi_label:
            return _of_sets([_taken_apart(label, row, separator) for row, label in enumerate(labels)], separator)
        return _of_classes(labels)

    def held_out(self, share: float, seed: int) -> NDArray[np.int64]:
        """Rows for validation, sorted: a seeded ``share`` of each group, never all of it."""
        rng = np.random.default_rng(seed)
        chosen = [np.empty(0, dtype=np.int64)]
        for group in np.unique(self.groups):
            rows = rng.permutation(np.flatnonzero(self.groups == group))
            chosen.append(rows[: min(round(len(rows) * share), len(rows) - 1)])
        return np.sort(np.concatenate(chosen))


def listed_labels(given: Any) -> list[Any]:
    """The labels as a list. UserError for what is none: letters, numbers or keys, labels in no order, a single one."""
    none = isinstance(given, str | bytes | dict | set | frozenset) or not isinstance(given, Iterable) or getattr(given, "shape", None) == ()
    if none:
        why = " (a classifier requires y to be passed, but the target y is None)" if given is None else ""
        raise UserError(f"labels is a {type(given).__name__}: give a list of labels, one for each text{why}")
    return given.to_pylist() if hasattr(given, "to_pylist") else list(given)  # Arrow's elements are no values


def check_classes(labels: Sequence[Any]) -> None:
    """UserError unless the ``labels`` are all strings or all numbers."""
    _check_types([(f"labels[{row}]", label) for row, label in enumerate(labels)])


def _of_classes(labels: list[Any]) -> GivenLabels:
    check_classes(labels)
    classes, codes = np.unique(np.asarray(labels), return_inverse=True)
    if len(classes) < 2:
        raise UserError(f"all {len(labels)} labels are {classes.tolist()[0]!r}: give texts of at least two classes")
    if len(classes) == len(labels) > 2:
        raise UserError(
            f"each of the {len(labels)} labels is there once ({classes.tolist()[codes[0]]!r}, ...): are texts and labels exchanged?"
        )
    return GivenLabels("class", classes, [str(name) for name in classes.tolist()], codes, codes)


def _of_sets(labels: list[Any], separator: str) -> GivenLabels:
    for row, given in enumerate(labels):
        if not _is_set(given):
            raise UserError(f"labels[{row}] is {given!r}, but others are lists: give a list of labels for each text, empty for none")
    rows = [list(given) for given in labels]
    flat = [(f"labels[{row}]", label) for row, own in enumerate(rows) for label in own]
    _check_types(flat)
    if not flat:
        raise UserError(f"none of the {len(rows)} texts has a label: give texts that have some")
    classes = np.unique(np.asarray([label for _, label in flat]))
    names = [[str(label) for label in np.asarray(own, dtype=classes.dtype).tolist()] for own in rows]
    return _joined("sets", classes, names, separator)


def _of_matrix(given: Any, separator: str) -> GivenLabels:
    if given.shape[1] == 1:  # a label per text, or whether it has the only label: nobody can tell
        raise UserError("labels is a table of one column: give that column, a label for each text, or a list of labels for each text")
    classes = np.asarray([str(name) for name in given.columns]) if hasattr(given, "columns") else np.arange(given.shape[1])
    values = table = np.asarray(given.toarray() if hasattr(given, "toarray") else given)
    if values.dtype == object:  # pandas.NA is not even compared with a number
        values = np.array([[cell if isinstance(cell, NUMBERS) else np.nan for cell in row] for row in values.tolist()], float)
    strange = np.flatnonzero(~np.isin(values, (0, 1)).all(axis=1))
    if len(strange):
        raise UserError(f"labels[{strange[0]}] is {table[strange[0]].tolist()!r}: a table of labels holds 0 and 1, a column for each label")
    names = [str(name) for name in classes.tolist()]
    twice = [name for name, number in Counter(names).items() if number > 1]
    if twice:
        raise UserError(f"labels has two columns of the name {twice[0]!r}: rename or drop one")
    return _joined("matrix", classes, [[names[column] for column in np.flatnonzero(row)] for row in values], separator)


def _joined(kind: Kind, classes: NDArray[Any], names: list[list[str]], separator: str) -> GivenLabels:
    strings, codes = np.unique([join_labels(own, separator) for own in names], return_inverse=True)
    found = strings.tolist()
    if len(found) < 2:
        raise UserError(f"all {len(names)} texts have the same labels, {sorted(set(names[0]))}: give texts that differ in them")
    groups = strata([split_labels(string, separator) for string in found], np.bincount(codes))[codes]
    return GivenLabels(kind, classes, found, codes, groups)


def _is_set(label: Any) -> bool:
    return isinstance(label, list | tuple | set | frozenset) or (isinstance(label, np.ndarray) and label.ndim == 1)


def _taken_apart(label: Any, row: int, separator: str) -> list[str]:
    if not isinstance(label, str):
        raise UserError(f"labels[{row}] is {label!r}: give lists of labels, or strings of labels joined by {separator!r}")
    return split_labels(label, separator)


def _check_types(labels: Sequence[tuple[str, Any]]) -> None:
    """UserError unless the ``labels``, each behind its name, are all strings or all numbers."""
    for name, label in labels:
        if not isinstance(label, SCALARS) or label != label:
            raise UserError(f"{name} is {label!r}: give a string or a number, or drop the text")
        if isinstance(label, str) and UNWRITABLE.search(label):
            raise UserError(f"{name} is {label!r}: a label holds no NUL and no half of a character (a lone surrogate); rename it")
        if isinstance(label, str) != isinstance(labels[0][1], str):
            raise UserError(f"{name} is {label!r}, {labels[0][0]} is {labels[0][1]!r}: give strings alone or numbers alone")


def same_sets(first: Iterable[Iterable[Any]], second: Iterable[Iterable[Any]]) -> NDArray[np.bool_]:
    """bool [N]: whether two texts' labels are the same, in any order."""
    return np.array([set(one) == set(other) for one, other in zip(first, second, strict=True)], dtype=bool)
