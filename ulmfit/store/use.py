"""Which processes work in a store: a sign of each, which others can see and which the kernel takes away with the process."""

import fcntl
import os
import tempfile
from contextlib import suppress
from pathlib import Path

PREFIX = "run-"


class Presence:
    """The sign of a process in the folder ``locks``, while this object lives: a locked file whose time is that of its beginning."""

    def __init__(self, locks: Path):
        while True:
            self._file = tempfile.NamedTemporaryFile(prefix=PREFIX, dir=locks)  # noqa: SIM115  # open as long as this object is
            fcntl.flock(self._file, fcntl.LOCK_EX)
            if os.path.exists(self._file.name):
                return
            with suppress(FileNotFoundError):  # somebody who looked for dead signs took it before it was locked
                self._file.close()


def working_since(locks: Path) -> float | None:
    """When the process began that has worked in the store for the longest time, in Unix seconds; None where none works.

    Signs of processes that were killed are removed.
    """
    times = [begun for path in locks.glob(f"{PREFIX}*") if (begun := _begun(path)) is not None]
    return min(times, default=None)


def _begun(sign: Path) -> float | None:
    """The time of a living process's sign."""
    try:
        with open(sign, "rb") as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except BlockingIOError:
                return os.fstat(file.fileno()).st_mtime
            sign.unlink(missing_ok=True)
    except OSError:  # it has just gone, or the folder may only be read
        pass
    return None
