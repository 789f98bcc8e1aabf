"""The page Now: champions, what is running, what needs a person."""

import sqlite3
import time
from collections.abc import Iterator

from dashboard.queries import attention
from dashboard.queries.attention import Attention
from dashboard.queries.champions import Reign, champion_of, reigns
from dashboard.queries.histories import Decided, history, model_names
from dashboard.queries.running import FlowRun, Running, flow_runs, running
from dashboard.queries.waiting import Waiting, waiting
from ulmfit.decisions.history import History
from ulmfit.store.json import Facts

UNDER_WAY = ("RUNNING", "PENDING", "PAUSED", "CANCELLING")  # states of Prefect


class ModelNow(Facts):
    """A model. ``champion``: by the registry; ``reigns``: all champions that decisions made; ``last``: what was decided last."""

    name: str
    champion: str | None
    reigns: list[Reign]
    versions: int
    waiting: Waiting
    last: Decided | None

    @property
    def reign(self) -> Reign | None:
        """Since when and by whom the champion is; None where no decision made it."""
        last = self.reigns[-1] if self.reigns else None
        return last if last and last.version == self.champion else None


class Now(Facts):
    """What the page shows."""

    models: list[ModelNow]
    running: list[Running]
    flow_runs: list[FlowRun]
    attention: list[Attention]


def now(reading: sqlite3.Connection) -> Now:
    """As the read model has it."""
    at = time.time()
    under_way = running(reading, at)
    found: list[Attention] = []
    known = list(_histories(reading))
    for name, champion, past in known:
        found += attention.of_model(reading, name, champion, past, bool(under_way))
    return Now(
        models=[_model(reading, *each) for each in known],
        running=under_way,
        flow_runs=flow_runs(reading, UNDER_WAY),
        attention=[*found, *attention.of_workspace(reading, at)],
    )


def models(reading: sqlite3.Connection) -> list[ModelNow]:
    """All models, by name."""
    return [_model(reading, *each) for each in _histories(reading)]


def _histories(reading: sqlite3.Connection) -> Iterator[tuple[str, str | None, History]]:
    """Name, champion and history of each model."""
    for name in model_names(reading):
        past = history(reading, name)
        yield name, champion_of(reading, name, past), past


def _model(reading: sqlite3.Connection, name: str, champion: str | None, past: History) -> ModelNow:
    versions = reading.execute("select count(*) from versions where model = ?", [name]).fetchone()[0]
    return ModelNow(
        name=name,
        champion=champion,
        reigns=reigns(reading, name, past),
        versions=versions,
        waiting=waiting(reading, name, past),
        last=Decided.of(past.decisions[-1], past) if past.decisions else None,
    )
