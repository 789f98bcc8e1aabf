"""The page Data: what landed by source and day, quality, quarantine, drift, what waits."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from dashboard.drawings.drift import effects
from dashboard.drawings.landed import landed_over_time, named_sources
from dashboard.queries.drift import DriftPoint, DriftSeries, drift
from dashboard.queries.landed import Day
from tests.dashboard.home import MODEL, Home
from tests.report.example import Page
from ulmfit.corpora.ingest.quarantine import QUARANTINE
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.decisions.cycle import Cycle, NewText
from ulmfit.decisions.decision import Author, Decision
from ulmfit.decisions.history import History
from ulmfit.decisions.retrain_policy import RetrainPolicy
from ulmfit.monitoring.drift_figures import DriftFigures, Figure
from ulmfit.store.filesystem import join, write_bytes

STRANGE = "<script>alert(1)</script>\x1b[31m\u202e=1+1" + "x" * 400


def file(number: int, name: str, **facts: Any) -> dict[str, Any]:
    known = {
        "named": name,
        "stamp": "1",
        "content": f"{number:064x}:.csv:",
        "rows": 10,
        "documents": 9,
        "labels": 3,
        "quarantined": {"empty": 1},
    }
    return {"number": number, "name": name, **known, **facts}


def quarantine(home: Home, rows: int, model: str = MODEL) -> str:
    """A file of rows that were set aside, in two groups; its name in the ledger."""
    held = [{"source": "a.csv", "row": row, "reason": "empty", "excerpt": f"{row} {STRANGE}"} for row in range(rows)]
    buffer = pa.BufferOutputStream()
    pq.write_table(pa.Table.from_pylist(held, QUARANTINE), buffer, row_group_size=max(1, rows // 2))
    write_bytes(join(Ledger(home.workspace.store, model).location, "x/0.quarantine.parquet"), buffer.getvalue().to_pybytes())
    return "x/0.quarantine.parquet"


def figures(**found: Any) -> DriftFigures:
    usual = {"limit": 0.15, "level": 0.001, "rows": 400, "says": "as before"}
    figure = lambda name: Figure(**{"value": 0.1, "reference": 0.1, "effect": 0.01, "p_value": 0.5, **usual, **found.get(name, {})})
    return DriftFigures(**{name: figure(name) for name in DriftFigures.model_fields})


def cycle(number: int, found: DriftFigures | None, until: str | None = None) -> Cycle:
    return Cycle(
        number=number, landed="d", until=until, asked="a", new=NewText(), training="warm", reasons=("new labels",), policy=RetrainPolicy(), drift=found
    )  # fmt: skip


def test_what_landed_is_told_by_source(told: Home, home: Home) -> None:
    home.decide("held", None, cycle=cycle(1, None))
    home.landed(files=[file(0, "mail/a.csv", documents=20), file(1, "mail/sub/b.csv"), file(2, "c.csv")], counts={"duplicates": 2})
    with home.looking() as client:
        found = client.get("/api/v1/data").json()
        text = Page(client.get("/data").text).text
    assert [(each["name"], each["files"], each["documents"]) for each in found["sources"]] == [("mail", 2, 29), ("", 1, 9)]
    assert found["waiting"] == {"files": 1, "documents": 12, "labels": 7} and found["total"]["duplicates"] == 2
    assert "the landing folder itself" in text and "No corpus of a version is known here" in text and "Drift was not measured yet" in text


def test_files_come_fifty_a_page_and_by_name(home: Home) -> None:
    home.decide("held", None, cycle=cycle(1, None))
    home.landed(files=[file(number, f"mail/{number:05d}.csv") for number in range(10_000)])
    home.landed(files=[file(0, "other.csv")])
    with home.looking() as client:
        first = client.get("/files", params={"name": MODEL})
        assert "10,001 files" in Page(first.text).text and first.text.count("<tr>") == 51 and len(first.content) < 60_000
        (older,) = re.findall(r'rel="next" href="([^"]+)"', first.text)
        assert "page 2 of 201" in Page(client.get(older.replace("&amp;", "&")).text).text
        ask = lambda **query: client.get("/api/v1/files", params={"name": MODEL, **query}).json()
        assert [each["name"] for each in ask(text="OTHER")["files"]] == ["other.csv"] and ask(text="%")["number"] == 0
        arrival = ask(text="other")["files"][0]["arrival"]
        assert ask(arrival=arrival)["number"] == 1 and ask(arrival="none")["number"] == 0
        assert ask(page=999)["page"] == 201
        assert len(client.get("/data").content) < 60_000


def test_rows_that_were_set_aside_are_paged_and_are_text(home: Home) -> None:
    home.decide("held", None, cycle=cycle(1, None))
    home.landed(quarantine=[quarantine(home, 10_000), "y/gone.quarantine.parquet"], counts={"quarantined": {"empty": 10_000}})
    with home.looking() as client:
        data = client.get("/api/v1/data").json()
        (arrival,) = data["arrivals"]["arrivals"]
        ask = lambda page: client.get("/api/v1/quarantine", params={"name": MODEL, "arrival": arrival["id"], "page": page}).json()
        assert [row["row"] for row in ask(1)["rows"]] == list(range(50)) and [row["row"] for row in ask(101)["rows"]] == list(
            range(5000, 5050)
        )
        assert (ask(999)["page"], ask(1)["pages"], ask(1)["missing"]) == (200, 200, 1)
        page = client.get("/quarantine", params={"name": MODEL, "arrival": arrival["id"]}).text
        assert "<script>alert" not in page and "␛[31m⟨RIGHT-TO-LEFT OVERRIDE⟩" in Page(page).text
        assert "10,000</strong>" in client.get("/data").text
        assert client.get("/quarantine", params={"name": MODEL, "arrival": "../x"}).status_code == 404
        assert (
            client.get("/files", params={"name": "nobody"}).status_code == client.get("/data", params={"name": "nobody"}).status_code == 404
        )


def test_a_rewritten_or_removed_entry_leaves_no_files(home: Home) -> None:
    home.decide("held", None, cycle=cycle(1, None))
    home.landed(files=[file(0, "a.csv")], test=file(0, "test.csv"))
    journal = Ledger(home.workspace.store, MODEL).journal.location
    with home.looking() as client:
        ask = lambda: client.get("/api/v1/files", params={"name": MODEL}).json()["files"]
        assert [(each["name"], each["test"]) for each in ask()] == [("test.csv", True), ("a.csv", False)]
        for entry in home.workspace.root.glob("artifacts/.landed/*/journal/*.json"):
            assert str(entry).startswith(journal)
            entry.unlink()
        home.read()
        assert ask() == []


def test_drift_has_its_own_history_and_limits(home: Home) -> None:
    home.decide("held", None, cycle=cycle(1, figures()))
    noticed = {"effect": 0.4, "p_value": 1e-6, "noticed": True, "value": 70.0, "reference": 40.0}
    home.decide("held", None, cycle=cycle(1, figures(perplexity=noticed, labels={"label": STRANGE})), champion="1")
    with home.looking() as client:
        found = {each["name"]: each for each in client.get("/api/v1/data").json()["drift"]}
        page = client.get("/data").text
    assert [point["figure"]["effect"] for point in found["perplexity"]["points"]] == [0.01, 0.4]
    assert found["outlying"]["sides"] == ["up"] and found["accuracy"]["sides"] == ["down"] and found["labels"]["effect"] == "Cohen's w"
    assert "70 after 40; effect +0.40 (Cohen's d), limit 0.15. Noticed." in Page(page).text
    assert page.count('class="noticed"') == 1 and page.count('class="change"') == 6 and "<script>alert" not in page


def test_figures_with_too_few_documents_say_so() -> None:
    few = figures(accuracy={"value": None, "reference": None, "effect": None, "p_value": None, "says": "too few labels"})
    decision = Decision.new(MODEL, "held", Author(kind="schedule"), cycle=cycle(1, few))
    series = drift(History.of(MODEL, [decision]))[-1]
    assert series.last.says == "too few labels" and effects(series) == ""


@pytest.mark.parametrize(("sides", "limits"), [(["up"], 1), (["up", "down"], 2)])
def test_limits_are_drawn_where_effects_count(sides: list[str], limits: int) -> None:
    point = DriftPoint(time=datetime(2026, 1, 1, tzinfo=UTC), champion="1", figure=figures().perplexity)
    drawn = effects(DriftSeries(name="x", title="X", share=False, effect="d", sides=sides, points=[point]))
    assert drawn.count('class="limit"') == limits and "0.15" in drawn


def test_more_sources_than_a_figure_can_tell_apart_share_a_line() -> None:
    names = [f"source {number}" for number in range(9)]
    start = datetime(2026, 1, 1).date()
    days = [Day(day=start + timedelta(days=at % 2), source=name, documents=10 - at, labels=0) for at, name in enumerate(names)]
    drawn = landed_over_time(days, names, "documents")
    assert named_sources(names)[-1] == "all others" and drawn.count('class="series-line"') == 6 and "all others: 14" in drawn
    assert landed_over_time(days, names, "labels") == landed_over_time(days[:1], names[:1], "documents") == ""
