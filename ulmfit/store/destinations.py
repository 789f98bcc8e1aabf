"""Where a result is to go: looked at before the work begins, so that nothing is made for a place that cannot be written."""

import re
import tempfile
from pathlib import Path

from ulmfit.errors import UserError
from ulmfit.store import filesystem

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]*:/")
PROBE = ".writable"


def new_folder(location: str, option: str) -> str:
    """The location in full of a folder to be made: a path, or ``s3://...``. UserError unless it is new or empty, and can be written."""
    if filesystem.is_remote(location):
        return _new_remote_folder(location, option)
    path = _local(location, option)
    try:
        if path.exists() and (not path.is_dir() or any(path.iterdir())):
            raise UserError(f"{option} {location}: {'is not empty' if path.is_dir() else 'is a file'}; choose a new folder")
        _probe(path)
    except OSError as error:
        raise UserError(f"{option} {location}: cannot be written ({error.strerror}); choose another folder") from error
    return str(path)


def marked_folder(location: str, option: str, mark: str) -> str:
    """The location in full of a folder to be made, or to be filled further: one that holds ``mark``. UserError unless it is new, empty or
    such a one, and can be written."""
    where = location.rstrip("/") if filesystem.is_remote(location) else str(_local(location, option))
    if filesystem.exists(filesystem.join(where, mark)):
        return where
    return new_folder(where, option)


def new_file(location: str, option: str) -> Path:
    """The path in full of a file to be made. UserError unless it is new and can be written."""
    path = _local(location, option)
    try:
        if path.exists():
            raise UserError(f"{option} {location}: exists already; choose another name")
        _probe(path.parent)
    except OSError as error:
        raise UserError(f"{option} {location}: cannot be written ({error.strerror}); choose another name") from error
    return path


def _new_remote_folder(location: str, option: str) -> str:
    if filesystem.files(location):
        raise UserError(f"{option} {location}: is not empty; choose a new folder")
    probe = filesystem.join(location, PROBE)
    try:
        filesystem.write_bytes(probe, b"")
        filesystem.remove(probe)
    except OSError as error:
        raise UserError(f"{option} {location}: cannot be written ({error.strerror or error}); choose another folder") from error
    return location


def _local(location: str, option: str) -> Path:
    if not location or SCHEME.match(location):
        raise UserError(f"{option} {location!r}: write a path, or s3://BUCKET/FOLDER for a folder on S3")
    return filesystem.absolute(location)


def _probe(folder: Path) -> None:
    """OSError where nothing can be written into the folder, or into the nearest one above it that is there."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    with tempfile.TemporaryFile(dir=there):
        pass
