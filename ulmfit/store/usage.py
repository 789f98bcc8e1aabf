"""How much room files take, and when they were changed last."""

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from ulmfit.store import filesystem


@dataclass(frozen=True)
class Usage:
    """What lies at a location: its bytes, and when it was changed last (Unix seconds)."""

    bytes: int
    changed: float


def usage(location: str | os.PathLike[str]) -> Usage | None:
    """Of a file, or of all files below a folder; None where there are none."""
    if filesystem.is_remote(found := os.fspath(location)):
        sizes = [(info.size, info.mtime_ns / 1e9) for info in filesystem.infos(found)]
    else:
        sizes = [(status.st_size, status.st_mtime) for status in _statuses(found)]
    return Usage(sum(size for size, _ in sizes), max(changed for _, changed in sizes)) if sizes else None


def freed(locations: Iterable[str]) -> int:
    """Bytes that the removal of these files and folders gives back: a file that is linked from elsewhere, too, gives none."""
    total = 0
    names: dict[tuple[int, int], int] = {}  # that were met of a file
    for location in locations:
        if filesystem.is_remote(location):
            total += found.bytes if (found := usage(location)) else 0
            continue
        for status in _statuses(location):
            file = (status.st_dev, status.st_ino)
            names[file] = names.get(file, 0) + 1
            total += status.st_size if names[file] == status.st_nlink else 0
    return total


def _statuses(location: str) -> Iterator[os.stat_result]:
    """Of a local file, or of all files below a folder."""
    paths = [location] if os.path.isfile(location) else (os.path.join(location, name) for name in filesystem.files(location))
    for path in paths:
        try:
            yield os.stat(path)
        except OSError:  # moved away meanwhile
            continue
