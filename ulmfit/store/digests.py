"""Digests of an artifact's files: computed, checked, and checked again when a file is fetched from S3."""

import errno
import logging
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from ulmfit.errors import UserError
from ulmfit.store import filesystem

log = logging.getLogger(__name__)

REQUESTS = 8  # at once
Result = TypeVar("Result")


@dataclass(frozen=True)
class StoredFile:
    """The digest (hex) and the size of a file."""

    sha256: str
    bytes: int


Files = Mapping[str, StoredFile]  # by the file's name in its folder


class Damaged(Exception):
    """The file at ``location`` is missing, or its digest is not the stored one."""

    def __init__(self, location: str):
        super().__init__(location)
        self.location = location


def entries(folder: str | Path, taken: Files, leave: str = "") -> dict[str, StoredFile]:
    """The files in ``folder`` except ``leave``, with their digests. Digests in ``taken`` are trusted where the size is the same.

    FileNotFoundError where a file of ``taken`` is missing.
    """
    sizes = {name: size for name, size in filesystem.files(folder).items() if name != leave}
    for name in taken.keys() - sizes.keys():
        raise FileNotFoundError(errno.ENOENT, "a finished file has vanished; run again", filesystem.join(folder, name))
    rest = [name for name, size in sizes.items() if name not in taken or taken[name].bytes != size]
    digests = dict(zip(rest, in_parallel(lambda name: filesystem.sha256(filesystem.join(folder, name)), rest), strict=True))
    return {name: StoredFile(digests.get(name) or taken[name].sha256, size) for name, size in sizes.items()}


def changed(folder: Path, files: Files) -> list[str]:
    """Names of the ``files`` that are missing in a local folder, cut short or changed."""
    intact = in_parallel(lambda name: is_intact(folder / name, files[name].sha256, files[name].bytes), files)
    return [name for name, whole in zip(files, intact, strict=True) if not whole]


def stored_file(location: str | Path) -> StoredFile:
    """Digest and size of a file; FileNotFoundError where there is none."""
    return StoredFile(filesystem.sha256(location), filesystem.size(location))


def is_intact(location: str | Path, sha256: str, size: int | None = None) -> bool:
    """Whether the file is there, with that digest (hex) and, if it is known, that size in bytes."""
    try:
        return (size is None or filesystem.size(location) == size) and filesystem.sha256(location) == sha256
    except OSError:
        return False


def fetch(location: str, folder: Path, files: Files) -> None:
    """Copy ``files`` that are not intact in the local folder into it; Damaged where one at ``location`` is missing or differs."""
    lacking = changed(folder, files)
    if lacking:
        log.info("fetching %d files of %s (%.1f MB)", len(lacking), location, sum(files[name].bytes for name in lacking) / 1e6)
    in_parallel(lambda name: _fetch(filesystem.join(location, name), folder, name, files[name].sha256), lacking)


def _fetch(source: str, folder: Path, name: str, sha256: str) -> None:
    target = folder / name
    if not target.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"{source}: an artifact cannot have a file outside of it; remove the artifact")
    with filesystem.output_file(target) as file:
        try:
            found = filesystem.copy_into(source, file)
        except FileNotFoundError as error:
            raise Damaged(source) from error
        if found != sha256:
            raise Damaged(source)


def in_parallel(function: Callable[[str], Result], names: Iterable[str]) -> list[Result]:
    """``function`` of every name, in order, several at once, because S3 answers slowly. The first error ends it."""
    with ThreadPoolExecutor(REQUESTS) as pool:
        return list(pool.map(function, names))
