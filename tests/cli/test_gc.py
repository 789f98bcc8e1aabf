"""``ulmfit gc`` on a registry with nothing but the versions, and artifacts with nothing but a file."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient

from cli.main import run
from tasks.calls import EVALUATION_TAG, KEY_TAG
from tasks.champion import FOLDER, RegisteredModel, promote
from tasks.tracking import Tracker
from tasks.workspace import Workspace
from ulmfit.decisions.decision import ENTRY, Author, Decision
from ulmfit.store.artifacts import Built, Store
from ulmfit.store.journal import Journal
from ulmfit.store.names import folder_of
from ulmfit.store.recipe import Recipe

NAME = "tickets [bold] é"
VERSIONS = 6
BY = Author(kind="person", because="it is better")


def recipes(number: int) -> dict[str, Recipe]:
    """What stands behind a version: its corpus, model and evaluation."""
    corpus = Recipe("corpus", 1, {"documents": number})
    model = Recipe("model", 1, {}, {"corpus": corpus.key})
    return {"corpus": corpus, "model": model, "evaluation": Recipe("evaluation", 1, {}, {"model": model.key, "corpus": corpus.key})}


def make(store: Store, recipe: Recipe) -> None:
    def build(work: Path) -> Built:
        (work / "data").write_text(recipe.key)
        return Built({})

    made, _ = Store(store.root).make(recipe, build)
    age(made.path)


def age(path: Path, days: float = 40) -> None:
    then = time.time() - days * 86400
    for file in path.rglob("*"):
        os.utime(file, (then, then))


@pytest.fixture(scope="module")
def registry(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with six versions of a model, of which the second is champion; all artifacts are old."""
    root = tmp_path_factory.mktemp("registry") / "home"
    shutil.copytree(tracked, root)
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "ULMFIT_HOME", "ULMFIT_ARTIFACTS"):
            patch.delenv(name, raising=False)
        workspace = Workspace.open(root)
        tracker = Tracker.open(workspace, "ulmfit-tickets")
    client = tracker.client
    client.create_registered_model(NAME)
    client.create_registered_model("of somebody else")
    for number in range(1, VERSIONS + 1):
        made = recipes(number)
        tags = {KEY_TAG: made["model"].key, EVALUATION_TAG: made["evaluation"].key}
        client.create_model_version(NAME, "x", tracker.start("train", {}), tags=tags)
        for recipe in made.values():
            make(workspace.store, recipe)
    client.set_registered_model_alias(NAME, "champion", "1")
    client.set_registered_model_alias(NAME, "shadow", "3")
    promote(workspace, NAME, "2", BY)
    return root


@pytest.fixture
def home(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    for name in ("MLFLOW_TRACKING_URI", "ULMFIT_HOME", "ULMFIT_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    shutil.copytree(registry, tmp_path / "home")
    return Workspace.named(tmp_path / "home")


class Gc:
    """The command in that workspace."""

    def __init__(self, home: Workspace, capsys: pytest.CaptureFixture[str]):
        self.home, self.capsys = home, capsys

    def ended(self, *arguments: str) -> tuple[int, str, str]:
        code = run(["gc", *arguments, "--workspace", str(self.home.root), "--json"])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def __call__(self, *arguments: str) -> dict[str, Any]:
        code, out, err = self.ended(*arguments)
        assert code == 0, err
        return json.loads(out.splitlines()[-1])

    def refused(self, *arguments: str) -> str:
        before = self.there
        code, out, err = self.ended(*arguments, "--yes")
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert self.there == before
        return err

    @property
    def there(self) -> set[int]:
        """The versions of which every artifact is there; no version has but some."""
        found = {number: [bool(self.home.store.sound(recipe)) for recipe in recipes(number).values()] for number in range(1, VERSIONS + 1)}
        assert all(all(each) or not any(each) for each in found.values())
        return {number for number, each in found.items() if all(each)}


@pytest.fixture
def gc(home: Workspace, capsys: pytest.CaptureFixture[str]) -> Gc:
    return Gc(home, capsys)


def test_champion_the_one_before_aliases_and_the_last_versions_stay(gc: Gc) -> None:
    told = gc("--keep-versions", "1")
    assert told["live"] == {NAME: ["1", "2", "3", "6"], "of somebody else": []}
    assert {(item["what"], item["removed"]) for item in told["garbage"]} == {("artifact", False)} and len(told["garbage"]) == 6
    assert gc.there == {1, 2, 3, 4, 5, 6}  # nothing is removed without --yes
    done = gc("--keep-versions", "1", "--yes")
    assert done["bytes"] == told["bytes"] > 0 and all(item["removed"] for item in done["garbage"])
    assert gc.there == {1, 2, 3, 6}
    assert gc("--keep-versions", "1", "--yes") == {"live": told["live"], "garbage": [], "bytes": 0}


def test_what_is_set_stays(gc: Gc) -> None:
    assert gc()["garbage"] == [] and gc("--keep-versions", "0", "--keep", "6w")["garbage"] == []
    assert len(gc("--keep-versions", "0", "--keep", "0h")["garbage"]) == 9


def test_the_table_shows_names_as_they_are(gc: Gc) -> None:
    _, out, _ = gc.ended("--keep-versions", "1")
    assert f"stays   {NAME}: versions 1, 2, 3, 6\n" in out and "nothing is removed without --yes" in out
    assert recipes(4)["model"].key[:12] in out


def test_a_promotion_that_was_interrupted_keeps_its_version(gc: Gc) -> None:
    model = RegisteredModel.find(gc.home, NAME)
    model.record(Decision.new(NAME, "promoted", BY, version="4", champion="2"))
    assert gc("--keep-versions", "0")["live"][NAME] == ["1", "2", "3", "4"]


def test_versions_that_only_the_decisions_know_stay(gc: Gc) -> None:
    """Another workspace has its artifacts here, and a registry of its own."""
    for model, number in (("elsewhere", 4), (NAME, 5)):
        journal = Journal(os.path.join(gc.home.store.root, FOLDER, folder_of(model)), ENTRY)
        for version, evaluation in (("17", "0" * 64), ("18", recipes(number)["evaluation"].key)):
            decision = Decision.new(model, "compared", BY, version=version, evaluations=(evaluation,))
            journal.append(decision.id, decision)
    gc("--keep-versions", "1", "--yes")
    assert gc.there == {1, 2, 3, 4, 5, 6}


def test_models_beyond_the_first_page_of_the_registry_count(gc: Gc, monkeypatch: pytest.MonkeyPatch) -> None:
    search = MlflowClient.search_registered_models
    monkeypatch.setattr(MlflowClient, "search_registered_models", lambda self, **asked: search(self, max_results=1, **asked))
    assert set(gc()["live"]) == {NAME, "of somebody else"}


def test_a_registry_that_does_not_answer_stops_it(gc: Gc, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    assert "no MLflow server answers there" in gc.refused()


def test_a_registry_that_is_lost_on_the_way_stops_it(gc: Gc, monkeypatch: pytest.MonkeyPatch) -> None:
    def lost(*_: object, **__: object) -> None:
        raise OSError("connection lost")

    monkeypatch.setattr(MlflowClient, "search_model_versions", lost)
    with pytest.raises(OSError, match="connection lost"):
        gc.ended("--yes", "--keep-versions", "0")
    assert gc.there == {1, 2, 3, 4, 5, 6}


def test_a_registry_that_is_not_there_stops_it(gc: Gc) -> None:
    gc.home.database.unlink()
    assert "has no registry of models" in gc.refused()
    assert not gc.home.database.exists()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--keep", "30"), "--keep '30'"),
        (("--keep", "-1d"), "--keep '-1d'"),
        (("--keep", "٣d"), "--keep"),
        (("--keep", ""), "--keep ''"),
        (("--keep-versions", "-1"), "--keep-versions"),
        (("--keep-versions", "all"), "--keep-versions"),
    ],
)
def test_settings_that_make_no_sense(gc: Gc, arguments: tuple[str, ...], said: str) -> None:
    assert said in gc.refused(*arguments)


def test_a_workspace_that_is_not_there_is_not_made(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("ULMFIT_ARTIFACTS", raising=False)
    assert run(["gc", "--yes", "--workspace", str(tmp_path / "typo")]) == 2
    assert "typo is not there" in capsys.readouterr().err and not (tmp_path / "typo").exists()
