"""Raw parts: files of the documents that can be used, and of their facts, written by a scan."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from ulmfit.config import PartsConfig
from ulmfit.corpora.ingest.facts import FACTS
from ulmfit.corpora.ingest.writing import hashed_file, parquet_writer
from ulmfit.corpora.quality import measuring
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.corpora.text_digests import DIGEST, digests, exact, fold
from ulmfit.store.digests import StoredFile
from ulmfit.text.cutting import LONGEST_PIECE, pieces

RAW = pa.schema({"id": pa.string(), "text": pa.string(), "label": pa.string(), "piece": pa.int32()})


@dataclass(frozen=True)
class RawPart:
    """A raw part: its documents and what was measured of their texts."""

    name: str
    documents: int
    measured: Measurements

    @property
    def file(self) -> str:
        """The file of its rows."""
        return f"{self.name}.parquet"

    @property
    def facts(self) -> str:
        """The file of its documents' facts."""
        return f"{self.name}.facts.arrow"


@dataclass
class RawParts:
    """The raw parts of the slice ``name`` in ``folder``, written as they fill up.

    A document of more than ``LONGEST_PIECE`` characters has a part of its own. ``files``: what is written is noted there.
    """

    folder: str
    name: str
    limits: PartsConfig
    files: dict[str, StoredFile]
    done: list[RawPart] = field(default_factory=list)
    documents: list[tuple[str, str, str | None, int]] = field(default_factory=list)  # not written yet: (id, text, label, split)
    bytes_waiting: int = 0  # of their texts

    def add(self, name: str, text: str, size: int, label: str | None, split: int) -> None:
        """Add a document. ``size``: bytes of its text in UTF-8; ``split``: an index of ``SPLITS``."""
        if len(text) > LONGEST_PIECE:
            self.flush()
            self._write_long(name, text, label, split)
            return
        if self.bytes_waiting + size > self.limits.bytes or len(self.documents) == self.limits.documents:
            self.flush()
        self.documents.append((name, text, label, split))
        self.bytes_waiting += size

    def flush(self) -> None:
        """Write the documents so far as a part."""
        if not self.documents:
            return
        names, strings, labels, splits = map(list, zip(*self.documents, strict=True))
        texts = pa.array(strings, pa.string())
        columns = [pa.array(names, pa.string()), texts, pa.array(labels, pa.string()), pa.array([0] * len(texts), pa.int32())]
        self._write_part(iter([pa.RecordBatch.from_arrays(columns, schema=RAW)]), digests(texts), labels, splits, strings)
        self.documents, self.bytes_waiting = [], 0

    def _write_long(self, name: str, text: str, label: str | None, split: int) -> None:
        """A row and a row group per piece, so that the text is not in memory twice."""

        def rows() -> Iterator[pa.RecordBatch]:
            for number, piece in enumerate(pieces(text)):
                yield pa.RecordBatch.from_pydict({"id": [name], "text": [piece], "label": [label], "piece": [number]}, RAW)

        self._write_part(rows(), (exact(text), fold(text)), [label], [split], [text])

    def _write_part(
        self, rows: Iterator[pa.RecordBatch], digest: tuple[bytes, bytes], labels: list[str | None], splits: list[int], texts: list[str]
    ) -> None:
        part = f"{self.name}-{len(self.done):05d}"
        with hashed_file(self.folder, f"{part}.parquet", self.files) as file, parquet_writer(file, RAW) as writer:
            for batch in rows:
                writer.write_batch(batch)
        facts = [
            *(pa.Array.from_buffers(pa.binary(DIGEST), len(texts), [None, pa.py_buffer(each)]) for each in digest),
            pa.array(labels, pa.string()).dictionary_encode(),
            pa.array(splits, pa.int8()),
            pa.array(map(len, texts), pa.int64(), size=len(texts)),
        ]
        with hashed_file(self.folder, f"{part}.facts.arrow", self.files) as file, pa.ipc.new_file(file, FACTS) as writer:
            writer.write_batch(pa.RecordBatch.from_arrays(facts, schema=FACTS))
        self.done.append(RawPart(part, len(texts), measuring.measure([text[:LONGEST_PIECE] for text in texts])))
