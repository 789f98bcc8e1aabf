"""Files by their location: a local path, or ``s3://bucket/key``.

A file appears whole or not at all: it is written beside its location (for S3, in an unnamed temporary file) and moved there when
it is finished. S3 errors: see :mod:`ulmfit.store.s3`.
"""

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

from ulmfit.errors import UserError
from ulmfit.store import s3

CHUNK = 1 << 20  # bytes a read
REQUEST = 4 << 20  # bytes of one request to S3


def is_remote(location: str | Path) -> bool:
    """Whether the location is on S3."""
    return isinstance(location, str) and location.startswith(s3.SCHEME)


def absolute(location: str | Path) -> Path:
    """A local path in full, ``~`` as the home folder; UserError for ``~NAME`` of a user that is not there."""
    try:
        return Path(location).expanduser().absolute()
    except RuntimeError as error:
        raise UserError(f"{location}: there is no home folder for its ~; write the path in full") from error


def in_full(location: str) -> str:
    """A local path in full; a remote location as it is."""
    return location if is_remote(location) else str(absolute(location))


def join(location: str | Path, *names: str) -> str:
    """The location of ``names`` below ``location``."""
    if is_remote(location):
        return "/".join([str(location).rstrip("/"), *(name.strip("/") for name in names)])
    return os.path.join(location, *names)


def exists(location: str | Path) -> bool:
    """Whether there is a file or folder."""
    return _info(str(location)) is not None if is_remote(location) else os.path.exists(location)


def is_folder(location: str | Path) -> bool:
    """Whether there is a folder; on S3, a location with files below it."""
    if not is_remote(location):
        return os.path.isdir(location)
    info = _info(str(location))
    return info is not None and not info.is_file


def size(location: str | Path) -> int:
    """Bytes of a file; FileNotFoundError where there is none."""
    if not is_remote(location):
        return os.stat(location).st_size
    info = _info(str(location))
    if info is None or not info.is_file:
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), location)
    return info.size


def _info(location: str) -> Any:
    """What S3 says of a location; None where there is nothing."""
    from pyarrow import fs

    with s3.talking(location):
        info = s3.client().get_file_info(s3.path(location))
    return None if info.type == fs.FileType.NotFound else info


def read_bytes(location: str | Path) -> bytes:
    """All of a file; FileNotFoundError where there is none."""
    if not is_remote(location):
        with open(location, "rb") as file:
            return file.read()
    with s3.talking(str(location)), input_file(location) as file:
        return file.read()


def write_bytes(location: str | Path, data: bytes) -> None:
    """Write ``data`` as a file, so that a reader sees all of it or nothing; OSError, its errno kept, where the disk fails."""
    if is_remote(location):
        _put(str(location), data)
        return
    with output_file(location) as file:
        file.write(data)


def write_new(location: str | Path, data: bytes) -> None:
    """Write ``data`` as a file that is not there yet, as :func:`write_bytes` does; FileExistsError where it is, and it stays as it is.

    S3 has no such call on all servers: it is asked first, so two writers of one new name at once are kept apart locally alone.
    """
    if is_remote(location):
        if exists(location):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), location)
        _put(str(location), data)
        return
    beside = _beside(location)
    try:
        with naming(location), open(beside, "wb") as local:
            local.write(data)
            local.flush()
            os.fsync(local.fileno())
        try:
            os.link(beside, location)  # unlike a rename it replaces nothing
        except FileExistsError:
            raise
        except OSError:  # a file system without links
            with open(location, "xb") as local:
                local.write(data)
    finally:
        Path(beside).unlink(missing_ok=True)
    fsync(Path(location).parent)


def input_file(location: str | Path) -> pa.NativeFile:
    """A file to read at any position, closed by the caller; memory-mapped where it is local; FileNotFoundError where there is none."""
    if is_remote(location):
        with s3.talking(str(location)):
            return s3.client().open_input_file(s3.path(str(location)))
    return pa.memory_map(str(location)) if os.stat(location).st_size else pa.BufferReader(b"")


@contextmanager
def output_file(location: str | Path) -> Iterator[IO[bytes]]:
    """A file to write. It appears when the block has ended well; otherwise nothing is left of it. Folders are made as needed."""
    if is_remote(location):
        with tempfile.TemporaryFile() as file:
            with naming(tempfile.gettempdir()):
                yield file
                file.flush()
            if not os.fstat(file.fileno()).st_size:  # there is no map of nothing
                _put(str(location), b"")
            else:
                with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:  # no copy in memory
                    _put(str(location), data)
        return
    beside = _beside(location)
    try:
        with naming(location), open(beside, "wb") as local:
            yield local
            local.flush()
            os.fsync(local.fileno())
        os.replace(beside, location)
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


def fsync(path: Path) -> None:
    """Have a local file or folder written to the disk."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _beside(location: str | Path) -> str:
    """A name for an unfinished file in the folder of ``location``, which is made; only this thread uses it."""
    folder, name = os.path.split(location)
    os.makedirs(folder or ".", exist_ok=True)
    return os.path.join(folder, f".{name}.{os.getpid()}.{threading.get_ident()}.tmp")


@contextmanager
def naming(location: str | Path) -> Iterator[None]:
    """The system's error of a write names no file. Where the disk is full it gets the location, for there may be several disks."""
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT) and error.filename is None:
            error.filename = str(location)
        raise


def _put(location: str, data: bytes | mmap.mmap) -> None:
    """In one write: a failure between two would leave the first as a finished object."""
    with s3.talking(location), s3.client().open_output_stream(s3.path(location), compression=None) as file:
        file.write(data)


def files(folder: str | Path) -> dict[str, int]:
    """Name -> bytes of every file below a folder, hidden ones too; names are relative to it. Empty where there is no such folder."""
    if is_remote(folder):
        found = {info.path.removeprefix(f"{s3.path(str(folder))}/"): info.size for info in _listed(str(folder), True) if info.is_file}
    else:
        found = {name: entry.st_size for name, entry in _walk(str(folder))}
    return dict(sorted(found.items()))


def stamps(folder: str | Path) -> dict[str, str]:
    """Name -> size and times of every file below a folder, in one word that changes when the file is written. Empty where there is no folder."""
    if is_remote(folder):
        root = f"{s3.path(str(folder))}/"
        found = {info.path.removeprefix(root): f"{info.size}-{info.mtime_ns}" for info in _listed(str(folder), True) if info.is_file}
    else:  # the time of the last change of the inode is set by nobody, unlike the other
        found = {name: f"{entry.st_size}-{entry.st_mtime_ns}-{entry.st_ctime_ns}" for name, entry in _walk(str(folder))}
    return dict(sorted(found.items()))


def folders(location: str | Path) -> list[str]:
    """Names of the folders in a folder, sorted; none where there is no such folder."""
    if is_remote(location):
        return sorted(info.base_name for info in _listed(str(location), False) if not info.is_file)
    try:
        with os.scandir(location) as entries:
            return sorted(entry.name for entry in entries if entry.is_dir())
    except (FileNotFoundError, NotADirectoryError):
        return []


def infos(location: str) -> list[Any]:
    """What S3 says of an object, or else of all objects below a location (``pyarrow.fs.FileInfo``)."""
    single = _info(location)
    return [single] if single and single.is_file else [info for info in _listed(location, True) if info.is_file]


def _listed(folder: str, recursive: bool) -> list[Any]:
    from pyarrow import fs

    with s3.talking(folder):
        return s3.client().get_file_info(fs.FileSelector(s3.path(folder), allow_not_found=True, recursive=recursive))


def _walk(folder: str) -> Iterator[tuple[str, os.stat_result]]:
    for parent, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(parent, name)
            with suppress(OSError):  # moved away meanwhile, or a link to itself
                found = os.stat(path)
                if stat.S_ISREG(found.st_mode):
                    yield os.path.relpath(path, folder), found


def remove(location: str | Path) -> None:
    """Delete a file, or a folder with all that is in it; fine where there is nothing."""
    if is_remote(location):
        s3.delete([join(location, name) for name in files(location)] or [str(location)])
    elif os.path.isdir(location) and not os.path.islink(location):
        shutil.rmtree(location)
    else:
        Path(location).unlink(missing_ok=True)


def sha256(location: str | Path) -> str:
    """Hex SHA-256 of a file's bytes."""
    with stream(location) as file, s3.talking(str(location)):
        return hashlib.file_digest(file, "sha256").hexdigest()  # type: ignore[arg-type]


def stream(location: str | Path) -> IO[bytes]:
    """A file to read from its start on, closed by the caller; FileNotFoundError where there is none."""
    if not is_remote(location):
        return open(location, "rb")
    with s3.talking(str(location)):
        return s3.client().open_input_stream(s3.path(str(location)), compression=None, buffer_size=REQUEST)


def copy(source: str | Path, target: str | Path) -> None:
    """Copy a file between any two locations; FileNotFoundError where there is none."""
    if is_remote(source) and is_remote(target):
        with s3.talking(str(source)):
            s3.client().copy_file(s3.path(str(source)), s3.path(str(target)))
        return
    with output_file(target) as file:
        copy_into(source, file)


def copy_into(source: str | Path, file: IO[bytes]) -> str:
    """Write the content of a file to an open one; returns its hex SHA-256."""
    digest = hashlib.sha256()
    with stream(source) as read, s3.talking(str(source)):
        while chunk := read.read(CHUNK):
            digest.update(chunk)
            file.write(chunk)
    return digest.hexdigest()


def link_or_copy(source: str | Path, target: str | Path) -> None:
    """A hard link if both are local and on one file system, else a copy. An older target is replaced whole."""
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
        Path(beside).unlink(missing_ok=True)  # it stays where the target was a link to the source already
