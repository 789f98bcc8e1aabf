"""What is forgotten goes out of all that shows texts."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks import forgetting
from tasks.forgetting import clear_reports
from tasks.suspects import clear_suspects, keep_suspects, kept_suspects
from tasks.workspace import Workspace
from tests.experiments.study import grid
from tests.report.example import summary_of
from tests.report.test_study_page import summary_of as study_of
from ulmfit.corpora.source import CorpusSource
from ulmfit.experiments.suspect_rows import Suspect
from ulmfit.report.page import render
from ulmfit.report.study_page import render_study
from ulmfit.report.study_summary import StudySummary
from ulmfit.report.summary import Summary
from ulmfit.report.suspect_list import SuspectList

SECRET = "the text of somebody who wants to be forgotten"
SUSPECTS = SuspectList.of("TF-IDF", 2, [Suspect("a.csv:1", 1, SECRET, "bad", "good", 0.9)])


def test_suspects_of_a_corpus_that_held_it_leave_the_report(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "MlflowClient", lambda uri: object())
    monkeypatch.setattr(forgetting, "_log_again", lambda *_: None)
    workspace = Workspace.open(tmp_path)
    summary = Summary.model_validate(summary_of() | {"suspects": SUSPECTS.model_dump()})
    folder = workspace.reports / "train"
    render(summary, folder)
    clear_reports(workspace, {"other": {"a.csv:1"}})
    assert SECRET in (folder / "report.html").read_text()
    clear_reports(workspace, {summary.corpus.key: {"a.csv:7"}})  # the same text, of which the corpus kept another row
    assert not any(SECRET in file.read_text() for file in folder.iterdir())


def test_suspects_of_a_corpus_that_held_it_leave_the_report_of_a_study(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forgetting, "MlflowClient", lambda uri: object())
    monkeypatch.setattr(forgetting, "_log_again", lambda *_: None)
    workspace = Workspace.open(tmp_path)
    study = study_of(grid())
    shown = study.model_copy(update={"corpora": [corpus.model_copy(update={"suspects": SUSPECTS}) for corpus in study.corpora]})
    folder = workspace.reports / "data-quantity"
    folder.mkdir(parents=True)
    render_study(shown, folder)
    clear_reports(workspace, {"other": {"a.csv:1"}})
    assert SECRET in (folder / "report.html").read_text()
    clear_reports(workspace, {study.corpora[0].key: {"a.csv:7"}})
    assert not any(SECRET in file.read_text(errors="replace") for file in folder.iterdir())
    assert StudySummary.model_validate_json((folder / "summary.json").read_bytes()).results == study.results


def test_no_list_of_suspects_is_kept(tmp_path: Path) -> None:
    workspace = Workspace.open(tmp_path)
    (tmp_path / "a.csv").write_text(f"text,label\n{SECRET},bad\n")
    source = CorpusSource(str(tmp_path / "a.csv"))
    keep_suspects(workspace, source, SUSPECTS)
    assert kept_suspects(workspace, source) == SUSPECTS
    clear_suspects(workspace)
    clear_suspects(workspace)
    assert kept_suspects(workspace, source) is None
