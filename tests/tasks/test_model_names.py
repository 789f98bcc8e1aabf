"""Names of registered models: no two sources share one by accident."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest
from mlflow import MlflowClient

from flows.request import TrainRequest
from tasks.model_names import PLACE_TAG, ModelSource, own_name, reserve
from tasks.tracking import Tracker
from tasks.workspace import Workspace


@pytest.fixture
def workspace(tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    shutil.copytree(tracked, tmp_path / "workspace")
    return Workspace.open(tmp_path / "workspace")


def named(client: MlflowClient, workspace: Workspace, corpus: str) -> str:
    return own_name(client, TrainRequest(corpus=corpus).registered_name, ModelSource.of(corpus, workspace))


SOURCES = (
    ["a/data.csv", "b/data.csv", "data.csv", "data.jsonl", "Data.csv", " data .csv", "data!.csv", "data", "s3://bucket/data.csv"],
    ["imdb", "imdb.csv", "./imdb", "s3://one/imdb", "s3://two/imdb/"],
)


@pytest.mark.parametrize("corpora", SOURCES)
def test_no_two_sources_share_a_name(workspace: Workspace, corpora: list[str], caplog: pytest.LogCaptureFixture) -> None:
    """The first has the plain name; each keeps its own from then on, however its path is written."""
    client = Tracker.open(workspace, "names").client
    names = [named(client, workspace, corpus) for corpus in corpora]
    assert names[0] in ("ulmfit-data", "ulmfit-imdb") and len(set(names)) == len(corpora)
    assert all(name.startswith(f"{names[0]}-") for name in names[1:])
    assert f"{names[0]} is the model of {ModelSource.of(corpora[0], workspace).place}; this one is registered as {names[1]}" in caplog.text
    assert [named(client, workspace, corpus) for corpus in corpora] == names
    assert named(client, workspace, os.path.abspath(corpora[1])) == names[1]


def test_a_model_without_a_source_is_taken_over(workspace: Workspace) -> None:
    """As one registered before names belonged to sources."""
    client = Tracker.open(workspace, "names").client
    client.create_registered_model("ulmfit-data")
    assert named(client, workspace, "a/data.csv") == "ulmfit-data" != named(client, workspace, "b/data.csv")


def test_a_chosen_name_is_shared_on_purpose(workspace: Workspace) -> None:
    """But a name that comes from a corpus never meets it."""
    client = Tracker.open(workspace, "names").client
    assert [reserve(client, "ulmfit-data", ModelSource(place)) for place in ("one.csv", "two.csv")] == ["one.csv", "one.csv"]
    assert client.get_registered_model("ulmfit-data").tags[PLACE_TAG] == "one.csv"
    assert named(client, workspace, "data.csv") != "ulmfit-data"


def test_a_source_keeps_its_name_where_it_or_the_workspace_moves(workspace: Workspace, tmp_path: Path) -> None:
    """Each alone, or both together; but a corpus that moves alone is another."""
    client = Tracker.open(workspace, "names").client
    corpus, else_ = tmp_path / "a" / "data.csv", tmp_path / "else"

    def name_of(corpus: Path, root: Path) -> str:
        return own_name(client, "ulmfit-data", ModelSource.of(str(corpus), Workspace(root)))

    assert name_of(corpus, workspace.root) == "ulmfit-data"
    assert name_of(tmp_path / "b" / "data.csv", workspace.root) != "ulmfit-data"
    assert name_of(else_ / "data.csv", workspace.root) != "ulmfit-data"
    assert name_of(corpus, tmp_path / "deep" / "er" / "workspace") == "ulmfit-data"
    assert name_of(else_ / "a" / "data.csv", else_ / "deep" / "er" / "workspace") == "ulmfit-data"


def test_a_link_to_a_folder_is_no_other_source(workspace: Workspace, tmp_path: Path) -> None:
    (tmp_path / "linked").symlink_to(tmp_path)
    assert ModelSource.of("linked/data.csv", workspace) == ModelSource.of("data.csv", workspace)


def test_on_a_server_that_many_use_paths_are_whole(workspace: Workspace, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two people's ``../data.csv`` are two sources."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:1")
    here, there = ModelSource.of("data.csv", workspace), ModelSource.of("b/data.csv", Workspace(tmp_path / "b" / "workspace"))
    assert here.place == str(Path(os.path.realpath(tmp_path)) / "data.csv") and not here.beside
    assert not here.is_that_of(there.tags)
