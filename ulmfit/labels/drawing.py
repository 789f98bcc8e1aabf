"""Seeded, stratified draws of labelled documents; a smaller draw is a part of a larger one."""

import json
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ulmfit.config import EvaluateConfig, LabelsConfig
from ulmfit.errors import UserError
from ulmfit.store.filesystem import write_bytes


def draw(codes: NDArray[np.integer], config: LabelsConfig) -> NDArray[np.int64]:
    """Sorted rows of the documents drawn from N, whose labels (or strata) are ``codes`` int64 [N]; all rows where there are no more.

    UserError where fewer are asked for than there are labels.
    """
    if config.number is None or config.number >= len(codes):
        return np.arange(len(codes))
    ranks = np.random.default_rng(config.seed).permutation(len(codes))
    return np.sort(in_proportion(codes, ranks, config.number)[: config.number])


def rows_to_learn(codes: NDArray[np.integer], config: LabelsConfig, chosen: NDArray[np.int64] | None = None) -> NDArray[np.int64]:
    """The rows that are drawn, or those ``chosen``, and again as many of the rarer labels as ``oversample`` asks for."""
    rows = draw(codes, config) if chosen is None else chosen
    return np.sort(np.concatenate([rows, repeats(codes[rows], rows)])) if config.oversample else rows


def rows_to_validate(number: int, seed: int, most: int | None) -> NDArray[np.int64]:
    """Sorted rows of the validation documents to look at: ``most`` of ``number`` at most, a smaller draw a part of a larger one."""
    return np.sort(np.random.default_rng(seed).permutation(number)[:most])


def rows_to_judge(codes: NDArray[np.integer], config: EvaluateConfig) -> NDArray[np.int64]:
    """Sorted rows of the held-out documents to judge by, whose labels (or strata) are ``codes`` int64 [N]: ``max_documents`` at most."""
    return draw(codes, LabelsConfig(number=config.max_documents, seed=config.seed))


def write_chosen(file: Path, rows: NDArray[np.int64]) -> None:
    """Write rows that were chosen as JSON."""
    write_bytes(file, json.dumps(rows.tolist()).encode())


def read_chosen(file: Path) -> NDArray[np.int64]:
    """Rows that were chosen, int64 [M]."""
    return np.array(json.loads(file.read_bytes()), dtype=np.int64)


def repeats(codes: NDArray[np.integer], rows: NDArray[np.int64]) -> NDArray[np.int64]:
    """Of ``rows`` with labels ``codes`` [N]: those to add, in turn, until each label has as many as the commonest."""
    counts = np.bincount(codes)
    each = [np.resize(rows[codes == code], counts.max() - count) for code, count in enumerate(counts.tolist()) if count]
    return np.concatenate(each)


def in_proportion(codes: NDArray[np.integer], ranks: NDArray[np.generic], total: int) -> NDArray[np.int64]:
    """All N documents in the order in which they are drawn: one of each label, then the rest in proportion; ``ranks`` decide within a label.

    The order does not depend on ``total``, the number to be drawn; UserError where that is smaller than the number of labels. Code -1: no label.
    """
    order, position = by_label(codes, ranks)
    label = codes[order]
    sizes = np.bincount(label + 1)
    classes = int((sizes[1:] > 0).sum())
    if total < classes:
        raise UserError(f"a sample of {total} documents is fewer than the {classes} classes; take {classes} or more")
    return order[np.lexsort((label, (position + 0.5) / sizes[label + 1], position > 0))]


def by_label(codes: NDArray[np.integer], ranks: NDArray[np.generic]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The documents label by label, ordered by rank within each; and the position of each within its label, from 0."""
    order = np.lexsort((ranks, codes))
    first = np.flatnonzero(np.diff(codes[order], prepend=-2))
    return order, np.arange(len(order)) - np.repeat(first, np.diff(first, append=len(order)))
