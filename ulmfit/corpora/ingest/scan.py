"""The first step of ingest: the rows of a slice, judged, as raw parts with facts, on a worker.

A scan folder holds, of slice 00003, these files; the record is written last, and a slice that has it is done:

    00003-00000.parquet         a raw part: ``id``, ``text``, ``label``, ``piece``; what the checks let through, in order
    00003-00000.facts.arrow     a row a document of it: ``exact`` and ``fold`` (digests, see ``quality.py``), ``label``, ``split`` (a number
                                in ``SPLITS``: where the source puts it), ``characters``
    00003.quarantine.parquet    the rows set aside, where there are any
    00003.json                  the ScanRecord
"""

from __future__ import annotations

import hashlib
import io
import json
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, field
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq

from ulmfit.corpora.ingest.digests import DIGEST, digests, exact, fold
from ulmfit.corpora.ingest.judging import Rejected, judge
from ulmfit.corpora.ingest.slices import Slice, slice_rows
from ulmfit.corpora.quality import measuring
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.corpora.reading.rows import Row
from ulmfit.corpora.splits import SPLITS
from ulmfit.store import filesystem
from ulmfit.store.digests import Files, StoredFile
from ulmfit.text.pieces import LONGEST_PIECE, cut_text

PART_BYTES = 8 << 20  # of text in a part of many documents, and in a row group
PART_DOCUMENTS = 100_000
QUARANTINE_ROWS = 10_000  # that are held before they are written

RAW = pa.schema({"id": pa.string(), "text": pa.string(), "label": pa.string(), "piece": pa.int32()})
FACTS = pa.schema(
    {
        "exact": pa.binary(DIGEST),
        "fold": pa.binary(DIGEST),
        "label": pa.dictionary(pa.int32(), pa.string()),
        "split": pa.int8(),
        "characters": pa.int64(),
    }
)
QUARANTINE = pa.schema({"source": pa.string(), "row": pa.int64(), "reason": pa.string(), "excerpt": pa.string()})


@dataclass(frozen=True)
class ScanSpec:
    """Scan ``part`` as slice ``number`` into ``folder``. ``labelled``: a row that is to be learnt from needs a label."""

    part: Slice
    number: int
    folder: str
    labelled: bool

    @property
    def name(self) -> str:
        return f"{self.number:05d}"

    @property
    def label(self) -> str:
        """The slice in words."""
        first, *others = self.part.files or (self.part.place,)
        groups = f", row groups {self.part.groups[0]} to {self.part.groups[1] - 1}" if self.part.groups else ""
        return first + groups + (f" and {len(others)} more files" if others else "")


@dataclass(frozen=True)
class RawPart:
    """A raw part: its documents and what was measured of their texts."""

    name: str
    documents: int
    measured: Measurements

    @property
    def file(self) -> str:
        return f"{self.name}.parquet"

    @property
    def facts(self) -> str:
        return f"{self.name}.facts.arrow"


@dataclass(frozen=True)
class ScanRecord:
    """What a slice holds. ``first_rejected``: the first row set aside, in words; ``first_test``: the first file with test rows."""

    name: str
    role: str
    place: str
    rows: int
    with_nul: int
    quarantined: dict[str, int]
    first_rejected: str
    first_test: str | None
    parts: tuple[RawPart, ...]
    files: dict[str, StoredFile]
    seconds: float

    @property
    def quarantine(self) -> str | None:
        """The file of the rows set aside, if there are any."""
        name = f"{self.name}.quarantine.parquet"
        return name if name in self.files else None


# ------------------------------------------------------------------------------------------------------------- writing


class _Hashed(io.RawIOBase):
    """A file to write, with the SHA-256 and the number of the bytes that went through it."""

    def __init__(self, file: IO[bytes]):
        self._file, self._digest, self._bytes = file, hashlib.sha256(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        self._digest.update(data)
        self._bytes += len(data)
        self._file.write(data)
        return len(data)

    def tell(self) -> int:
        return self._bytes

    @property
    def entry(self) -> StoredFile:
        """The digest and size of what was written."""
        return StoredFile(self._digest.hexdigest(), self._bytes)


@contextmanager
def hashed_file(folder: str, name: str, files: dict[str, StoredFile]) -> Iterator[_Hashed]:
    """``filesystem.output_file``, with the file's size and digest noted as ``files[name]`` when it is written."""
    with filesystem.output_file(filesystem.join(folder, name)) as file:
        hashed = _Hashed(file)
        yield hashed
    files[name] = hashed.entry


def sound(folder: str, files: Files) -> bool:
    """Whether all of ``files`` are in the folder, and as they were written."""
    try:
        return all(filesystem.sha256(filesystem.join(folder, name)) == entry.sha256 for name, entry in files.items())
    except FileNotFoundError:
        return False


def parquet_writer(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """zstd; a dictionary only where values recur, and no statistics: that of a text column is two documents a row group."""
    recurring = [name for name in schema.names if name not in ("id", "text", "excerpt", "row")]
    return pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=recurring, write_statistics=False)


@dataclass
class _Parts:
    """The raw parts of a slice, written as they fill up. A document of more than ``LONGEST_PIECE`` has a part of its own."""

    spec: ScanSpec
    files: dict[str, StoredFile]
    done: list[RawPart] = field(default_factory=list)
    ids: list[str] = field(default_factory=list)
    texts: list[str] = field(default_factory=list)
    labels: list[str | None] = field(default_factory=list)
    splits: list[int] = field(default_factory=list)
    held: int = 0  # bytes of ``texts``

    def add(self, name: str, text: str, size: int, label: str | None, split: int) -> None:
        """``size``: bytes of the text in UTF-8; ``split``: a number in ``SPLITS``."""
        if len(text) > LONGEST_PIECE:
            self.flush()
            self._write_long(name, text, label, split)
            return
        if self.held + size > PART_BYTES or len(self.texts) == PART_DOCUMENTS:
            self.flush()
        self.ids.append(name)
        self.texts.append(text)
        self.labels.append(label)
        self.splits.append(split)
        self.held += size

    def flush(self) -> None:
        """Write the documents held as a part."""
        if not self.texts:
            return
        texts = pa.array(self.texts, pa.string())
        columns = [pa.array(self.ids, pa.string()), texts, pa.array(self.labels, pa.string()), pa.array([0] * len(texts), pa.int32())]
        self._write_part(iter([pa.RecordBatch.from_arrays(columns, schema=RAW)]), digests(texts), self.labels, self.splits, self.texts)
        self.ids, self.texts, self.labels, self.splits, self.held = [], [], [], [], 0

    def _write_long(self, name: str, text: str, label: str | None, split: int) -> None:
        """A row and a row group a piece, so that the text is not held a second time."""

        def rows() -> Iterator[pa.RecordBatch]:
            for number, piece in enumerate(pieces(text)):
                columns = [[name], [piece], [label], [number]]
                yield pa.RecordBatch.from_arrays([pa.array(*pair) for pair in zip(columns, RAW.types, strict=True)], schema=RAW)

        self._write_part(rows(), (exact(text), fold(text)), [label], [split], [text])

    def _write_part(
        self, rows: Iterator[pa.RecordBatch], digest: tuple[bytes, bytes], labels: list[str | None], splits: list[int], texts: list[str]
    ) -> None:
        part = f"{self.spec.name}-{len(self.done):05d}"
        with self._output(f"{part}.parquet") as file, parquet_writer(file, RAW) as writer:
            for batch in rows:
                writer.write_batch(batch)
        facts = [
            *(pa.Array.from_buffers(pa.binary(DIGEST), len(texts), [None, pa.py_buffer(each)]) for each in digest),
            pa.array(labels, pa.string()).dictionary_encode(),
            pa.array(splits, pa.int8()),
            pa.array(map(len, texts), pa.int64(), size=len(texts)),
        ]
        with self._output(f"{part}.facts.arrow") as file, pa.ipc.new_file(file, FACTS) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(facts, schema=FACTS))
        self.done.append(RawPart(part, len(texts), measuring.measure([text[:LONGEST_PIECE] for text in texts])))

    def _output(self, name: str) -> Any:
        return hashed_file(self.spec.folder, name, self.files)


def pieces(text: str) -> Iterator[str]:
    """``cut_text``, a piece at a time."""
    start = 0
    while len(text) - start > LONGEST_PIECE:
        piece = cut_text(text[start : start + LONGEST_PIECE + 1])[0]
        yield piece
        start += len(piece)
    yield text[start:]


class _Quarantine:
    """The rows set aside, written as they come to a file that ``opened`` closes; it is there only if there are any."""

    def __init__(self, spec: ScanSpec, files: dict[str, StoredFile], opened: ExitStack):
        self._spec, self._files, self._opened = spec, files, opened
        self._held: list[Rejected] = []
        self._writer: pq.ParquetWriter | None = None
        self.counts: Counter[str] = Counter()
        self.first = ""

    def add(self, row: Row, reason: str) -> None:
        self.first = self.first or f"row {row.row} of {row.source}"
        self.counts[reason] += 1
        self._held.append(Rejected.of(row, reason))
        if len(self._held) == QUARANTINE_ROWS:
            self.flush()

    def flush(self) -> None:
        """Write the rows held."""
        if not self._held:
            return
        if self._writer is None:
            file = self._opened.enter_context(hashed_file(self._spec.folder, f"{self._spec.name}.quarantine.parquet", self._files))
            self._writer = self._opened.enter_context(parquet_writer(file, QUARANTINE))
        columns = [[getattr(item, name) for item in self._held] for name in QUARANTINE.names]
        arrays = [pa.array(*pair) for pair in zip(columns, QUARANTINE.types, strict=True)]
        self._writer.write_batch(pa.RecordBatch.from_arrays(arrays, schema=QUARANTINE))
        self._held = []


# ------------------------------------------------------------------------------------------------------------- a slice


def scan_slice(spec: ScanSpec) -> ScanRecord:
    """Read and judge the rows of a slice and write its files; UserError where it cannot be read.

    Memory is bounded by ``PART_BYTES``, or by the longest document.
    """
    done = done_slice(spec)
    if done:
        return done
    started = time.perf_counter()
    files: dict[str, StoredFile] = {}
    parts = _Parts(spec, files)
    rows = with_nul = 0
    first_test = None
    with ExitStack() as opened:
        quarantine = _Quarantine(spec, files, opened)
        for row in slice_rows(spec.part):
            rows += 1
            split = row.split or "train"
            if split == "test":
                first_test = first_test or row.source
            reason, text, size, label = judge(row, needs_label=spec.labelled and split != "unlabelled")
            if reason:
                quarantine.add(row, reason)
                continue
            with_nul += len(text) != len(row.text)
            parts.add(f"{row.source}:{row.row}", text, size, label, SPLITS.index(split))
        parts.flush()
        quarantine.flush()
    record = ScanRecord(
        name=spec.name,
        role=spec.part.role,
        place=spec.part.place,
        rows=rows,
        with_nul=with_nul,
        quarantined=dict(quarantine.counts),
        first_rejected=quarantine.first,
        first_test=first_test,
        parts=tuple(parts.done),
        files=files,
        seconds=round(time.perf_counter() - started, 3),
    )
    filesystem.write_bytes(filesystem.join(spec.folder, f"{spec.name}.json"), json.dumps(asdict(record), sort_keys=True).encode())
    return record


def done_slice(spec: ScanSpec) -> ScanRecord | None:
    """The record of a slice that is done; None where it is missing, or a file of it is missing or changed."""
    try:
        body = json.loads(filesystem.read_bytes(filesystem.join(spec.folder, f"{spec.name}.json")))
        parts = tuple(RawPart(part["name"], part["documents"], Measurements(**part["measured"])) for part in body["parts"])
        files = {name: StoredFile(**entry) for name, entry in body["files"].items()}
        record = ScanRecord(**{**body, "parts": parts, "files": files})
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None
    return record if sound(spec.folder, record.files) else None
