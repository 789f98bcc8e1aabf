"""Text that landed since a model was trained last."""

import sqlite3

from ulmfit.decisions.history import History
from ulmfit.store.json import Facts
from ulmfit.store.names import folder_of


class Waiting(Facts):
    """Files, documents and new or corrected labels that no training has seen yet."""

    files: int = 0
    documents: int = 0
    labels: int = 0


def waiting(reading: sqlite3.Connection, model: str, history: History) -> Waiting:
    """The sums over the arrivals after the last training."""
    last = next((each for each in reversed(history.retrainings()) if each.id in history.followed), None)
    until = last.cycle.until or "" if last and last.cycle else ""
    query = """select sum(json_extract(facts, '$.counts.files')), sum(json_extract(facts, '$.counts.documents')),
      sum(json_extract(facts, '$.counts.labels')) + sum(json_extract(facts, '$.counts.corrections'))
      from landed where folder = ? and kind = 'arrival' and id > ?"""
    files, documents, labels = reading.execute(query, [folder_of(model), until]).fetchone()
    return Waiting(files=files or 0, documents=documents or 0, labels=labels or 0)
