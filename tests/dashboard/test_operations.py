"""What operators and feed readers ask."""

from __future__ import annotations

from xml.etree import ElementTree

from prometheus_client.parser import text_string_to_metric_families

from tasks.champion import ModelRecords
from tests.dashboard.home import BY, Home
from ulmfit.decisions.decision import Decision
from ulmfit.store.journal import new_id, now

ATOM = "{http://www.w3.org/2005/Atom}"
STRANGE = "a <b>\x1b[31m"


def test_figures_for_prometheus(told: Home) -> None:
    with told.looking(read=False) as client:
        found = {family.name: family.samples for family in text_string_to_metric_families(client.get("/metrics").text)}
    (age,) = found["ulmfit_champion_age_seconds"]
    assert age.labels == {"model": "tickets", "version": "2"} and 0 <= age.value < 1000
    assert found["ulmfit_documents_waiting"][0].value == 12
    assert found["ulmfit_last_decision_timestamp_seconds"][0].labels == {"model": "tickets", "decision": "compared", "outcome": "blocked"}
    assert [(sample.labels, sample.value) for sample in found["ulmfit_runs"]] == [({"flow": "train", "status": "FINISHED"}, 3.0)]
    assert {sample.labels["source"]: sample.value for sample in found["ulmfit_source_up"]}["MLflow"] == 1


def test_decisions_as_a_feed(lived: Home) -> None:
    ModelRecords(lived.workspace, STRANGE).journal.append(new_id(now()), Decision.new(STRANGE, "compared", BY, version="3"))
    with lived.looking() as client:
        answer = client.get("/feed.atom")
    assert answer.headers["content-type"].startswith("application/atom+xml")
    entries = ElementTree.fromstring(answer.content).findall(f"{ATOM}entry")
    titles = [entry.findtext(f"{ATOM}title") for entry in entries]
    assert titles == [
        "a <b>␛[31m version 3: compared",
        "tickets version 3: compared",
        "tickets version 2: promoted",
        "tickets version 1: first version",
    ]
    assert len({entry.findtext(f"{ATOM}id") for entry in entries}) == 4


def test_the_api_is_described(told: Home) -> None:
    with told.looking(read=False) as client:
        paths = client.get("/api/v1/openapi.json").json()["paths"]
        assert {"/api/v1/now", "/api/v1/sources", "/healthz", "/metrics", "/feed.atom"} <= paths.keys()
        assert client.get("/api/v1/nothing").json() == {"detail": "there is no such page"}
