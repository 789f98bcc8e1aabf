"""The page Data: what landed, what it is worth, what is set aside, whether it drifts, what waits."""

import sqlite3

from dashboard.queries.drift import DriftSeries, drift
from dashboard.queries.histories import history, model_names
from dashboard.queries.landed import Arrivals, Day, Source, arrivals, days, sources, total
from dashboard.queries.quality import CorpusState, states
from dashboard.queries.waiting import Waiting, waiting
from ulmfit.corpora.landing.entries import Counts
from ulmfit.store.json import Facts


class Data(Facts):
    """The data of a model. ``total``: over all arrivals; ``corpora``: behind its versions, the first one first."""

    name: str
    models: list[str]
    total: Counts
    waiting: Waiting
    sources: list[Source]
    days: list[Day]
    arrivals: Arrivals
    corpora: list[CorpusState]
    drift: list[DriftSeries]


def data(reading: sqlite3.Connection, name: str | None, page: int) -> Data | None:
    """That of the model ``name``, else of the one for which most has landed; None where there is no such model."""
    names = model_names(reading)
    if not names or name not in (None, *names):
        return None
    name = name or max(names, key=lambda each: total(reading, each)[0].documents)
    past = history(reading, name)
    sums, number = total(reading, name)
    return Data(
        name=name,
        models=names,
        total=sums,
        waiting=waiting(reading, name, past),
        sources=sources(reading, name),
        days=days(reading, name),
        arrivals=arrivals(reading, name, page, number),
        corpora=states(reading, name),
        drift=drift(past),
    )
