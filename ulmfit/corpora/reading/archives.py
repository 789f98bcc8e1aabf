"""Archives (zip, wheel, tar), read as streams: nothing is written to disk, and no path inside is trusted.

An archive is refused if the name of a member is absolute or contains ``..``. A wanted member that is a link or a device, or
larger than the limit, is refused when it is reached.
"""

import gzip
import io
import lzma
import stat
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath
from typing import IO, Any

from ulmfit.errors import UserError

MEMBER_LIMIT = 2 << 30  # bytes of one unpacked member

DAMAGE = (zipfile.BadZipFile, tarfile.TarError, gzip.BadGzipFile, zlib.error, lzma.LZMAError, EOFError)


class _Limited(io.RawIOBase):
    """A stream that refuses to give more than ``limit`` bytes, and reports damage in one line."""

    def __init__(self, stream: IO[bytes] | gzip.GzipFile, where: str, limit: int):
        self._stream, self._where, self._limit, self._given = stream, where, limit, 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _damage_told(self._where):
            data = self._stream.read(len(buffer))
        self._given += len(data)
        if self._given > self._limit:
            raise UserError(_too_large(self._where, self._limit))
        buffer[: len(data)] = data
        return len(data)


def limited(stream: IO[bytes] | gzip.GzipFile, where: str, limit: int = MEMBER_LIMIT) -> io.BufferedReader:
    """``stream`` with UserError, naming ``where``, once it gives more than ``limit`` bytes or proves damaged."""
    return io.BufferedReader(_Limited(stream, where, limit), 1 << 18)


def members(path: Path, wanted: Callable[[str], bool], limit: int = MEMBER_LIMIT) -> Iterator[tuple[str, IO[bytes]]]:
    """(name, stream) of each file in the archive whose name is ``wanted``, in the archive's order.

    A stream is valid until the next one is requested. Raises UserError where the archive is damaged or unsafe.
    """
    yield from _zip_members(path, wanted, limit) if zipfile.is_zipfile(path) else _tar_members(path, wanted, limit)


def named(path: Path, names: Collection[str], limit: int = MEMBER_LIMIT) -> Iterator[tuple[str, IO[bytes]]]:
    """``members`` of exactly these names; UserError at the end if one is missing."""
    missing = set(names)
    for name, stream in members(path, missing.__contains__, limit):
        yield name, stream
        missing.discard(name)
    if missing:
        raise UserError(f"{path}: the archive holds no {sorted(missing)[0]}; it is not the one expected: delete it and fetch it again")


def _zip_members(path: Path, wanted: Callable[[str], bool], limit: int) -> Iterator[tuple[str, IO[bytes]]]:
    with _damage_told(str(path)):
        archive = zipfile.ZipFile(path)
    with archive:
        for info in archive.infolist():
            _check_name(path, info.filename)
            if info.is_dir() or not wanted(info.filename):
                continue
            kind = stat.S_IFMT(info.external_attr >> 16)
            _check_member(path, info.filename, kind in (0, stat.S_IFREG), info.file_size, limit)
            with _damage_told(f"{path}: {info.filename}"):
                stream = archive.open(info)
            yield info.filename, limited(stream, f"{path}: {info.filename}", limit)


def _tar_members(path: Path, wanted: Callable[[str], bool], limit: int) -> Iterator[tuple[str, IO[bytes]]]:
    with _damage_told(str(path)):
        archive = tarfile.open(path, "r|*")  # noqa: SIM115 - as a stream: one pass, and no list of members in memory
    with archive:
        while info := _next(archive, path):
            _check_name(path, info.name)
            if info.isdir() or not wanted(info.name):
                continue
            _check_member(path, info.name, info.isreg(), info.size, limit)
            stream = archive.extractfile(info)
            assert stream is not None, "a regular file has a stream"
            yield info.name, limited(stream, f"{path}: {info.name}", limit)


def _next(archive: tarfile.TarFile, path: Path) -> tarfile.TarInfo | None:
    with _damage_told(str(path)):
        return archive.next()


@contextmanager
def _damage_told(where: str) -> Iterator[None]:
    try:
        yield
    except DAMAGE as error:
        raise UserError(f"{where}: the archive is damaged or cut short ({error}); delete it and fetch it again") from error


def _check_name(path: Path, name: str) -> None:
    inside = PurePosixPath(name.replace("\\", "/"))
    if inside.is_absolute() or ".." in inside.parts or any(part.endswith(":") for part in inside.parts[:1]):
        raise UserError(f"{path}: the member {name!r} points outside the archive; the archive is not used: fetch it from its publisher")


def _check_member(path: Path, name: str, regular: bool, size: int, limit: int) -> None:
    if not regular:
        raise UserError(f"{path}: the member {name!r} is a link or a device; the archive is not used: fetch it from its publisher")
    if size > limit:
        raise UserError(_too_large(f"{path}: {name}", limit))


def _too_large(where: str, limit: int) -> str:
    return f"{where}: the member unpacks to more than {limit} bytes; the archive is not used: fetch it from its publisher"
