"""A journal: entries that are written once and never changed, each a file of its own whose name sorts by time.

Two writers never meet: a name holds the time and 64 random bits. So no lock is needed, on S3 neither.
"""

import secrets
import threading
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Generic, TypeVar

from pydantic import TypeAdapter, ValidationError

from ulmfit.store import filesystem
from ulmfit.store.digests import in_parallel
from ulmfit.store.json import Facts

Entry = TypeVar("Entry", bound=Facts)
SUFFIX = ".json"
FORMAT = "%Y%m%dT%H%M%S%fZ"


class Clock:
    """The time, which does not go back behind what this process has read or written, though the clock of the machine may."""

    def __init__(self) -> None:
        self._latest, self._lock = datetime.min.replace(tzinfo=UTC), threading.Lock()

    def saw(self, name: str) -> None:
        """An entry of this name is there."""
        try:
            time = datetime.strptime(name.partition("-")[0], FORMAT).replace(tzinfo=UTC)
        except ValueError:
            return  # somebody else's file
        with self._lock:
            self._latest = max(self._latest, time)

    def now(self) -> datetime:
        """A time after all of these."""
        with self._lock:
            self._latest = max(datetime.now(UTC), self._latest + timedelta(microseconds=1))
            return self._latest


clock = Clock()


def now() -> datetime:
    """The time in UTC; where the clock went back, a moment after the latest entry that is known, for the order of entries is that of their names."""
    return clock.now()


def new_id(time: datetime) -> str:
    """A name for an entry of that ``time`` (UTC), which no other entry has and which sorts by time."""
    return f"{time:{FORMAT}}-{secrets.token_hex(8)}"


@dataclass(frozen=True)
class Pages(Generic[Entry]):
    """What a journal holds, by time, and the locations of the files that cannot be read."""

    entries: tuple[Entry, ...]
    damaged: tuple[str, ...] = ()


@dataclass(frozen=True)
class Journal(Generic[Entry]):
    """The journal in a folder, local or on S3; ``kind`` reads its entries."""

    location: str
    kind: TypeAdapter[Entry]

    def append(self, name: str, entry: Entry) -> str:
        """Write an entry as :func:`new_id` names it, whole or not at all; returns its location. FileExistsError where the name is taken."""
        location = filesystem.join(self.location, name + SUFFIX)
        filesystem.write_new(location, entry.model_dump_json(indent=1).encode())
        return location

    def read(self) -> Pages[Entry]:
        """All entries, and the files that hold none; nothing where there is no journal yet."""
        names = [name for name in filesystem.files(self.location) if name.endswith(SUFFIX) and not name.startswith(".")]
        if names:
            clock.saw(max(names))
        found = in_parallel(self._read, names)
        damaged = [filesystem.join(self.location, name) for name, entry in zip(names, found, strict=True) if entry is None]
        return Pages(tuple(entry for entry in found if entry is not None), tuple(damaged))

    def _read(self, name: str) -> Entry | None:
        try:
            return self.kind.validate_json(filesystem.read_bytes(filesystem.join(self.location, name)))
        except (ValidationError, FileNotFoundError):
            return None
