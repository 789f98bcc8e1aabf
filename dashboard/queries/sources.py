"""Whether what the pages rest on could be read, and when last."""

import sqlite3
from datetime import UTC, datetime
from typing import Literal

from ulmfit.store.json import Facts


class Source(Facts):
    """A source of the read model. ``absent``: there need not be one, and there is none. ``read_at``: the last time that it could be read."""

    name: str
    state: Literal["read", "down", "absent"]
    read_at: datetime | None
    says: str


def sources(reading: sqlite3.Connection) -> list[Source]:
    """All of them, by name."""
    rows = reading.execute("select * from sources order by name").fetchall()
    return [Source(name=row["name"], state=_state(row["ok"]), read_at=time_of(row["read_at"]), says=row["says"]) for row in rows]


def _state(good: int | None) -> Literal["read", "down", "absent"]:
    return "absent" if good is None else "read" if good else "down"


def time_of(seconds: float | None) -> datetime | None:
    """Seconds since the epoch as a time in UTC."""
    return None if seconds is None else datetime.fromtimestamp(seconds, UTC)
