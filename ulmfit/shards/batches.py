"""Batches: windows of text for language models, padded groups of documents for classifiers.

Backward is the id sequence reversed when it is read. All choices come from a seed, so an epoch can be repeated.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Self

import numpy as np
import torch
from torch import Tensor

from ulmfit.directions import Direction
from ulmfit.shards.documents import Documents, JoinedIds
from ulmfit.text.vocab import PAD

AHEAD = 1 << 19  # ids that are read at once, in all streams together: 4 MB
EVEN = 16  # rows of a matrix unit
POOL = 50  # batches that are sorted by length together, as a compromise between padding and chance


def oriented(ids: np.ndarray, direction: Direction) -> np.ndarray:
    """The ids as the direction reads them; ValueError for a direction that is none."""
    if direction not in ("forward", "backward"):
        raise ValueError(f"a direction is forward or backward, not {direction!r}")
    return ids if direction == "forward" else ids[::-1]


@dataclass(frozen=True)
class Windows:
    """The plan of an LM's training: text cut into ``batch`` parallel streams, read in windows of varying length.

    A window's base is ``bptt`` with probability 0.95, else half of it; its length is drawn from N(base, 5), at least 5
    (Merity et al. 2017, sec. 4.1). ``lengths`` has one entry per step, over all epochs.
    """

    epochs: tuple[tuple[int, ...], ...]
    batch: int

    @property
    def steps(self) -> int:
        return sum(map(len, self.epochs))

    @property
    def tokens(self) -> int:
        return self.batch * sum(map(sum, self.epochs))

    @classmethod
    def plan(cls, tokens: int, batch: int, bptt: int, epochs: float, max_tokens: int | None, seed: int) -> Self:
        """Windows over ``epochs`` passes (the last may be a part) of ``tokens`` tokens, ``max_tokens`` in all at most."""
        rng = np.random.default_rng(seed)
        stream = (tokens - 1) // batch  # the last token of a stream is a target only
        left = int(min(epochs * stream, (max_tokens or np.inf) / batch)) if stream > 0 else 0
        plan: list[tuple[int, ...]] = []
        while left >= 5:
            lengths = tuple(_window_lengths(min(stream, left), bptt, rng))
            plan.append(lengths)
            left -= stream
        return cls(tuple(plan), batch)


def _window_lengths(stream: int, bptt: int, rng: np.random.Generator) -> Iterator[int]:
    position = 0
    while stream - position >= 1:
        base = bptt if rng.random() < 0.95 else bptt / 2
        length = min(max(5, int(rng.normal(base, 5))), stream - position)
        yield length
        position += length


@dataclass(frozen=True)
class Window:
    """``ids`` and their ``targets``, int64 [T, B], in epoch ``epoch``; ``last``: the epoch's last."""

    ids: Tensor
    targets: Tensor
    epoch: int
    last: bool


def lm_batches(train: Documents, windows: Windows, direction: Direction, seed: int, start: int = 0, ahead: int = AHEAD) -> Iterator[Window]:
    """The windows of the plan from step ``start`` on. Documents are shuffled every epoch."""
    rng = np.random.default_rng(seed + 1)
    for epoch, lengths in enumerate(windows.epochs):
        order = rng.permutation(len(train))
        if start < len(lengths):
            pairs = stream_windows(train.joined(order), direction, windows.batch, lengths, start, ahead)
            for number, (ids, targets) in enumerate(pairs, start + 1):
                yield Window(ids, targets, epoch, number == len(lengths))
        start = max(0, start - len(lengths))


def stream_windows(
    joined: JoinedIds | np.ndarray, direction: Direction, batch: int, lengths: Sequence[int], start: int = 0, ahead: int = AHEAD
) -> Iterator[tuple[Tensor, Tensor]]:
    """``(ids [T, B], targets [T, B])``, int64: windows of the given lengths, from number ``start`` on, over joined ids that are cut
    into ``batch`` parallel streams.

    Blocks of ``ahead`` ids in all streams together are read at a time; the windows are views of them.
    """
    stream = (len(joined) - 1) // batch
    position = sum(lengths[:start])
    begin, block = position, np.empty((0, batch), np.int64)
    for length in lengths[start:]:
        if position + length >= begin + len(block):
            begin, rows = position, max(length, ahead // batch)
            block = _block(joined, direction, [number * stream + begin for number in range(batch)], min(rows, stream - begin) + 1)
        ids = torch.from_numpy(block[position - begin : position - begin + length + 1])
        yield ids[:-1], ids[1:]
        position += length


def _block(joined: JoinedIds | np.ndarray, direction: Direction, starts: Sequence[int], length: int) -> np.ndarray:
    """The stretches of the joined ids that begin at ``starts`` in the order of ``direction``, int64 [length, len(starts)]."""
    if direction == "backward":
        stretches = [joined[len(joined) - start - length : len(joined) - start][::-1] for start in starts]
    else:
        stretches = [joined[start : start + length] for start in starts]
    return np.ascontiguousarray(np.stack(stretches).T).astype(np.int64)  # in this order: the narrow type is the quicker to turn


@dataclass(frozen=True)
class DocumentBatch:
    """Documents side by side: ``ids`` int64 [T, B] padded at the end, ``lengths`` int64 [B], ``index`` int64 [B] their places."""

    ids: Tensor
    lengths: Tensor
    index: np.ndarray


def pad(documents: Documents, index: np.ndarray, direction: Direction, max_tokens: int | None) -> DocumentBatch:
    """The documents at ``index`` as one batch. A longer one keeps its first ``max_tokens``, in either direction."""
    rows = [oriented(documents.doc(i)[:max_tokens], direction) for i in index]
    lengths = np.array([max(1, len(row)) for row in rows], dtype=np.int64)
    ids = np.full((int(lengths.max()), len(rows)), PAD, dtype=np.int64)
    for column, row in enumerate(rows):
        ids[: len(row), column] = row
    return DocumentBatch(torch.from_numpy(ids), torch.from_numpy(lengths), np.asarray(index))


def bucket(lengths: np.ndarray, order: np.ndarray, batch: int, max_padded: int | None, max_spread: int) -> list[np.ndarray]:
    """Cut ``order`` (sorted by length, longest first) into groups of ``batch`` documents at most.

    A group also ends where it would hold more than ``max_padded`` positions (None: any number), or differ in length by
    more than ``max_spread``: both bound the memory of a step. A large one that ends so is cut to a multiple of ``EVEN``.
    """
    groups: list[np.ndarray] = []
    start, ordered = 0, lengths[order]
    while start < len(order):
        longest, end = int(ordered[start]), start + 1
        while end < min(len(order), start + batch) and longest - ordered[end] <= max_spread:
            if max_padded and (end + 1 - start) * longest > max_padded:
                break
            end += 1
        if end - start > 2 * EVEN and end < min(len(order), start + batch):
            end = start + (end - start) // EVEN * EVEN
        groups.append(order[start:end])
        start = end
    return groups


def training_batches(
    lengths: np.ndarray, batch: int, batch_tokens: int | None, max_gradient_tokens: int, rng: np.random.Generator
) -> list[np.ndarray]:
    """One epoch of groups of ``batch`` documents and ``batch_tokens`` padded positions at most (one document may have more).

    They are shuffled, sorted by length within pools, and the groups shuffled again. Two lengths of a group differ by
    ``max_gradient_tokens`` at most: BPT3C then holds gradients for two times that and a chunk.
    """
    order = rng.permutation(len(lengths))
    groups: list[np.ndarray] = []
    for start in range(0, len(order), POOL * batch):
        pool = order[start : start + POOL * batch]
        pool = pool[np.argsort(-lengths[pool], kind="stable")]
        groups += bucket(lengths, pool, batch, batch_tokens, max_gradient_tokens)
    return [groups[number] for number in rng.permutation(len(groups))]


def inference_batches(lengths: np.ndarray, batch: int, max_padded: int) -> list[np.ndarray]:
    """All documents, longest first, in groups of ``batch`` documents and ``max_padded`` positions at most."""
    order = np.argsort(-lengths, kind="stable")
    return bucket(lengths, order, batch, max_padded, max_padded)
