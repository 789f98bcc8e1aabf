"""Open files, local or on S3, to read them piece by piece: text, compressed or not, and Parquet."""

import codecs
import gzip
import io
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow.parquet as pq
import zstandard

from ulmfit.store import filesystem
from ulmfit.store.temporary import temporary_space

COMPRESSED = (".gz", ".zst")
CHUNK = 1 << 20  # bytes per read


@contextmanager
def open_text(location: str | Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The decoded text of a file, unpacked if its name ends in .gz or .zst; a byte order mark is dropped."""
    with open_bytes(location) as raw:
        yield io.TextIOWrapper(raw, encoding="utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding, newline="")


@contextmanager
def open_bytes(location: str | Path) -> Iterator[IO[bytes]]:
    """The bytes of a file from its start on, unpacked if its name ends in .gz or .zst."""
    suffix = _suffix(location)
    with filesystem.stream(location) as file:
        if suffix == ".gz":
            yield gzip.GzipFile(fileobj=file)  # type: ignore[misc]
        elif suffix == ".zst":
            yield io.BufferedReader(_Unzstd(file))
        else:
            yield file


def _suffix(location: str | Path) -> str:
    return PurePosixPath(location).suffix.lower()


class _Unzstd(io.RawIOBase):
    """Unpacks Zstandard frames; unlike the library's own reader it refuses a frame that is cut short."""

    def __init__(self, file: IO[bytes]):
        self._file, self._packed, self._ready = file, b"", io.BytesIO()
        self._frame: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not (count := self._ready.readinto(buffer)):
            chunk = self._packed or self._file.read(1 << 18)
            if not chunk:
                if self._frame is not None:
                    raise zstandard.ZstdError("it ends within a frame")
                return 0
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._ready = io.BytesIO(self._frame.decompress(chunk))
            self._packed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        return count


@contextmanager
def open_parquet(location: str | Path) -> Iterator[pq.ParquetFile]:
    """A Parquet file to read in batches: only the current batch of a row group is held, and a buffer per column.

    A file that is compressed as a whole is unpacked into a temporary file, because Parquet is read at any position.
    """
    with _random_access(location) as raw, pq.ParquetFile(raw, pre_buffer=False, buffer_size=filesystem.REQUEST) as file:
        yield file


@contextmanager
def _random_access(location: str | Path) -> Iterator[Any]:
    if _suffix(location) in COMPRESSED:
        with ExitStack() as opened:
            with temporary_space(), open_bytes(location) as packed:
                unpacked = opened.enter_context(tempfile.TemporaryFile())
                shutil.copyfileobj(packed, unpacked, CHUNK)
                unpacked.seek(0)
            yield unpacked
    elif filesystem.is_remote(location):
        with filesystem.input_file(location) as file:
            yield file
    else:
        with open(location, "rb") as file:  # not mapped: the pages of a map count as memory of this process
            yield file
