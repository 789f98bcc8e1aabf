"""What the runs cost: seconds by stage, by month and by experiment; and money, at a rate for an hour of a machine."""

import sqlite3

from ulmfit.store.json import Facts

HOUR = 3600.0


class Stage(Facts):
    """Stages of a kind that ended: how many, their seconds, and how many of these were spent on ones that failed or were killed.

    ``share``: of the seconds of all stages; ``money``: that share of what all runs cost.
    """

    kind: str
    number: int
    seconds: float
    lost_seconds: float
    share: float
    money: float | None


class Spent(Facts):
    """Runs that ended: how many, their seconds on a machine, and what these cost. ``name``: a month, or an experiment."""

    name: str
    number: int
    seconds: float
    lost_seconds: float
    money: float | None


class Cost(Facts):
    """All that was spent. ``rate``: money an hour; None where nobody said."""

    rate: float | None
    currency: str
    total: Spent
    months: list[Spent]
    experiments: list[Spent]
    stages: list[Stage]


def cost(reading: sqlite3.Connection, rate: float | None, currency: str) -> Cost:
    """Runs that are no part of another count with the time from start to end: their stages may run side by side."""
    (total,) = _spent(reading, "'all'", rate) or [Spent(name="all", number=0, seconds=0.0, lost_seconds=0.0, money=_money(0.0, rate))]
    return Cost(
        rate=rate,
        currency=currency,
        total=total,
        months=_spent(reading, "strftime('%Y-%m', started, 'unixepoch')", rate, "1 desc")[:24],
        experiments=_spent(reading, "experiment", rate, "3 desc"),
        stages=_stages(reading, total.money),
    )


SECONDS = "max(0, ended - started)"
LOST = f"case when status = 'FINISHED' then 0 else {SECONDS} end"


def _spent(reading: sqlite3.Connection, by: str, rate: float | None, order: str = "1") -> list[Spent]:
    query = f"""select {by} as name, count(*) as number, sum({SECONDS}) as seconds, sum({LOST}) as lost_seconds
      from runs where parent is null and ended is not null group by 1 order by {order}"""
    return [Spent(**dict(row), money=_money(row["seconds"], rate)) for row in reading.execute(query)]


def _stages(reading: sqlite3.Connection, money: float | None) -> list[Stage]:
    query = f"""select kind, count(*) as number, sum({SECONDS}) as seconds, sum({LOST}) as lost_seconds
      from runs where parent is not null and kind is not null and ended is not null group by 1 order by 3 desc"""
    rows = reading.execute(query).fetchall()
    all_seconds = sum(row["seconds"] for row in rows) or 1.0
    share = lambda row: row["seconds"] / all_seconds
    return [Stage(**dict(row), share=share(row), money=None if money is None else money * share(row)) for row in rows]


def _money(seconds: float, rate: float | None) -> float | None:
    return None if rate is None else seconds / HOUR * rate
