"""A registered version holds what the rows it was evaluated on say about when to answer."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from tasks.calls import Caller, Described, logged_model
from tasks.registry import load_version, resolve
from tasks.relocation import here
from tasks.workspace import Workspace
from ulmfit import TextClassifier
from ulmfit.errors import UserError
from ulmfit.prediction.predictor import Predictor


def test_a_version_knows_from_when_on_it_is_sure(registered: Path, bundle: Path, tmp_path: Path) -> None:
    workspace = Workspace.named(registered)
    predictor = load_version(workspace, resolve(workspace, "models:/tickets@champion"))
    assert predictor.sure_from(0.95) == pytest.approx(0.9)
    predictor.save(tmp_path / "copy")
    assert Predictor(tmp_path / "copy").sure_from(0.95) == pytest.approx(0.9)
    with pytest.raises(UserError, match=r"^no probability promises that 99\.9% .* by the 200 held-out rows"):
        predictor.sure_from(0.999)


def test_a_folder_without_held_out_rows_promises_nothing(bundle: Path, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"^the model has no held-out rows with it: name a version that was registered"):
        Predictor(bundle).sure_from(0.95)
    damaged = shutil.copytree(bundle, tmp_path / "damaged")
    (damaged / "abstention.json").write_text("[]")
    with pytest.raises(UserError, match=r"abstention.json: damaged"):
        Predictor(damaged)


def test_a_classifier_from_the_registry(registered: Path) -> None:
    texts = ["the film was good", "a long story"]
    found = TextClassifier.from_registry("models:/tickets@champion", registered, device="cpu")
    workspace = Workspace.named(registered)
    predictor = load_version(workspace, resolve(workspace, "models:/tickets/1"))
    assert np.array_equal(found.predict_proba(texts), predictor.probabilities(texts))
    assert found.predict(texts)[0] in predictor.labels
    with pytest.raises(UserError, match="no such registered version"):
        TextClassifier.from_registry("models:/nothing@champion", registered)


def test_a_version_is_described_by_its_card(registered: Path) -> None:
    workspace = Workspace.named(registered)
    version, caller = resolve(workspace, "models:/tickets@champion"), Caller(workspace.tracking_uri)
    told = lambda: resolve(workspace, "models:/tickets@champion").description
    call = Described(name="tickets", version=str(version.version), description="[Model card](#/x). One", files={"card.md": "# Ü"})
    for line in ("One", "Two"):
        caller.make(call.model_copy(update={"description": f"[Model card](#/x). {line}"}))
        assert told() == f"[Model card](#/x). {line}"
    caller.client.update_model_version("tickets", str(version.version), "Our best")
    caller.make(call)
    assert told() == "Our best"
    model = logged_model(caller.client, "tickets", str(version.version))
    assert model and (here(workspace, model.artifact_location) / "card.md").read_text() == "# Ü"
