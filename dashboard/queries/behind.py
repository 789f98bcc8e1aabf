"""What stands behind artifacts, and what is made of them, by the read model."""

import sqlite3
from collections.abc import Iterable

from dashboard.read_model.database import MOST_ASKED


def behind(reading: sqlite3.Connection, keys: Iterable[str]) -> list[sqlite3.Row]:
    """The artifacts of these ``keys`` and all that they are made of, as far as they are known, by the time that each was finished."""
    wanted = list(dict.fromkeys(keys))
    query = f"""with recursive behind (key) as (values {_marks(wanted)} union select input from behind join inputs on artifact = behind.key)
      select artifacts.* from artifacts join behind using (key) order by finished, key"""
    return reading.execute(query, wanted).fetchall() if wanted else []


def corpora_of(reading: sqlite3.Connection, model: str) -> list[sqlite3.Row]:
    """The corpora behind each version of a model, with the ``version``: the same one may stand behind several."""
    query = """with recursive behind (version, key) as (select version, key from versions where model = ?
        union select version, input from behind join inputs on artifact = behind.key)
      select version, artifacts.* from artifacts join behind using (key) where kind = 'corpus' order by version, finished, key"""
    return reading.execute(query, [model]).fetchall()


def versions_of(reading: sqlite3.Connection, keys: Iterable[str]) -> list[tuple[str, int]]:
    """Model and number of the versions that are one of these artifacts, or made of one."""
    wanted = list(dict.fromkeys(keys))[:MOST_ASKED]
    query = f"""with recursive made (key) as (values {_marks(wanted)} union select artifact from made join inputs on input = made.key)
      select model, version from versions where key in (select key from made) order by model, version"""
    return [(row["model"], row["version"]) for row in reading.execute(query, wanted)] if wanted else []


def _marks(values: list[str]) -> str:
    return ", ".join(["(?)"] * len(values))
