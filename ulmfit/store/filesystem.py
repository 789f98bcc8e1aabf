"""Files by their place: a local path, or ``s3://bucket/key``.

Local places go straight to the operating system. A file is there whole or not at all: it is written beside its place
(for S3, in an unnamed temporary file) and put in place when it is finished. S3 errors: see :mod:`ulmfit.store.s3`.
"""

from __future__ import annotations

import errno
import hashlib
import mmap
import os
import shutil
import stat
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO, Any

import pyarrow as pa

from ulmfit.store import s3

CHUNK = 1 << 20  # bytes a read
REQUEST = 4 << 20  # bytes that one request to S3 brings


def is_remote(place: str | Path) -> bool:
    """Whether the place is on S3."""
    return isinstance(place, str) and place.startswith(s3.SCHEME)


def join(place: str | Path, *names: str) -> str:
    """The place of ``names`` below ``place``."""
    if is_remote(place):
        return "/".join([str(place).rstrip("/"), *(name.strip("/") for name in names)])
    return os.path.join(place, *names)


def exists(place: str | Path) -> bool:
    """Whether there is a file or folder."""
    return _info(str(place)) is not None if is_remote(place) else os.path.exists(place)


def is_folder(place: str | Path) -> bool:
    """Whether there is a folder; on S3, a place with files below it."""
    if not is_remote(place):
        return os.path.isdir(place)
    info = _info(str(place))
    return info is not None and not info.is_file


def size(place: str | Path) -> int:
    """Bytes of a file; FileNotFoundError where there is none."""
    if not is_remote(place):
        return os.stat(place).st_size
    info = _info(str(place))
    if info is None or not info.is_file:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), place)
    return info.size


def _info(place: str) -> Any:
    """What S3 says of a place; None where there is nothing."""
    from pyarrow import fs

    with s3.talking(place):
        info = s3.client().get_file_info(s3.path(place))
    return None if info.type == fs.FileType.NotFound else info


def read_bytes(place: str | Path) -> bytes:
    """All of a file; FileNotFoundError where there is none."""
    if not is_remote(place):
        with open(place, "rb") as file:
            return file.read()
    with s3.talking(str(place)), input_file(place) as file:
        return file.read()


def write_bytes(place: str | Path, data: bytes) -> None:
    """Write ``data`` as a file, so that a reader sees all of it or nothing; OSError, its errno kept, where the disk fails."""
    if is_remote(place):
        _put(str(place), data)
        return
    with output_file(place) as file:
        file.write(data)


def input_file(place: str | Path) -> pa.NativeFile:
    """A file to read at any position, closed by the caller; memory-mapped where it is local.

    FileNotFoundError where there is none.
    """
    if is_remote(place):
        with s3.talking(str(place)):
            return s3.client().open_input_file(s3.path(str(place)))
    return pa.memory_map(str(place)) if os.stat(place).st_size else pa.BufferReader(b"")


@contextmanager
def output_file(place: str | Path) -> Iterator[IO[bytes]]:
    """A file to write, there when the block has ended well; otherwise nothing is left of it. Folders are made as needed."""
    if is_remote(place):
        with tempfile.TemporaryFile() as file:
            yield file
            file.flush()
            with _mapped(file) as data:
                _put(str(place), data)
        return
    beside = _beside(place)
    try:
        with open(beside, "wb") as local:
            yield local
            local.flush()
            os.fsync(local.fileno())
        os.replace(beside, place)
    finally:
        Path(beside).unlink(missing_ok=True)


@contextmanager
def output_folder(target: Path) -> Iterator[Path]:
    """A local folder to fill, moved to ``target`` when the block has ended well; otherwise nothing is left of it.

    OSError where ``target`` is there then and is not an empty folder.
    """
    target = target.absolute()
    target.parent.mkdir(parents=True, exist_ok=True)
    beside = Path(tempfile.mkdtemp(prefix=f".{target.name}-", dir=target.parent))
    try:
        yield beside
        beside.chmod(0o755)
        beside.replace(target)
    finally:
        shutil.rmtree(beside, ignore_errors=True)


def _beside(place: str | Path) -> str:
    """A name for unfinished work in the folder of ``place``, which is made; only this thread uses it."""
    folder, name = os.path.split(place)
    os.makedirs(folder or ".", exist_ok=True)
    return os.path.join(folder, f".{name}.{os.getpid()}.{threading.get_ident()}.tmp")


@contextmanager
def _mapped(file: IO[bytes]) -> Iterator[bytes | mmap.mmap]:
    """What an open file holds, without a copy of it in memory."""
    if not os.fstat(file.fileno()).st_size:  # there is no map of nothing
        yield b""
        return
    with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _put(place: str, data: bytes | mmap.mmap) -> None:
    """In one write: had it two, a failure between them would leave the first as a finished object."""
    with s3.talking(place), s3.client().open_output_stream(s3.path(place), compression=None) as file:
        file.write(data)


def files(folder: str | Path) -> dict[str, int]:
    """Every file below a folder, hidden ones too, by its name from there: its bytes. Empty where there is no such folder."""
    if is_remote(folder):
        found = {info.path.removeprefix(f"{s3.path(str(folder))}/"): info.size for info in _listed(str(folder), True) if info.is_file}
    else:
        found = dict(_walk(str(folder)))
    return dict(sorted(found.items()))


def folders(place: str | Path) -> list[str]:
    """Names of the folders in a folder, sorted; none where there is no such folder."""
    if is_remote(place):
        return sorted(info.base_name for info in _listed(str(place), False) if not info.is_file)
    try:
        with os.scandir(place) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def _listed(folder: str, recursive: bool) -> list[Any]:
    from pyarrow import fs

    with s3.talking(folder):
        return s3.client().get_file_info(fs.FileSelector(s3.path(folder), allow_not_found=True, recursive=recursive))


def _walk(folder: str) -> Iterator[tuple[str, int]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with suppress(FileNotFoundError):  # moved away meanwhile
                found = os.stat(path)
                if stat.S_ISREG(found.st_mode):
                    yield os.path.relpath(path, folder), found.st_size


def remove(place: str | Path) -> None:
    """Delete a file, or a folder with all that is in it; fine where there is nothing."""
    if is_remote(place):
        s3.delete([join(place, name) for name in files(place)] or [str(place)])
    elif os.path.isdir(place) and not os.path.islink(place):
        shutil.rmtree(place)
    else:
        Path(place).unlink(missing_ok=True)


def sha256(place: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with stream(place) as file, s3.talking(str(place)):
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def stream(place: str | Path) -> IO[bytes]:
    """A file to read from its start on, closed by the caller; FileNotFoundError where there is none."""
    if not is_remote(place):
        return open(place, "rb")
    with s3.talking(str(place)):
        return s3.client().open_input_stream(s3.path(str(place)), compression=None, buffer_size=REQUEST)


def fetch(place: str | Path, folder: Path) -> Path:
    """A copy of a file in a local folder, under its own name."""
    target = folder / os.path.basename(place)
    copy(place, target)
    return target


def copy(source: str | Path, target: str | Path) -> None:
    """Copy a file, from any place to any other; FileNotFoundError where there is none."""
    if is_remote(source) and is_remote(target):
        with s3.talking(str(source)):
            s3.client().copy_file(s3.path(str(source)), s3.path(str(target)))
        return
    with output_file(target) as file:
        copy_into(source, file)


def copy_into(source: str | Path, file: IO[bytes]) -> str:
    """Write what is in a file to an open one; the hex SHA-256 of it."""
    digest = hashlib.sha256()
    with stream(source) as read, s3.talking(str(source)):
        while chunk := read.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A hard link where both are local and one file system holds them, else a copy; an older target is replaced whole."""
    if is_remote(source) or is_remote(target):
        copy(source, target)
        return
    beside = _beside(target)
    try:
        os.link(source, beside)
        os.replace(beside, target)
    except FileNotFoundError:
        raise
    except OSError:  # another file system, or one without links
        copy(source, target)
    finally:
        Path(beside).unlink(missing_ok=True)  # also left where the target was a link to the source already
