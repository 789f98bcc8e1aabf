"""Another champion is put in use without a request lost; one that cannot be loaded is not."""

from __future__ import annotations

import logging
import shutil
import threading
from pathlib import Path

import numpy as np
import pytest
from fastapi.testclient import TestClient
from mlflow import MlflowClient

from serving import models as module
from serving.app import create_app
from serving.models import Models, Registered, source_of
from tasks.workspace import Workspace
from tests.tasks.conftest import register_model
from ulmfit.errors import UserError
from ulmfit.prediction.predictor import Predictor
from ulmfit.store.lineage import Ancestor, Lineage

TEXTS = ["the film was good", "a long story about cats and dogs"]


@pytest.fixture(scope="module")
def registry(tracked: Path, folder: Path, other: Path, tmp_path_factory: pytest.TempPathFactory) -> Workspace:
    """Version 1 and version 2 of a model."""
    tmp_path = tmp_path_factory.mktemp("registry")
    root = tmp_path / "workspace"
    shutil.copytree(tracked, root)
    for key, bundle in (("a" * 64, folder), ("b" * 64, other)):
        copy = shutil.copytree(bundle, tmp_path / key[0])
        model = Ancestor(kind="model", version=1, config={}, inputs={})
        (copy / "lineage.json").write_bytes(Lineage(key=key, artifacts={key: model}).to_json())
        register_model(root, copy, key)
    return Workspace.open(root)


@pytest.fixture
def workspace(registry: Workspace) -> Workspace:
    """The same; 1 is champion."""
    crown(registry, "1")
    return registry


def crown(workspace: Workspace, version: str) -> None:
    MlflowClient(workspace.tracking_uri).set_registered_model_alias("tickets", "champion", version)


def test_the_champion_changes_under_load(workspace: Workspace, folder: Path, other: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "POLL", 0.05)
    expected = {f"models:/tickets/{number}": Predictor(bundle).probabilities(TEXTS) for number, bundle in ((1, folder), (2, other))}
    models, found, ended = Models(source_of("models:/tickets@champion", str(workspace.root))), list[str](), threading.Event()
    faults: list[object] = []

    def ask(client: TestClient) -> None:
        while not ended.is_set():
            answer = client.post("/predict", json={"texts": TEXTS})
            if answer.status_code != 200:
                faults.append(answer.text)
                return
            name, rows = answer.json()["model"], [list(row["probabilities"].values()) for row in answer.json()["predictions"]]
            if np.abs(np.array(rows) - expected[name]).max() > 1e-6:
                faults.append((name, rows))
            found.append(name)

    with TestClient(create_app(models)) as client:
        asking = [threading.Thread(target=ask, args=(client,)) for _ in range(4)]
        for thread in asking:
            thread.start()
        while not found:
            ended.wait(0.01)
        crown(workspace, "2")
        for _ in range(1000):
            if "models:/tickets/2" in found:
                break
            ended.wait(0.02)
        ended.set()
        for thread in asking:
            thread.join()
        assert 'ulmfit_model_info{model="models:/tickets/2"} 1.0' in client.get("/metrics").text
    assert faults == [] and set(found) == set(expected)


def test_a_champion_that_cannot_be_loaded_is_told_once(workspace: Workspace, caplog: pytest.LogCaptureFixture) -> None:
    models = Models(Registered(workspace, "models:/tickets@champion"))
    moved = workspace.mlflow_artifacts.rename(workspace.root / "moved")
    crown(workspace, "2")
    with caplog.at_level(logging.WARNING, logger="serving"):
        models.look()
        models.look()
    moved.rename(workspace.mlflow_artifacts)
    assert models.now.name == "models:/tickets/1" and caplog.text.count("models:/tickets/1 is still served") == 1
    models.look()
    assert models.now.name == "models:/tickets/2" and models.changes == 1


def test_a_version_and_a_folder_stay(workspace: Workspace, folder: Path) -> None:
    crown(workspace, "2")
    assert Models(source_of("models:/tickets/1", str(workspace.root))).now.name == "models:/tickets/1"
    assert not source_of("models:/tickets/1", str(workspace.root)).moves and not source_of(str(folder), None).moves


@pytest.mark.parametrize("uri", ["models:/tickets@nobody", "models:/nothing@champion", "models:/tickets/9", "absent"])
def test_a_model_that_is_not_there(workspace: Workspace, uri: str) -> None:
    with pytest.raises(UserError):
        Models(source_of(uri, str(workspace.root)))
