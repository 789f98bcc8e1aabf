"""``ulmfit history``, ``promote`` and ``rollback`` on a registry with nothing but the versions."""

from __future__ import annotations

import json
import shutil
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from mlflow import MlflowClient
from mlflow.exceptions import MlflowException

from cli.main import run
from tasks import champion, notices
from tasks.champion import FOLDER, RegisteredModel, promote
from tasks.tracking import Tracker
from tasks.workspace import Workspace
from ulmfit.decisions.decision import Author
from ulmfit.errors import UserError
from ulmfit.store.names import folder_of

NAME = "tickets [bold] é"
BY = Author(kind="person", because="it is better")


class Killed(BaseException):
    """Ends a command as a kill does: nothing of ours catches it."""


@pytest.fixture(scope="module")
def registry(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace with four versions of a model, of which the first is champion."""
    root = tmp_path_factory.mktemp("registry") / "home"
    shutil.copytree(tracked, root)
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        tracker = Tracker.open(Workspace.open(root), "ulmfit-tickets")
    client = tracker.client
    client.create_registered_model(NAME)
    for _ in range(4):
        client.create_model_version(NAME, (root / "mlflow-artifacts" / "x").as_uri(), tracker.start("train", {}))
    client.set_registered_model_alias(NAME, "champion", "1")
    return root


@pytest.fixture
def home(registry: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Workspace:
    """A copy of that workspace; no Prefect server can be reached."""
    for name in ("MLFLOW_TRACKING_URI", "ULMFIT_HOME", "ULMFIT_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    monkeypatch.setattr(notices, "PAUSES", (0.0, 0.0))  # between tries to tell that server
    shutil.copytree(registry, tmp_path / "home")
    return Workspace.named(tmp_path / "home")


class Commands:
    """The commands on that workspace: what they print with ``--json``."""

    def __init__(self, home: Workspace, capsys: pytest.CaptureFixture[str]):
        self.home, self.capsys = home, capsys

    def __call__(self, command: str, *arguments: str, model: str = NAME) -> dict[str, Any]:
        code, out, err = self.ended(command, *arguments, model=model)
        assert code == 0, err
        return json.loads(out.splitlines()[-1])

    def ended(self, command: str, *arguments: str, model: str = NAME) -> tuple[int, str, str]:
        code = run([command, model, *arguments, "--workspace", str(self.home.root), "--json"])
        said = self.capsys.readouterr()
        return code, said.out, said.err

    def refused(self, command: str, *arguments: str, model: str = NAME) -> str:
        before = self.files()
        code, out, err = self.ended(command, *arguments, model=model)
        assert (code, out, err.count("\n")) == (2, "", 1), err
        assert self.files() == before
        return err

    def files(self) -> dict[str, bytes]:
        folder = self.home.root / "artifacts" / FOLDER
        return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file()}

    def decisions(self) -> list[dict[str, Any]]:
        return self("history")["decisions"]

    @property
    def champion(self) -> str:
        return str(MlflowClient(self.home.tracking_uri).get_model_version_by_alias(NAME, "champion").version)


@pytest.fixture
def ulmfit_says(home: Workspace, capsys: pytest.CaptureFixture[str]) -> Commands:
    return Commands(home, capsys)


def test_a_promotion_is_recorded_and_carried_out(home: Workspace, ulmfit_says: Commands) -> None:
    told = ulmfit_says("promote", "3", "--because", "better  on\n[bold]new")
    assert (told["version"], told["champion"], told["by"]["because"]) == ("3", "1", "better on [bold]new")
    assert told["followed"]["done"] and ulmfit_says.champion == "3"
    assert ulmfit_says.decisions() == [told]
    client = MlflowClient(home.tracking_uri)
    version = client.get_model_version(NAME, "3")
    assert version.tags["ulmfit.decision"] == f"promoted {told['id']}" and version.tags["ulmfit.decision.because"] == "better on [bold]new"
    file = home.mlflow_artifacts / "ulmfit-tickets" / version.run_id / "artifacts" / "decisions" / f"{told['id']}.json"
    assert json.loads(file.read_text())["id"] == told["id"]


def test_rollbacks_go_back_step_by_step_or_to_an_earlier_champion(ulmfit_says: Commands) -> None:
    for version in ("2", "3", "4"):
        ulmfit_says("promote", version, "--because", "better")
    assert ulmfit_says("rollback", "--because", "complaints")["version"] == "3"
    assert ulmfit_says("rollback", "--because", "more of them")["version"] == "2"
    ulmfit_says("promote", "4", "--because", "mended")
    assert ulmfit_says("rollback", "--to", "1", "--because", "all wrong")["champion"] == "4"
    assert ulmfit_says.champion == "1"
    assert "no version was champion before version 1" in ulmfit_says.refused("rollback", "--because", "x")
    whats = [(each["what"], each["version"], each["champion"]) for each in ulmfit_says.decisions()]
    assert whats[3:] == [("rolled back", "3", "4"), ("rolled back", "2", "3"), ("promoted", "4", "2"), ("rolled back", "1", "4")]


def test_the_history_prints_what_people_wrote_as_it_is(ulmfit_says: Commands) -> None:
    ulmfit_says("promote", "2", "--because", "[/x] better")
    _, out, _ = ulmfit_says.ended("history")
    assert "[/x] better" in out and out.startswith("champion: version 2\n") and "promoted" in out


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["promote", "1", "--because", "x"], "version 1 is the champion already"),
        (["promote", "9", "--because", "x"], "there is no version '9' (versions there are: 1, 2, 3, 4)"),
        (["promote", "2", "--because", " "], "--because: say why"),
        (["promote", "2"], "--because"),
        (["promote", "--because", "x"], "VERSION"),
        (["promote", "champion", "--because", "x"], "VERSION 'champion': give the number"),
        (["promote", "0", "--because", "x"], "VERSION '0'"),
        (["promote", "99999999999999999999", "--because", "x"], "give the number"),
        (["promote", "2 or 1=1", "--because", "x"], "give the number"),
        (["promote", "2", "--because", "\x1b[31m"], "printable"),
        (["rollback", "--because", "x"], "no version was champion before version 1"),
        (["rollback", "--to", "1", "--because", "x"], "version 1 is the champion already"),
        (["rollback", "--to", "2", "--because", "x"], "version 2 never was champion"),
        (["rollback", "--to", "9", "--because", "x"], "there is no version '9'"),
        (["rollback", "--to", "before", "--because", "x"], "--to 'before': give the number"),
        (["rollback", "--because", ""], "--because: say why"),
    ],
)
def test_bad_input_is_one_line_and_nothing_changes(ulmfit_says: Commands, arguments: list[str], said: str) -> None:
    command, *rest = arguments
    assert said in ulmfit_says.refused(command, *rest) and ulmfit_says.champion == "1"


def test_an_unknown_model_is_one_line_and_leaves_nothing(ulmfit_says: Commands) -> None:
    for model in ("nobody", "", "a' or name = 'b", "models:/tickets", "../../x", "\udcff", "x" * 300):
        assert f"no such registered model (models there are: {NAME})" in ulmfit_says.refused("history", model=model)
    for command in (["promote", "2", "--because", "x"], ["rollback", "--because", "x"]):
        assert "no such registered model" in ulmfit_says.refused(*command, model="nobody")
    assert not (ulmfit_says.home.root / "artifacts" / FOLDER).exists()


def test_where_there_is_no_workspace_none_is_made(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in (["history", NAME], ["promote", NAME, "2", "--because", "x"], ["rollback", NAME, "--because", "x"]):
        assert run([*command, "--workspace", str(tmp_path / "none")]) == 2
        assert "has no models" in capsys.readouterr().err and not (tmp_path / "none").exists()


def test_a_version_that_was_deleted(home: Workspace, ulmfit_says: Commands) -> None:
    ulmfit_says("promote", "2", "--because", "x")
    MlflowClient(home.tracking_uri).delete_model_version(NAME, "1")
    assert "there is no version '1' (versions there are: 2, 3, 4)" in ulmfit_says.refused("rollback", "--because", "x")
    MlflowClient(home.tracking_uri).delete_model_version(NAME, "2")  # the champion
    assert ulmfit_says("history")["champion"] is None
    assert "champion" not in ulmfit_says("promote", "3", "--because", "there is none") and ulmfit_says.champion == "3"


def kill_at(monkeypatch: pytest.MonkeyPatch, owner: type, method: str, after: bool = False) -> None:
    """Be killed once, before or after that call."""
    original: Callable[..., Any] = getattr(owner, method)

    def killed(*arguments: object, **keywords: object) -> None:
        monkeypatch.setattr(owner, method, original)
        if after:
            original(*arguments, **keywords)
        raise Killed

    monkeypatch.setattr(owner, method, killed)


@pytest.mark.parametrize("after", [False, True], ids=["before the alias is moved", "after it"])
def test_killed_in_between_the_history_tells_it_and_the_same_command_completes_it(
    ulmfit_says: Commands, monkeypatch: pytest.MonkeyPatch, after: bool
) -> None:
    ulmfit_says("promote", "2", "--because", "first")
    for command, version in ((["promote", "3"], "3"), (["rollback"], "2")):
        kill_at(monkeypatch, MlflowClient, "set_registered_model_alias", after)
        before = ulmfit_says.champion
        with pytest.raises(Killed):
            ulmfit_says(*command, "--because", "it is better")
        assert ulmfit_says.champion == (version if after else before)
        begun = ulmfit_says.decisions()[-1]
        assert begun["followed"] is None and "interrupted" in " ".join(ulmfit_says.ended("history")[1].split())
        done = ulmfit_says(*command, "--because", "again")
        assert ulmfit_says.champion == version
        assert done["id"] == begun["id"] and done["followed"]["by"]["because"] == "again" and done["followed"]["done"]
        assert ulmfit_says.decisions()[-1] == done
    assert len(ulmfit_says.decisions()) == 3


def test_killed_before_the_record_nothing_has_happened(ulmfit_says: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    kill_at(monkeypatch, RegisteredModel, "record")
    with pytest.raises(Killed):
        ulmfit_says("promote", "2", "--because", "x")
    assert ulmfit_says.decisions() == [] and ulmfit_says.champion == "1"


def test_an_interrupted_decision_does_not_stand_in_the_way_of_another(
    home: Workspace, ulmfit_says: Commands, monkeypatch: pytest.MonkeyPatch
) -> None:
    kill_at(monkeypatch, MlflowClient, "set_registered_model_alias")
    with pytest.raises(Killed):
        ulmfit_says("promote", "2", "--because", "x")
    ulmfit_says("promote", "3", "--because", "rather this")
    assert [each["followed"] is not None for each in ulmfit_says.decisions()] == [False, True] and ulmfit_says.champion == "3"
    ulmfit_says("promote", "2", "--because", "after all")  # a decision of its own: the old one saw another champion
    assert [each["champion"] for each in ulmfit_says.decisions()] == ["1", "1", "3"]


def test_a_champion_that_changed_meanwhile_stays(home: Workspace, ulmfit_says: Commands, monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody moves the alias in MLflow between the decision and its execution."""
    original = RegisteredModel.record

    def record(model: RegisteredModel, *arguments: Any) -> None:
        original(model, *arguments)
        model.client.set_registered_model_alias(NAME, "champion", "4")

    monkeypatch.setattr(RegisteredModel, "record", record)
    code, _, err = ulmfit_says.ended("promote", "2", "--because", "x")
    assert code == 2 and "the champion is version 4 by now, no longer version 1" in err and err.count("\n") == 1
    assert ulmfit_says.champion == "4"
    (decision,) = ulmfit_says.decisions()
    assert decision["followed"]["done"] is False and decision["followed"]["note"] == "the champion was version 4 by then"
    assert "not carried out" in " ".join(ulmfit_says.ended("history")[1].split())


@pytest.mark.parametrize("versions", [("2", "3"), ("2", "2")], ids=["of two versions", "of one version"])
def test_of_two_promotions_at_once_one_is_carried_out(
    home: Workspace, ulmfit_says: Commands, monkeypatch: pytest.MonkeyPatch, versions: tuple[str, str]
) -> None:
    """Both have looked at the history, and then both have recorded their decision, before either moves the alias."""
    original, both = RegisteredModel.record, threading.Barrier(2, timeout=20)

    def record(model: RegisteredModel, *arguments: Any) -> None:
        both.wait()
        original(model, *arguments)
        both.wait()

    monkeypatch.setattr(RegisteredModel, "record", record)
    refused: list[str] = []

    def promote_one(version: str) -> None:
        try:
            promote(home, NAME, version, BY)
        except UserError as error:
            refused.append(str(error))

    threads = [threading.Thread(target=promote_one, args=(version,)) for version in versions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    decisions = ulmfit_says.decisions()
    done = [each["version"] for each in decisions if each["followed"]["done"]]
    assert len(decisions) == 2 and done == [ulmfit_says.champion] and len(refused) == 1


def test_a_damaged_record_is_named_and_the_others_count(home: Workspace, ulmfit_says: Commands, caplog: pytest.LogCaptureFixture) -> None:
    ulmfit_says("promote", "2", "--because", "x")
    damaged = home.root / "artifacts" / FOLDER / folder_of(NAME) / "20200101T000000000000Z-ab.json"
    damaged.write_text('{"entry": "decision"')
    told = ulmfit_says("history")
    assert told["damaged"] == [str(damaged)] and len(told["decisions"]) == 1 and str(damaged) in caplog.text
    assert ulmfit_says("rollback", "--because", "x")["version"] == "1"


def test_mlflow_may_refuse_its_copy_of_the_record(
    home: Workspace, ulmfit_says: Commands, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def refuse(*_: object) -> None:
        raise MlflowException("the artifacts cannot be written")

    monkeypatch.setattr(MlflowClient, "log_text", refuse)
    monkeypatch.setattr(MlflowClient, "set_model_version_tag", refuse)
    ulmfit_says("promote", "2", "--because", "x")
    assert ulmfit_says.champion == "2" and "the artifacts cannot be written" in caplog.text


def test_the_commands_need_no_prefect() -> None:
    assert not hasattr(champion, "task")
