"""The page Studies: a list, each study with curves, forecasts and ablations, and its report."""

from __future__ import annotations

import re
import time
from pathlib import Path

import pytest

from dashboard.drawings.curves import curves
from dashboard.read_model import reports
from dashboard.read_model.refreshing import Refreshing
from dashboard.read_model.studies import StudyChart, StudySeries
from tests.dashboard.home import Home
from tests.experiments.study import grid, trial
from tests.report.example import Page
from tests.report.test_study_page import summary_of
from ulmfit.experiments.ablations import VARIANTS
from ulmfit.report.study_summary import StudySummary

STRANGE = "<script>alert(1)</script>\x1b[31m\u202e"


def write(home: Home, name: str, summary: StudySummary | bytes) -> Path:
    folder = home.workspace.reports / name
    folder.mkdir(parents=True)
    (folder / "summary.json").write_bytes(summary if isinstance(summary, bytes) else summary.model_dump_json().encode())
    (folder / "report.html").write_bytes(b"<!doctype html><title>the report</title>")
    return folder


@pytest.fixture
def studied(home: Home) -> Home:
    write(home, "labels", summary_of(grid()))
    tried = [trial(0.9 - at / 100, method="ulmfit", variant=name, regime="general+domain") for at, name in enumerate(VARIANTS)]
    write(home, "parts", summary_of(tried, kind="ablation"))
    write(home, "broken", b'{"kind": "ablation", "name": "not a study"}')
    write(home, "training", b'{"name": "imdb"}')
    return home


def test_studies_are_listed_and_shown(studied: Home) -> None:
    with studied.looking() as client:
        rows = {row["name"]: row for row in client.get("/api/v1/studies").json()}
        assert rows.keys() == {"labels", "parts", "broken"} and rows["broken"]["trials"] is None
        assert rows["labels"]["answer"].startswith("With 50 labels ULMFiT is right on")
        (found,) = client.get("/api/v1/study", params={"name": "labels"}).json()["corpora"]
        assert len(found["charts"][0]["series"]) == 4 and found["forecasts"] and found["labels"] == [50, 100, 200, 400]
        page = Page(client.get("/study", params={"name": "labels"}).text)
        assert found["forecasts"][0] in page.text and ("a", "/study/report?name=labels") in page.targets
        tables = client.get("/api/v1/study", params={"name": "parts"}).json()["corpora"][0]["tables"]
        assert len(tables) > 1 and tables["Table 4: Pretraining"][0]["worse"]["value"] == pytest.approx(0.01)
        parts = client.get("/study", params={"name": "parts"}).text
        assert "Error in the paper" in parts and "+1.0" in parts and "+10.4" in parts
        assert "cannot be read as that of a study" in client.get("/studies").text


def test_the_report_is_served_by_its_name_alone_and_runs_nothing(studied: Home) -> None:
    with studied.looking() as client:
        answer = client.get("/study/report", params={"name": "labels"})
        assert "the report" in answer.text and "sandbox" in answer.headers["content-security-policy"]
        for name in ("training", "../reports/labels", "nothing", "labels/.."):
            assert client.get("/study/report", params={"name": name}).status_code == 404
        for name in ("broken", "nothing"):
            assert (
                client.get("/study", params={"name": name}).status_code
                == client.get("/api/v1/study", params={"name": name}).status_code
                == 404
            )


def test_a_study_that_was_written_again_or_is_gone_is_followed(home: Home) -> None:
    folder = write(home, "labels", summary_of([trial(0.5)]))
    with home.looking() as client:
        trials = lambda: [row["trials"] for row in client.get("/api/v1/studies").json()]
        assert trials() == [1]
        (folder / "summary.json").write_text(summary_of([trial(0.5), trial(0.6, 1)]).model_dump_json())
        home.read()
        assert trials() == [2]
        (folder / "summary.json").unlink()
        home.read()
        assert trials() == [] and "There is no study" in client.get("/studies").text


def test_at_the_first_look_no_study_is_missed_however_slow_the_reports_are(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    write(home, "labels", summary_of([trial(0.5)]))
    real = reports.read
    monkeypatch.setattr(reports, "read", lambda folder, database: time.sleep(1) or real(folder, database))
    home.database.set_up()
    with Refreshing(home.workspace, home.database), home.looking(read=False) as client:
        deadline = time.monotonic() + 60
        while not any(source["name"] == "studies" for source in client.get("/api/v1/sources").json()):
            assert time.monotonic() < deadline, "no look was taken"
            time.sleep(0.05)
        assert [row["trials"] for row in client.get("/api/v1/studies").json()] == [1]


def test_names_of_corpora_are_text(home: Home) -> None:
    write(home, "strange", summary_of([trial(0.5, corpus=STRANGE), trial(0.6, labels=100, corpus=STRANGE)], asked={"corpus": STRANGE}))
    with home.looking() as client:
        for address in ("/studies", "/study?name=strange"):
            page = client.get(address).text
            assert "<script>alert" not in page and "␛[31m⟨RIGHT-TO-LEFT OVERRIDE⟩" in Page(page).text


def series(**facts: object) -> StudySeries:
    return StudySeries(
        **{"title": "a", "look": 0, "x": [0, 100, 200], "y": [0.5, 0.6, 0.7], "bounds": [None, (0.5, 0.7), (0.6, 1.2)], **facts}
    )


def test_curves_tell_their_values_in_words_and_stay_inside() -> None:
    chart = StudyChart(title="x", xlabel="labels", ylabel="accuracy", logarithmic=True, series=[series(), series(title="b", look=1)])
    drawn = curves(chart)
    assert "a: 50.0% at 0, 60.0% at 100, 70.0% at 200" in drawn and drawn.count('class="band"') == 2
    assert not any(float(y) < 0 for y in re.findall(r",(-?[\d.]+)", drawn))
    assert curves(StudyChart(title="x", xlabel="", ylabel="", logarithmic=True, series=[])) == ""
    single = StudyChart(title="x", xlabel="", ylabel="", logarithmic=True, series=[series(x=[5], y=[0.5], bounds=[None])])
    assert "nan" not in curves(single) and "<circle" in curves(single)
