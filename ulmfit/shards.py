"""Shards: Arrow IPC files written atomically, read memory-mapped, and the documents in them.

Two kinds of shard, one file a part each. A *token shard* holds ``id`` string, ``tokens`` list<dictionary<int32, string>>
and ``label`` string; an *id shard* holds ``id`` string, ``ids`` list<uint16 or uint32> and ``label`` int32 (-1: none).
A part is done when its record (``{part}.json``, written last) is there and the digests in it hold.
"""

from __future__ import annotations

import json
import os
import threading
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from ulmfit.artifacts import sha256_file, write_atomic
from ulmfit.errors import UserError

TOKENS_SUFFIX = ".tokens.arrow"
COUNTS_SUFFIX = ".counts.arrow"
IDS_SUFFIX = ".ids.arrow"


def write_ipc(path: Path, table: pa.Table) -> None:
    """Write ``table`` as an Arrow IPC file of one record batch, uncompressed; a reader sees all of it or nothing.

    OSError (with its errno, as where the disk is full) leaves neither the file nor a rest of it.
    """
    beside = path.with_name(f".{path.name}.{os.getpid()}.{threading.get_ident()}.tmp")
    try:
        with open(beside, "wb") as file:
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_batch(one_batch(table))
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def one_batch(table: pa.Table) -> pa.RecordBatch:
    """The rows of ``table`` as one record batch, also where there are none."""
    batches = table.combine_chunks().to_batches()
    if not batches:
        return pa.RecordBatch.from_arrays([pa.array([], field.type) for field in table.schema], schema=table.schema)
    assert len(batches) == 1, "combine_chunks left more than one batch: a column is past the reach of 32-bit offsets"
    return batches[0]


def read_ipc(path: Path) -> pa.Table:
    """The table in an Arrow IPC file, memory-mapped: its columns are read-only views of the file.

    FileNotFoundError where there is none; UserError where it is no Arrow file or is cut short.
    """
    with pa.memory_map(str(path)) as file:
        try:
            return pa.ipc.open_file(file).read_all()
        except pa.ArrowInvalid as error:
            raise UserError(f"{path}: not a whole Arrow file; delete it and run again") from error


@dataclass(frozen=True)
class PartRecord:
    """What was made of one part. ``files``: name -> {"sha256", "bytes"}; ``distinct``: different tokens or ids."""

    part: str
    documents: int
    tokens: int
    distinct: int
    files: dict[str, dict[str, str | int]]
    seconds: float


def file_entries(paths: Sequence[Path]) -> dict[str, dict[str, str | int]]:
    """The ``files`` of a PartRecord."""
    return {path.name: {"sha256": sha256_file(path), "bytes": path.stat().st_size} for path in paths}


def save_record(folder: Path, record: PartRecord) -> None:
    """Declare a part done. Its files must be written."""
    write_atomic(folder / f"{record.part}.json", json.dumps(asdict(record), indent=1, sort_keys=True).encode())


def done_part(folder: Path, part: str) -> PartRecord | None:
    """The record of a part that is done; None where it is missing or a file is missing, cut short or changed."""
    try:
        record = PartRecord(**json.loads((folder / f"{part}.json").read_text()))
        return record if record.files == file_entries([folder / name for name in record.files]) else None
    except (FileNotFoundError, ValueError, TypeError):
        return None


class Documents:
    """Encoded documents, in order, as views of one or more id shards. Nothing here may be written to.

    ``lengths`` int64 [N], ids a document; ``labels`` int32 [N], codes into the sorted labels, -1 for none.
    """

    def __init__(
        self, shards: list[np.ndarray], shard: np.ndarray, start: np.ndarray, lengths: np.ndarray, labels: np.ndarray, ids: pa.ChunkedArray
    ):
        assert len(shard) == len(start) == len(lengths) == len(labels) == len(ids)
        assert len({flat.dtype for flat in shards}) <= 1, "shards of one vocabulary have ids of one width"
        self._shards, self._shard, self._start, self._names = shards, shard, start, ids
        self.lengths = lengths
        self.labels = labels

    @classmethod
    def open(cls, folder: Path, splits: Sequence[str]) -> Documents:
        """The documents of ``splits``, in that order, parts by name. A split without parts has no documents."""
        if not folder.is_dir():
            raise FileNotFoundError(f"{folder}: there is no such folder of id shards")
        parts = sorted(path.name.removesuffix(IDS_SUFFIX) for path in folder.glob(f"*{IDS_SUFFIX}"))
        chosen = [part for split in splits for part in parts if part.rsplit("-", 1)[0] == split]
        return cls._join([read_ipc(folder / f"{part}{IDS_SUFFIX}") for part in chosen])

    @classmethod
    def of(
        cls, documents: Sequence[np.ndarray], labels: Sequence[int] | np.ndarray | None = None, ids: Sequence[str] | None = None
    ) -> Documents:
        """Documents held in memory, each an array [T] of ids, uint16 or uint32; without ``ids`` named by number."""
        lengths = np.array([len(document) for document in documents], dtype=np.int64)
        flat = np.concatenate(documents) if len(documents) else np.empty(0, np.uint16)
        if flat.dtype not in (np.uint16, np.uint32):
            flat = flat.astype(np.uint16 if not flat.size or flat.max() < 2**16 else np.uint32)
        flat.flags.writeable = False
        codes = np.full(len(documents), -1, np.int32) if labels is None else np.asarray(labels, dtype=np.int32)
        names = pa.chunked_array([pa.array(ids if ids is not None else [str(i) for i in range(len(documents))], pa.string())])
        return cls([flat], np.zeros(len(documents), np.int64), np.cumsum(lengths) - lengths, lengths, codes, names)

    @classmethod
    def _join(cls, tables: list[pa.Table]) -> Documents:
        flats, starts, lengths, labels, names = [], [], [], [], []
        for table in tables:
            column = one_batch(table).column("ids")
            offsets = column.offsets.to_numpy().astype(np.int64)
            flats.append(column.values.to_numpy(zero_copy_only=True))
            starts.append(offsets[:-1])
            lengths.append(np.diff(offsets))
            labels.append(table["label"].to_numpy())
            names.extend(table["id"].chunks)
        shard = np.repeat(np.arange(len(tables)), [len(start) for start in starts])
        none = np.empty(0, np.int64)
        return cls(
            flats or [np.empty(0, np.uint16)],
            shard,
            np.concatenate([none, *starts]),
            np.concatenate([none, *lengths]),
            np.concatenate([none, *labels]).astype(np.int32),
            pa.chunked_array(names, pa.string()),
        )

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
        return self._names.to_pylist()

    def doc(self, i: int) -> np.ndarray:
        """Document ``i``: a read-only view [lengths[i]]."""
        start = self._start[i]
        return self._shards[self._shard[i]][start : start + self.lengths[i]]

    def take(self, order: np.ndarray) -> Documents:
        """The documents at ``order`` (integers), as views."""
        index = np.asarray(order, dtype=np.int64)
        return Documents(
            self._shards, self._shard[index], self._start[index], self.lengths[index], self.labels[index], self._names.take(pa.array(index))
        )

    def flat(self, order: np.ndarray | None = None) -> np.ndarray:
        """All ids in one run [tokens], documents in the given order (default: as they stand); a fresh array."""
        index = range(len(self)) if order is None else np.asarray(order, dtype=np.int64).tolist()
        return np.concatenate([np.empty(0, self.dtype), *(self.doc(i) for i in index)])
