"""The read model follows what it reads: nothing twice, nothing that is gone, nothing that is to be forgotten."""

from __future__ import annotations

import json
import sqlite3
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from dashboard.read_model.database import FORM, Database
from dashboard.read_model.refreshing import Refreshing
from tests.dashboard.home import MODEL, Home
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.store.filesystem import write_bytes
from ulmfit.store.journal import new_id, now


def rows(home: Home, query: str) -> list[tuple[Any, ...]]:
    with home.database.reading() as reading:
        return [tuple(row) for row in reading.execute(query)]


def test_what_is_known_is_not_read_again(lived: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    lived.read()
    read: list[str] = []
    real = filesystem.read_bytes
    monkeypatch.setattr(filesystem, "read_bytes", lambda location: read.append(str(location)) or real(location))
    lived.read()
    assert read == []
    decision = lived.decide("nothing to do", None)
    lived.read()
    assert [Path(location).stem for location in read] == [decision.id]
    assert rows(lived, "select what from decisions order by id desc limit 1") == [("nothing to do",)]


def test_runs_are_asked_for_since_the_last_look(lived: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    long_ago = [lived.run(f"old {number}", start=1000 + number, end=2000) for number in range(3)]
    lived.read()
    seen: list[str] = []
    real = sqlite3.Connection.executemany

    def executemany(self: Any, query: str, values: Any) -> Any:
        values = list(values)
        seen.extend(value[0] for value in values if "into runs" in query)
        return real(self, query, values)

    class Noted(sqlite3.Connection):
        pass

    Noted.executemany = executemany  # type: ignore[method-assign]
    connect = sqlite3.connect
    monkeypatch.setattr("dashboard.read_model.database.sqlite3.connect", lambda *given, **named: connect(*given, factory=Noted, **named))
    new = lived.run("new")
    lived.read()
    assert new in seen and not set(long_ago) & set(seen)


def test_what_is_gone_elsewhere_is_gone_here(lived: Home) -> None:
    lived.version("another")
    lived.read()
    assert ("another",) in rows(lived, "select name from models")
    lived.client.delete_registered_model("another")
    lived.client.delete_model_version(MODEL, "1")
    lived.read()
    assert rows(lived, "select name from models") == [(MODEL,)]
    assert rows(lived, "select model, version from versions order by 2") == [(MODEL, 2), (MODEL, 3)]


def test_an_artifact_that_was_removed_keeps_what_it_was_made_of(lived: Home) -> None:
    (artifact, *_) = lived.workspace.store.all()
    lived.read()
    lived.workspace.store.note_gone(artifact.manifest)  # as gc does
    filesystem.remove(artifact.location)
    lived.read()
    assert rows(lived, f"select kind, gone from artifacts where key = '{artifact.key}'") == [("evaluation", 1)]
    fresh = Database(lived.workspace.root / "other.db")
    fresh.set_up()
    Refreshing(lived.workspace, fresh).read("artifacts")
    with fresh.reading() as reading:
        assert reading.execute("select gone from artifacts where key = ?", [artifact.key]).fetchone()[0] == 1


def test_digests_of_what_is_forgotten_stay_out(lived: Home) -> None:
    time = now()
    entry = {
        "entry": "forgotten",
        "id": new_id(time),
        "time": time.isoformat(),
        "texts": ["ab" * 32],
        "ids": ["cd" * 32],
        "because": "asked",
    }
    write_bytes(f"{Ledger(lived.workspace.store, MODEL).journal.location}/{entry['id']}.json", json.dumps(entry).encode())
    lived.read()
    (facts,) = [facts for kind, facts in rows(lived, "select kind, facts from landed") if kind == "forgotten"]
    assert "asked" in facts and "abab" not in facts and "cdcd" not in facts


def test_another_form_of_the_tables_is_emptied_and_filled_anew(lived: Home) -> None:
    lived.read()
    with sqlite3.connect(lived.database.file) as older:
        older.execute("pragma user_version = 999")
        older.execute("drop table decisions")
    lived.read()
    assert len(rows(lived, "select id from decisions")) == 3
    assert rows(lived, "pragma user_version") == [(FORM,)]


def test_a_file_that_is_no_database_is_refused_in_one_line(home: Home) -> None:
    home.database.file.write_bytes(b"something else, and longer than a page of a database has to be" * 100)
    with pytest.raises(UserError, match="the dashboard cannot write its file"):
        home.database.set_up()


def test_two_dashboards_share_a_workspace(lived: Home) -> None:
    lived.read()
    with ThreadPoolExecutor(8) as pool:
        sites = [Refreshing(lived.workspace, lived.database) for _ in range(2)]
        list(pool.map(lambda site: [site.read(name) for name in ("decisions", "ledger", "artifacts", "reports")], sites * 4))
    assert {
        name: good for name, good in rows(lived, "select name, ok from sources") if name in ("decisions", "ledger", "artifacts", "reports")
    } == dict.fromkeys(("decisions", "ledger", "artifacts", "reports"), 1)


def test_a_summary_with_strange_values_stops_no_other(lived: Home) -> None:
    folder = lived.workspace.reports / "strange"
    folder.mkdir(parents=True)
    (folder / "summary.json").write_text(json.dumps({"kind": ["x"], "model": {"name": {}, "version": [1]}, "run": {"id": {"a": 1}}}))
    lived.read()
    with lived.looking() as client:
        state = {each["name"]: each["state"] for each in client.get("/api/v1/sources").json()}
    assert state["reports"] == "read"
