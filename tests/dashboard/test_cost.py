"""The page Cost."""

from __future__ import annotations

import pytest

from tests.dashboard.home import Home
from tests.report.example import Page


def test_money_is_the_time_of_machines_at_a_rate(home: Home) -> None:
    train = home.run(start=1_700_000_000, end=1_700_003_600)
    for start in (0, 100):  # side by side
        home.run("classify", parent=train, start=1_700_000_000 + start, end=1_700_001_800 + start, tags={"ulmfit.kind": "classifier"})
    home.run("ingest", "FAILED", parent=train, start=1_700_000_000, end=1_700_001_200, tags={"ulmfit.kind": "corpus"})
    home.run(status="KILLED", start=1_703_000_000, end=1_703_001_800)
    home.run(status=None)
    with home.looking(rate=2.0) as client:
        found = client.get("/api/v1/cost").json()
        assert (found["total"]["seconds"], found["total"]["lost_seconds"], found["total"]["money"]) == (5400, 1800, 3.0)
        assert [(month["name"], month["money"]) for month in found["months"]] == [("2023-12", 1.0), ("2023-11", 2.0)]
        classify, ingest = found["stages"]
        assert (classify["seconds"], classify["share"], classify["money"]) == (3600, 0.75, pytest.approx(2.25))
        assert ingest["lost_seconds"] == 1200
        assert client.get("/api/v1/cost", params={"rate": 4}).json()["total"]["money"] == 6.0
        assert "€ 3.00" in Page(client.get("/cost").text).text
        assert client.get("/cost", params={"rate": "-1"}).status_code == 422


def test_without_a_rate_there_is_time_alone(home: Home) -> None:
    with home.looking() as client:
        found = client.get("/api/v1/cost").json()
        assert found["rate"] is found["total"]["money"] is None
        assert client.get("/cost").status_code == 200
