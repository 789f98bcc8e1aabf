"""Files of a corpus, written with their digests taken on the way: Parquet and Arrow, local or on S3."""

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import IO, Any, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
from pydantic import TypeAdapter

from ulmfit.store import filesystem
from ulmfit.store.digests import Files, StoredFile, is_intact


class Recorded(Protocol):
    """A record of work on a part: a dataclass, with the files that were written."""

    @property
    def files(self) -> Files: ...


Done = TypeVar("Done", bound=Recorded)


class HashedFile(io.RawIOBase):
    """A file to write, which counts and hashes (SHA-256) the bytes that go through it."""

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
def hashed_file(folder: str, name: str, files: dict[str, StoredFile]) -> Iterator[HashedFile]:
    """``filesystem.output_file``; the file's digest and size become ``files[name]`` once it is written."""
    with filesystem.output_file(filesystem.join(folder, name)) as file:
        hashed = HashedFile(file)
        yield hashed
    files[name] = hashed.entry


def once(location: str, kind: type[Done], folder: str, work: Callable[[], Done]) -> Done:
    """What ``work`` returns; it is done only if its record is not at ``location``, or one of its files in ``folder`` is missing or changed."""
    adapter = TypeAdapter(kind)
    try:
        record = adapter.validate_json(filesystem.read_bytes(location))
        if all(is_intact(filesystem.join(folder, name), file.sha256, file.bytes) for name, file in record.files.items()):
            return record
    except (FileNotFoundError, ValueError):
        pass
    record = work()
    filesystem.write_bytes(location, adapter.dump_json(record))
    return record


def parquet_writer(file: Any, schema: pa.Schema) -> pq.ParquetWriter:
    """zstd; a dictionary only where values recur; no statistics, as those of a text column are two documents per row group."""
    recurring = [name for name in schema.names if name not in ("id", "text", "excerpt", "row")]
    return pq.ParquetWriter(file, schema, compression="zstd", use_dictionary=recurring, write_statistics=False)
