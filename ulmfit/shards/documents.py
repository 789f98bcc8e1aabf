"""Encoded documents as views of id shards."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Self

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulmfit.shards.arrow import IDS_SUFFIX, one_batch, read_ipc


class Documents:
    """Encoded documents, in order, as views of one or more id shards. Nothing here may be written to.

    ``lengths`` int64 [N], ids per document; ``labels`` int32 [N], codes into the sorted labels, -1 for none.
    """

    def __init__(
        self,
        shards: list[np.ndarray],
        shard: np.ndarray,
        start: np.ndarray,
        lengths: np.ndarray,
        labels: np.ndarray,
        ids: pa.ChunkedArray | None,  # None: their numbers; pyarrow imports pandas when it makes an array of a list
    ):
        assert len(shard) == len(start) == len(lengths) == len(labels) and (ids is None or len(ids) == len(labels))
        assert len({flat.dtype for flat in shards}) <= 1, "shards of one vocabulary have ids of one width"
        self._shards, self._shard, self._start, self._names = shards, shard, start, ids
        self.lengths = lengths
        self.labels = labels

    @classmethod
    def open(cls, folder: Path, splits: Sequence[str]) -> Self:
        """The documents of ``splits``, in that order; within a split in the order of the parts. A split may be empty."""
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: there is no such folder of id shards")
        tables = [read_ipc(path) for path in sorted(folder.glob(f"*{IDS_SUFFIX}"))]
        none = np.empty(0, np.int64)
        shards, starts, lengths, labels, names, rows = [], [none], [none], [none], [], []
        for table in tables:
            batch = one_batch(table)
            offsets = batch.column("ids").offsets.to_numpy().astype(np.int64)
            shards.append(batch.column("ids").values.to_numpy(zero_copy_only=True))
            starts.append(offsets[:-1])
            lengths.append(np.diff(offsets))
            labels.append(batch.column("label").to_numpy())
            names.append(batch.column("id"))
            places = pc.index_in(batch.column("split").dictionary_decode(), pa.array(splits, pa.string()))
            rows.append(pc.fill_null(places, -1).to_numpy().astype(np.int64))  # -1: of another split
        shard = np.repeat(np.arange(len(tables)), [len(split) for split in rows])
        split = np.concatenate([none, *rows])
        every = cls(
            shards or [np.empty(0, np.uint16)],
            shard,
            np.concatenate(starts),
            np.concatenate(lengths),
            np.concatenate(labels).astype(np.int32),
            pa.chunked_array(names, pa.string()),
        )
        wanted = np.argsort(split, kind="stable")
        return every.take(wanted[np.searchsorted(split[wanted], 0) :])

    @classmethod
    def of(
        cls, documents: Sequence[np.ndarray], labels: Sequence[int] | np.ndarray | None = None, ids: Sequence[str] | None = None
    ) -> Self:
        """Documents held in memory, each an array [T] of ids, uint16 or uint32; without ``ids`` named by number."""
        lengths = np.array([len(document) for document in documents], dtype=np.int64)
        flat = np.concatenate(documents) if len(documents) else np.empty(0, np.uint16)
        if flat.dtype not in (np.uint16, np.uint32):
            flat = flat.astype(np.uint16 if not flat.size or flat.max() < 2**16 else np.uint32)
        flat.flags.writeable = False
        codes = np.full(len(documents), -1, np.int32) if labels is None else np.asarray(labels, dtype=np.int32)
        names = None if ids is None else pa.chunked_array([pa.array(ids, pa.string())])
        return cls([flat], np.zeros(len(documents), np.int64), np.cumsum(lengths) - lengths, lengths, codes, names)

    def __len__(self) -> int:
        return len(self.lengths)

    @property
    def dtype(self) -> np.dtype:
        return self._shards[0].dtype

    @property
    def tokens(self) -> int:
        """Ids in all documents together."""
        return int(self.lengths.sum())

    @cached_property
    def ids(self) -> list[str]:
        """The documents' names."""
        return self._named.to_pylist()

    @property
    def _named(self) -> pa.ChunkedArray:
        return pa.chunked_array([pa.array(map(str, range(len(self))), pa.string())]) if self._names is None else self._names

    def doc(self, i: int) -> np.ndarray:
        """Document ``i``: a read-only view [lengths[i]]."""
        start = self._start[i]
        return self._shards[self._shard[i]][start : start + self.lengths[i]]

    def take(self, order: np.ndarray) -> Self:
        """The documents at ``order`` (integers), as views."""
        index = np.asarray(order, dtype=np.int64)
        return type(self)(
            self._shards, self._shard[index], self._start[index], self.lengths[index], self.labels[index], self._named.take(pa.array(index))
        )

    def within(self, shards: Sequence[int]) -> np.ndarray:
        """bool [N]: whether a document stands in one of these shards, numbered as they are in the order of their files."""
        return np.isin(self._shard, shards)

    def joined(self, order: np.ndarray | None = None) -> JoinedIds:
        """The ids of all documents one after the other, in the given order (default: as they stand), without copying them."""
        return JoinedIds(self, np.arange(len(self)) if order is None else np.asarray(order, dtype=np.int64))


class JoinedIds:
    """The ids of documents one after the other: ``len(joined)`` in all; ``joined[a:b]`` is a new array [b - a], and copies no more."""

    def __init__(self, documents: Documents, order: np.ndarray):
        self._documents, self._order = documents, order
        self._ends = np.cumsum(documents.lengths[order])

    def __len__(self) -> int:
        return int(self._ends[-1]) if len(self._ends) else 0

    def __getitem__(self, stretch: slice) -> np.ndarray:
        start, stop, step = stretch.indices(len(self))
        assert step == 1, "joined ids are read forwards"
        first, last = np.searchsorted(self._ends, [start, stop - 1], side="right").tolist() if stop > start else (0, -1)
        parts = [self._documents.doc(i) for i in self._order[first : last + 1].tolist()]
        if not parts:
            return np.empty(0, self._documents.dtype)
        parts[-1] = parts[-1][: stop - int(self._ends[last]) + len(parts[-1])]
        parts[0] = parts[0][start - (int(self._ends[first - 1]) if first else 0) :]
        return np.concatenate(parts)
