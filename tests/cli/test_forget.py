"""``ulmfit forget``: on text that landed, real corpora and shards of it, and versions with nothing behind them but that."""

from __future__ import annotations

import json
import logging
import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from mlflow import MlflowClient
from mlflow.tracking._tracking_service.utils import _artifact_repos_cache

from cli.lineage_tree import lineage_tree
from cli.main import run
from tasks import forgetting
from tasks.calls import EVALUATION_TAG, KEY_TAG
from tasks.champion import FORGOTTEN_TAG, RegisteredModel, promote
from tasks.registry import VersionLineage
from tasks.retraining import Seen
from tasks.tracking import Tracker
from tasks.workspace import Workspace
from tests.corpora.landing.folder import Folder
from tests.report.example import printed, summary_of
from ulmfit.config import CorpusConfig, QualityConfig, TextConfig, VocabConfig
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.corpora.source import CorpusSource
from ulmfit.corpora.text_digests import fold
from ulmfit.decisions.cycle import NewText
from ulmfit.decisions.decision import Author
from ulmfit.directions import DIRECTIONS
from ulmfit.evaluation.results import FILE, Results
from ulmfit.presets import tiny
from ulmfit.report.page import render
from ulmfit.report.summary import Summary
from ulmfit.stages.corpus import ingest
from ulmfit.stages.landed import landed
from ulmfit.stages.outputs import Corpus
from ulmfit.stages.shards import encode, tokenise, vocabulary
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Built
from ulmfit.store.lineage import Lineage, behind, made_of
from ulmfit.store.recipe import Recipe

NAME = "tickets"
SECRET = "My zanzibarquux number is 1234."
WORD = b"zanzibarquux"
NOT_TOUCHED = ("artifacts/.landed", "artifacts/.decisions", "reports")
HEADER = ("no", "text", "label")
ROWS = [(f"r{n}", f"text number {n} of this and that", "ab"[n % 2]) for n in range(60)]
BY = Author(kind="person", because="it is better")


class Team:
    """A workspace, a landing folder, and the chain from what landed to a registered version."""

    def __init__(self, root: Path):
        self.home = Workspace.open(root / "home")
        self.folder = Folder(root / "landing", id_column="no")
        self.folder.ledger = Ledger(self.home.store, NAME)
        self.tracker = Tracker.open(self.home, "ulmfit-tickets")

    @property
    def context(self) -> Context:
        """One that nobody works with when a stage has ended."""
        return Context(self.home.store, self.home.downloads)

    def corpus(self) -> Corpus:
        """Of all that landed."""
        return make(landed(self.folder.state, CorpusConfig(), QualityConfig()), self.context)

    def artifact(self, recipe: Recipe, **files: bytes) -> Recipe:
        """An artifact with nothing but some files."""

        def build(work: Path) -> Built:
            for name, content in files.items():
                (work / name.replace("_", ".")).write_bytes(content)
            return Built({})

        self.home.store.make(recipe, build)
        return recipe

    def version(self, corpus: Corpus) -> str:
        """The chain from a corpus to a registered version with its report; the models are made up."""
        tokens = make(tokenise(corpus, TextConfig()), self.context)
        vocab = make(vocabulary(corpus, tokens, VocabConfig(min_count=1), QualityConfig()), self.context)
        ids = make(encode(corpus, tokens, vocab), self.context)
        general = self.artifact(Recipe("language-model", 1, {"files": "given"}))
        read = {"ids": ids.key, "vocab": vocab.key}
        classifiers = {}
        for direction in DIRECTIONS:
            lm = self.artifact(Recipe("language-model", 1, {"direction": direction}, {**read, "language_model": general.key}))
            inputs = {**read, "corpus": corpus.key, "language_model": lm.key}
            classifiers[direction] = self.artifact(Recipe("classifier", 1, {"model": tiny().model, "direction": direction}, inputs)).key
        model = self.artifact(Recipe("model", 1, {}, {**classifiers, "tokens": tokens.key, "vocab": vocab.key}))
        shown = SECRET if SECRET in (row["text"] for row in rows_of(corpus)) else "a text"
        summary = summary_of(text=shown)
        results = Results.model_validate(summary["results"])
        recipe = Recipe("evaluation", 1, {}, {"corpus": corpus.key, "model": model.key, "ids": ids.key})
        self.artifact(recipe, **{FILE.replace(".", "_"): results.to_json().encode()})
        run_id = self.tracker.start("train", {})
        self.report(summary, corpus, run_id)
        tags = {KEY_TAG: model.key, EVALUATION_TAG: recipe.key}
        made = self.tracker.client.create_model_version(NAME, "x", run_id, tags=tags)
        self.tracker.client.set_registered_model_alias(NAME, "challenger", made.version)
        return str(made.version)

    def report(self, summary: dict[str, Any], corpus: Corpus, run_id: str) -> None:
        """The report of a training: the secret document is among the mistakes."""
        (mistake,) = summary["results"]["mistakes"]
        secret = [{"id": row["id"], "text": SECRET} for row in rows_of(corpus) if row["text"] == SECRET]
        mistakes = [mistake | each for each in ({"text": "another text"}, *secret)]
        plain = summary_of() | {"results": summary["results"] | {"mistakes": mistakes}}
        plain["corpus"]["key"], plain["run"]["id"] = corpus.key, run_id
        folder = self.home.reports / f"tickets-{run_id[:6]}"
        render(Summary.model_validate(plain), folder)
        self.tracker.client.log_artifacts(run_id, str(folder), "report")

    def holding(self) -> set[str]:
        """The files of the workspace in which the word of the secret document is, whatever their form."""
        return {str(path.relative_to(self.home.root)) for path in self.home.root.rglob("*") if path.is_file() and WORD in content(path)}


def rows_of(corpus: Corpus) -> list[dict[str, Any]]:
    """The documents of a corpus."""
    return [row for part in corpus.record.parts for row in pq.read_table(corpus.path / f"{part.name}.parquet").to_pylist()]


def content(path: Path) -> bytes:
    """All text of a file, in small letters."""
    if path.suffix == ".parquet":
        return json.dumps(pq.read_table(path).to_pylist()).lower().encode()
    if path.suffix == ".arrow":
        with pa.ipc.open_file(path) as file:
            return json.dumps(file.read_all().to_pylist(), default=repr).lower().encode()
    return path.read_bytes().lower()


@pytest.fixture(scope="module")
def first(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model whose first version, the champion, had read the secret document."""
    root = tmp_path_factory.mktemp("first")
    shutil.copytree(tracked, root / "home")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "ULMFIT_HOME", "ULMFIT_ARTIFACTS"):
            patch.delenv(name, raising=False)
        team = Team(root)
        for name in (NAME, "other"):
            team.tracker.client.create_registered_model(name)
        team.folder.rows("a.csv", *ROWS[:30], ("secret", SECRET, "a"), *ROWS[30:], header=HEADER)
        team.folder.land()
        team.version(team.corpus())
        promote(team.home, NAME, "1", BY)
    return root


@pytest.fixture
def team(first: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Team:
    """A copy of it."""
    for name in ("MLFLOW_TRACKING_URI", "ULMFIT_HOME", "ULMFIT_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    _artifact_repos_cache.clear()  # which knows where the first one's runs are
    shutil.copytree(first, tmp_path / "team")
    return Team(tmp_path / "team")


@pytest.fixture
def untouched(first: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Team]:
    """It itself, for what changes nothing."""
    for name in ("MLFLOW_TRACKING_URI", "ULMFIT_HOME", "ULMFIT_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    team = Team(first)
    files = lambda: {path: path.stat().st_mtime_ns for name in NOT_TOUCHED for path in (first / "home" / name).rglob("*")}
    before = files()
    yield team
    assert before and files() == before


def ended(team: Team, capsys: pytest.CaptureFixture[str], *arguments: str, command: str = "forget") -> tuple[int, str, str]:
    code = run([command, *arguments, "--workspace", str(team.home.root)])
    said = capsys.readouterr()
    return code, said.out, said.err


def forget(team: Team, capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    code, out, err = ended(team, capsys, NAME, *arguments, "--json")
    assert code == 0, err
    return json.loads(out.splitlines()[-1])


ASKED = ("--document", "secret", "--because", "asked for by mail")


def test_from_the_first_word_to_the_last_byte(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    """Forgotten, told, trained anew, purged: at the end the document is nowhere."""
    first = team.corpus()
    kinds = {Path(name).parts[1] if name.startswith("artifacts") else Path(name).parts[0] for name in team.holding()}
    assert kinds == {".landed", "corpus", "tokens", "vocab", "evaluation", "reports", "mlflow-artifacts"}

    told = forget(team, capsys, *ASKED)
    (decision,) = told["decisions"]
    assert (told["documents"], told["rows"], told["unknown"], told["also_in"]) == (1, 1, [], [])
    assert (decision["what"], decision["by"]["because"], decision["corpora"]) == ("forgotten", "asked for by mail", [first.key])
    assert decision["forgetting"]["had_read"] == ["1"] and decision["forgetting"]["unknown"] == []
    assert {Path(name).parts[1] for name in team.holding()} == {"corpus", "tokens", "vocab", "evaluation"}
    assert "another text" in next(team.home.reports.glob("*/report.html")).read_text()

    kept = forget(team, capsys, "--purge", "--yes")
    assert kept["garbage"] == [] and kept["decisions"] == [] and team.holding(), "the champion needs them"

    second = team.corpus()
    assert second.key != first.key and team.version(second) == "2"
    promote(team.home, NAME, "2", BY)
    listed = forget(team, capsys, "--purge")
    assert listed["garbage"] and not any(item["removed"] for item in listed["garbage"]) and team.holding()
    assert all(item["removed"] for item in forget(team, capsys, "--purge", "--yes")["garbage"])
    assert team.holding() == set()
    assert team.corpus().key == second.key and {artifact.key for artifact in team.home.store.all()} >= {second.key}
    assert forget(team, capsys, "--purge", "--yes")["garbage"] == []


def test_nothing_of_it_is_found_by_the_next_training(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    """Also the token parts that are taken over by their texts."""
    before = {artifact.key for artifact in team.home.store.all()}
    forget(team, capsys, *ASKED)
    corpora = json.loads(_history(team, capsys))["decisions"][-1]["corpora"]
    stale = made_of(corpora, team.home.store.known())
    assert len(before - stale) == 1, "the general language model alone has not read it"
    team.folder.rows("b.csv", ("r61", "a text of Tuesday", "a"), header=HEADER)
    team.folder.land()
    number = team.version(team.corpus())
    made = behind(team.tracker.client.get_model_version(NAME, number).tags[KEY_TAG], team.home.store.known())
    assert made.isdisjoint(stale)
    assert all(WORD not in content(path) for key in made for artifact in [team.home.store.get(key)] if artifact
               for path in artifact.path.rglob("*") if path.is_file())  # fmt: skip


def _history(team: Team, capsys: pytest.CaptureFixture[str]) -> str:
    code, out, err = ended(team, capsys, NAME, "--json", command="history")
    assert code == 0, err
    return out.splitlines()[-1]


def test_who_had_read_it_is_told_everywhere(team: Team, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture) -> None:
    forget(team, capsys, *ASKED)
    _, out, _ = ended(team, capsys, NAME, command="history")
    told = " ".join(out.split())
    assert "forgotten" in told and "asked for by mail; version 1 had read it" in told
    version = MlflowClient(team.home.tracking_uri).get_model_version(NAME, "1")
    decision = json.loads(_history(team, capsys))["decisions"][-1]
    assert version.tags[FORGOTTEN_TAG] == f"{decision['time'][:10]} {decision['id']}"
    key = version.tags[KEY_TAG]
    chain = Lineage.of(Recipe("wrapped", 1, {}, {"model": next(iter(team.home.store.known()[key].inputs.values()))}), team.home.store)
    tree = printed(lineage_tree(VersionLineage(NAME, "1", [], {}, chain, frozenset(decision["corpora"]))), 110)
    assert "had read documents that are forgotten since" in tree and f"corpus {decision['corpora'][0][:12]} (held documents" in tree
    with caplog.at_level(logging.WARNING):
        code, _, err = ended(team, capsys, f"models:/{NAME}/1", "--text", "x", command="predict")
    assert code == 2 and "missing" in err, "the version has no files here"
    assert f"models:/{NAME}/1 (version 1) had read documents that are forgotten since {decision['time'][:10]}" in caplog.text


@pytest.mark.parametrize("how", ["--document", "--digest", "--file"])
def test_ids_digests_and_files_of_ids(team: Team, capsys: pytest.CaptureFixture[str], tmp_path: Path, how: str) -> None:
    (tmp_path / "ids.txt").write_bytes(b"\xef\xbb\xbfr1\r\n\r\nsecret  \r\n")
    value = {"--document": "secret", "--digest": fold(SECRET).hex().upper(), "--file": str(tmp_path / "ids.txt")}[how]
    assert forget(team, capsys, how, value, "--because", "x")["documents"] == (2 if how == "--file" else 1)
    assert not any(name.startswith(("artifacts/.landed", "reports")) for name in team.holding())


def test_unknown_documents_are_named_and_refused_and_the_others_forgotten(
    team: Team, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    (tmp_path / "ids.txt").write_text("secret\n\nsecrte\n")
    code, out, err = ended(team, capsys, NAME, "--file", str(tmp_path / "ids.txt"), "--document", "r99", "--because", "x", "--json")
    assert code == 3 and json.loads(out.splitlines()[-1])["documents"] == 1
    assert f"{tmp_path / 'ids.txt'} line 3: no document 'secrte' has landed" in err and "--document: no document 'r99'" in err
    assert len([line for line in err.splitlines() if line.startswith("ulmfit:")]) == 2
    team.folder.rows("b.csv", ("r99", "comes later", "a"), header=HEADER)
    assert team.folder.land().counts.quarantined == {"forgotten": 1}


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ((NAME,), "nothing to forget"),
        ((NAME, "--document", "secret"), "--because: say why"),
        ((NAME, "--document", "secret", "--because", "  "), "--because: say why"),
        ((NAME, "--document", " ", "--because", "x"), "--document ' ': it is empty"),
        ((NAME, "--document", "\udce9", "--because", "x"), "--document '\\udce9': this is no UTF-8"),
        (("\udce9", "--document", "x", "--because", "x"), "NAME '\\udce9': this is no UTF-8"),
        ((NAME, "--digest", "12", "--because", "x"), "'12': this is no digest of a text"),
        ((NAME, "--file", "none.txt", "--because", "x"), "none.txt: it cannot be read"),
        ((NAME, "--file", "", "--because", "x"), "--file : it cannot be read"),
        ((NAME, "--file", "empty.txt", "--because", "x"), "empty.txt: there is no id in it"),
        ((NAME, "--file", "latin.txt", "--because", "x"), "latin.txt line 2: this is no UTF-8"),
        (("tickts", "--document", "secret", "--because", "x"), "'tickts': no model of that name is registered, and nothing has landed"),
        (("other", "--document", "secret", "--because", "x"), "other: nothing has landed for it"),
    ],
)
def test_what_makes_no_sense_is_one_line_and_changes_nothing(
    untouched: Team,
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    arguments: tuple[str, ...],
    said: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("empty.txt").write_text("\n \n")
    Path("latin.txt").write_bytes(b"a\n\xe9\n")
    code, out, err = ended(untouched, capsys, *arguments)
    assert (code, out, err.count("\n")) == (2, "", 1) and said in err, err


def test_a_registry_that_does_not_answer_stops_it_before_anything_is_done(
    untouched: Team, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "http://127.0.0.1:9")
    code, out, err = ended(untouched, capsys, NAME, *ASKED)
    assert (code, out, err.count("\n")) == (2, "", 1) and "no MLflow server answers" in err


class Killed(BaseException):
    """Ends a command as a kill does."""


@pytest.mark.parametrize("step", ["clear_reports", "_behind", "record"])
def test_what_was_interrupted_is_completed_by_the_next_command(
    team: Team, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, step: str
) -> None:
    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(RegisteredModel if step == "record" else forgetting, step, killed)
        with pytest.raises(Killed):
            ended(team, capsys, NAME, *ASKED)
    assert [each["what"] for each in json.loads(_history(team, capsys))["decisions"]] == ["promoted"]
    (decision,) = forget(team, capsys, "--purge")["decisions"]
    assert decision["forgetting"]["had_read"] == ["1"] and decision["by"]["because"] == "asked for by mail"
    assert not any(name.startswith("reports") for name in team.holding())


def test_a_version_whose_text_is_no_longer_here(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    team.folder.rows("b.csv", ("r61", "a text of Tuesday", "a"), header=HEADER)
    team.folder.land()
    assert team.version(team.corpus()) == "2"
    promote(team.home, NAME, "2", BY)
    then = time.time() - 40 * 86400
    for path in (team.home.root / "artifacts").rglob("*"):
        os.utime(path, (then, then))
    team.tracker.client.set_registered_model_alias(NAME, "champion", "2")
    for artifact in list(team.home.store.all()):
        if artifact.kind == "corpus" and artifact.key != team.corpus().key:
            team.home.store.note_gone(artifact.manifest)
            shutil.rmtree(artifact.path)
    (decision,) = forget(team, capsys, *ASKED)["decisions"]
    assert decision["forgetting"] == {"ledger": decision["forgetting"]["ledger"], "had_read": ["2"], "unknown": ["1"]}
    history = RegisteredModel(team.home, team.tracker.client, NAME).history()
    assert history.forgotten_by("1") and history.forgotten_by("2") and not history.forgotten_by("3")
    assert history.decisions[-1].why == "asked for by mail; version 2 had read it; of version 1 the text is no longer here to tell"


def test_a_retraining_does_not_go_on_from_a_version_that_had_read_it(team: Team, capsys: pytest.CaptureFixture[str]) -> None:
    forget(team, capsys, *ASKED)
    model = RegisteredModel(team.home, team.tracker.client, NAME)
    seen = Seen(model.history(), "1", team.folder.state, None, NewText(), frozenset())
    asked: Any = SimpleNamespace(registered=model, workspace=team.home)
    assert seen.goes_on_from(asked, tiny().model) == "version 1 had read documents that are forgotten since"
    key = team.tracker.client.get_model_version(NAME, "1").tags[KEY_TAG]
    team.tracker.client.create_model_version(NAME, "x", tags={KEY_TAG: key})  # of a training that had begun before
    later = replace(seen, champion="2").goes_on_from(asked, tiny().model)
    assert later == "version 2 had read documents that are forgotten since"


def test_corpora_of_other_sources_that_hold_it_are_named(team: Team, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The text counts there, whatever its id is; an id of the landing folder says nothing of other files."""
    rows = [*ROWS[:20], ("secret", "an innocent text", "a")]
    for name, more in (("old.csv", ("x", SECRET.upper(), "a")), ("clean.csv", ("x", "nothing", "b"))):
        path = team.folder.rows(f"../{name}", *rows, more, header=HEADER)
        source = CorpusSource(str(path), text_column="text", label_column="label")
        make(ingest(team.context, source, CorpusConfig(), QualityConfig(), labelled=True), team.context)
    told = forget(team, capsys, *ASKED)
    assert [Path(source).name for source in told["also_in"]] == ["old.csv"]
    assert len(told["decisions"][0]["corpora"]) == 2
