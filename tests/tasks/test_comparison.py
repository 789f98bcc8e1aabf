"""A version is compared with the champion on the rows of its own evaluation, and the comparison is recorded."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from tasks.champion import RegisteredModel, promote
from tasks.comparison import Challenger, compare
from tasks.registry import register
from tasks.run import Job
from tasks.tracking import Tracker
from tasks.workspace import Workspace
from tests.prediction.test_predictor import LABELS, VOCAB, WORDS, save_classifier
from ulmfit.decisions.decision import Author, Decision
from ulmfit.directions import ENSEMBLE
from ulmfit.errors import UserError
from ulmfit.evaluation.policy import GatePolicy
from ulmfit.evaluation.predictions import HeldOut, Predictions, write_predictions
from ulmfit.models.saving import Calibration
from ulmfit.prediction.bundle import write_bundle
from ulmfit.prediction.predictor import Predictor
from ulmfit.stages.outputs import Corpus, Evaluation
from ulmfit.store.artifacts import Artifact, Built
from ulmfit.store.lineage import Ancestor, Lineage
from ulmfit.store.recipe import Recipe
from ulmfit.text.tokenizer import Tokenizer

NAME, ROWS = "tickets", 40
POLICY = GatePolicy(min_rows=10, min_slice_rows=1000, max_latency_factor=None)
NO_DOCUMENTS = {"digest": "", "splits": {}, "quarantined": {}, "duplicates": 0, "overlap_removed": 0, "warnings": []}


@pytest.fixture
def job(tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Job:
    for name in ("MLFLOW_TRACKING_URI", "ULMFIT_ARTIFACTS"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("tasks.registry.save_pyfunc", without_code)
    shutil.copytree(tracked, tmp_path / "home")
    workspace = Workspace.open(tmp_path / "home")
    tracker = Tracker.open(workspace, "ulmfit-tickets")
    context = cast(Any, SimpleNamespace(store=workspace.store, placement=SimpleNamespace(device="cpu")))
    return Job(workspace, tracker, tracker.start("train", {}), context)


def without_code(bundle: Path, folder: Path, held_out: object, familiar: object = None) -> None:
    """A registered model with nothing but its files: to write it with its code takes seconds."""
    shutil.copytree(bundle, folder / "artifacts" / "model")
    (folder / "MLmodel").write_text(
        yaml.safe_dump({"flavors": {"python_function": {"artifacts": {"bundle": {"path": "artifacts/model"}}}}})
    )


def texts_of(seed: int, rows: int = ROWS) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, size=rng.integers(4, 20))) + f" {seed}-{row}" for row in range(rows)]


def made(job: Job, output: type[Artifact], recipe: Recipe, build: Any) -> Any:
    found, _ = job.workspace.store.make(recipe, build)
    return output(found.location, found.manifest, found.copy)


def corpus(job: Job, train: list[str], test: list[str]) -> Corpus:
    documents = [(text, "train") for text in train] + [(text, "test") for text in test]

    def build(work: Path) -> Built:
        texts, splits = zip(*documents, strict=True)
        ids = [f"row {number}" for number in range(len(texts))]
        held = {"id": ids, "text": list(texts), "label": ["good"] * len(texts), "split": list(splits), "piece": [0] * len(texts)}
        pq.write_table(pa.table(held), work / "part-00000.parquet")
        part = {"name": "part-00000", "documents": len(texts), "rows": len(texts), "characters": 1, "texts": ""}
        return Built({"name": "tickets.csv", "labels": LABELS, "parts": [part], **NO_DOCUMENTS})

    return made(job, Corpus, Recipe("corpus", 1, {"documents": documents}, {}), build)


SEVERAL = Calibration(task="multi-label", label_separator="|", thresholds=(0.5, 0.5, 0.5))


def trained(
    job: Job, known: Corpus, right: int, seed: int = 1, labels: list[str] = LABELS, calibration: Calibration | None = None
) -> Challenger:
    """A registered version whose evaluation on the test rows of ``known`` has that many of them right."""
    folder = Path(job.workspace.root.parent, f"model-{seed}")
    VOCAB.save(Path(folder.parent, f"vocab-{seed}.json"))
    parts = {
        way: save_classifier(folder.with_name(f"{way}-{seed}"), way, seed, labels, calibration=calibration)
        for way in ("forward", "backward")
    }
    write_bundle(folder, **parts, vocab=folder.parent / f"vocab-{seed}.json", tokenizer=Tokenizer().definition)
    key = f"{seed:064x}"
    classifier = Ancestor(kind="classifier", version=1, config={}, inputs={"corpus": known.key})
    model = Ancestor(kind="model", version=1, config={}, inputs={"forward": "f" * 64})
    (folder / "lineage.json").write_bytes(Lineage(key=key, artifacts={key: model, "f" * 64: classifier}).to_json())

    test = [row for row in pq.read_table(known.path / "part-00000.parquet").to_pylist() if row["split"] == "test"]
    truth = np.full(len(test), labels.index("good"))
    shares = np.full((len(test), len(labels)), 0.1)
    shares[np.arange(len(test)), np.where(np.arange(len(test)) < right, truth, (truth + 1) % len(labels))] = 0.8

    def build(work: Path) -> Built:
        true = np.eye(len(labels), dtype=bool)[truth] if calibration else truth
        held = HeldOut([row["id"] for row in test], [row["text"] for row in test], true, labels)
        write_predictions(work, {ENSEMBLE: Predictions(shares), "forward": Predictions(shares[:, ::-1])}, held)
        return Built({"scores": {ENSEMBLE: {"accuracy": right / len(test)}}, "calibration": {}})

    evaluation = made(job, Evaluation, Recipe("evaluation", 1, {}, {"corpus": known.key, "model": key}), build)
    bundle = cast(Any, SimpleNamespace(key=key, path=folder))
    return Challenger(register.fn(job, NAME, bundle, evaluation), bundle, evaluation, known, "test")


def decisions(job: Job) -> tuple[Decision, ...]:
    return RegisteredModel(job.workspace, job.tracker.client, NAME).history().decisions


def champion(job: Job) -> str | None:
    return RegisteredModel(job.workspace, job.tracker.client, NAME).champion()


def test_the_first_version_becomes_champion_by_a_recorded_decision(job: Job) -> None:
    first = trained(job, corpus(job, [], texts_of(1)), 30)
    assert compare.fn(job, first, POLICY) is None and champion(job) == "1"
    (decision,) = decisions(job)
    assert (decision.what, decision.version, decision.champion, decision.by.kind) == ("first version", "1", None, "training")
    assert RegisteredModel(job.workspace, job.tracker.client, NAME).history().champions() == ["1"]


def test_on_the_same_rows_the_champions_written_predictions_are_read(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    known = corpus(job, texts_of(5), texts_of(1))
    first, second = trained(job, known, 10, seed=1), trained(job, known, 38, seed=2)
    asked: list[int] = []
    original = Predictor.probabilities

    def probabilities(self: Predictor, texts: list[str], shown: bool = True) -> Any:
        asked.append(len(texts))
        return original(self, texts, shown)

    monkeypatch.setattr(Predictor, "probabilities", probabilities)
    decision = compare.fn(job, second, POLICY)
    assert decision is not None and decision.verdict is not None and decision.verdict.figures is not None
    assert set(asked) == {1}  # to time them, one by one
    assert (decision.what, decision.version, decision.champion, decision.left_out) == ("compared", "2", "1", 0)
    assert decision.evaluations == (second.evaluation.key, first.evaluation.key) and decision.corpora == (known.key,)
    assert decision.verdict.outcome == "promoted" and decision.policy == POLICY
    figures = decision.verdict.figures
    assert (figures.accuracy.champion, figures.accuracy.challenger, figures.cycle) == (10 / 40, 38 / 40, 1)
    assert figures.seconds.champion and figures.bytes.champion == sum(file.stat().st_size for file in first.model.path.rglob("*.*"))
    assert champion(job) == "1"  # it is not moved
    assert decisions(job)[-1] == decision
    assert compare.fn(job, second, POLICY) == decision and len(decisions(job)) == 2  # the same comparison counts once


def test_each_comparison_is_a_cycle_and_a_promotion_changes_the_champion(job: Job) -> None:
    known = corpus(job, [], texts_of(1))
    trained(job, known, 30, seed=1)
    cycles = []
    for seed, right in ((2, 5), (3, 31)):
        decision = compare.fn(job, trained(job, known, right, seed), POLICY)
        assert decision and decision.verdict and decision.verdict.figures
        cycles.append((decision.verdict.outcome, decision.verdict.figures.cycle))
    assert cycles == [("blocked", 1), ("held", 2)]
    promote(job.workspace, NAME, "3", Author(kind="person", because="good enough"))
    fourth = trained(job, known, 32, seed=4)
    decision = compare.fn(job, fourth, POLICY)
    assert decision and decision.champion == "3"
    assert [each.what for each in decisions(job)] == ["first version", "compared", "compared", "promoted", "compared"]


def test_on_other_rows_the_champion_predicts_and_those_it_was_trained_on_are_left_out(job: Job) -> None:
    """The corpus has grown, and was split anew: 7 test rows of the second were training rows of the first, in other case and spacing."""
    moved = [text.upper().replace(" ", "  ") for text in texts_of(5)[:7]]
    first = trained(job, corpus(job, texts_of(5), texts_of(1)), 10, seed=1)
    test = [*moved, *texts_of(9)]
    second = trained(job, corpus(job, texts_of(1), test), 47, seed=2)
    decision = compare.fn(job, second, POLICY)
    assert decision and decision.verdict and decision.verdict.figures
    assert decision.left_out == 7 and decision.evaluations == (second.evaluation.key,)
    figures = decision.verdict.figures
    said = Predictor(first.model.path).probabilities(texts_of(9)).argmax(1)
    assert figures.disagreement.rows == ROWS and figures.accuracy.champion == pytest.approx((said == LABELS.index("good")).mean())


@pytest.mark.parametrize("same", [True, False], ids=["the same rows", "other rows"])
def test_documents_of_several_labels_are_compared_too(job: Job, same: bool) -> None:
    known = corpus(job, [], texts_of(1))
    first = trained(job, known, 10, seed=1, calibration=SEVERAL)
    second = trained(job, known if same else corpus(job, [], texts_of(9)), 38, seed=2, calibration=SEVERAL)
    decision = compare.fn(job, second, POLICY)
    assert decision and decision.verdict and decision.verdict.figures
    said = Predictor(first.model.path).probabilities(texts_of(9)) >= 0.5
    expected = 10 / 40 if same else (said == np.eye(3, dtype=bool)[LABELS.index("good")]).all(1).mean()
    assert decision.verdict.figures.accuracy.champion == pytest.approx(expected)
    assert decision.verdict.figures.accuracy.challenger == 38 / 40


def test_a_model_of_another_task_is_held(job: Job) -> None:
    known = corpus(job, [], texts_of(1))
    trained(job, known, 30, seed=1)
    decision = compare.fn(job, trained(job, known, 39, seed=2, calibration=SEVERAL), POLICY)
    assert decision and decision.verdict and decision.verdict.outcome == "held" and "The tasks differ" in decision.why


def test_other_labels_are_held_and_no_cycle(job: Job) -> None:
    known = corpus(job, [], texts_of(1))
    trained(job, known, 30, seed=1)
    decision = compare.fn(job, trained(job, known, 39, seed=2, labels=["awful", "good", "so-so"]), POLICY)
    assert decision and decision.verdict and decision.verdict.outcome == "held"
    assert "only the champion has 'bad', only the challenger 'awful'" in decision.why
    assert RegisteredModel(job.workspace, job.tracker.client, NAME).history().comparisons == 0


@pytest.mark.parametrize("harm", ["the files are missing", "a file is damaged"])
def test_a_champion_that_cannot_be_read_is_held(job: Job, harm: str) -> None:
    known = corpus(job, [], texts_of(1))
    trained(job, known, 30, seed=1)
    second = trained(job, known, 39, seed=2)
    version = RegisteredModel(job.workspace, job.tracker.client, NAME).version("1")
    folder = Path(str(version.source).removeprefix("file://"))
    shutil.rmtree(folder) if "missing" in harm else next(folder.rglob("labels.json")).write_text("[")
    decision = compare.fn(job, second, POLICY)
    assert decision and decision.verdict and decision.verdict.outcome == "held" and "cannot be read" in decision.why
    assert champion(job) == "1"


def test_too_few_rows_are_held(job: Job) -> None:
    known = corpus(job, [], texts_of(1))
    trained(job, known, 30, seed=1)
    decision = compare.fn(job, trained(job, known, 39, seed=2), replace_policy(min_rows=41))
    assert decision and decision.verdict and decision.verdict.outcome == "held" and "at least 41" in decision.why


def replace_policy(**changed: Any) -> GatePolicy:
    return POLICY.model_copy(update=changed)


def test_the_champions_evaluation_may_be_gone_or_that_of_another_model(job: Job) -> None:
    known = corpus(job, [], texts_of(1))
    first, second = trained(job, known, 10, seed=1), trained(job, known, 38, seed=2)
    (first.evaluation.path / "predictions.parquet").unlink()
    decision = compare.fn(job, second, POLICY)
    assert decision and decision.evaluations == (second.evaluation.key,) and decision.verdict and decision.verdict.compared


@pytest.mark.parametrize("method", ["champion", "_tag"], ids=["before the alias", "after it"])
@pytest.mark.parametrize("again", [True, False], ids=["the same training", "another training"])
def test_the_next_training_ends_what_a_killed_one_began(job: Job, monkeypatch: pytest.MonkeyPatch, method: str, again: bool) -> None:
    class Killed(BaseException):
        pass

    def kill(*_: Any, **__: Any) -> None:
        raise Killed

    known = corpus(job, [], texts_of(1))
    with monkeypatch.context() as patch:
        original = RegisteredModel.record

        def record(*arguments: Any) -> None:
            original(*arguments)
            patch.setattr(RegisteredModel, method, kill)

        patch.setattr(RegisteredModel, "record", record)
        with pytest.raises(Killed):
            trained(job, known, 30, seed=1)
    assert champion(job) == (None if method == "champion" else "1")
    if again:
        bundle = cast(Any, SimpleNamespace(key=f"{1:064x}", path=job.workspace.root.parent / "model-1"))
        register.fn(job, NAME, bundle, cast(Any, SimpleNamespace(key="e" * 64)))
    else:
        trained(job, known, 30, seed=2)
    model = RegisteredModel(job.workspace, job.tracker.client, NAME)
    assert model.champion() == "1" and model.history().champions() == ["1"] and len(model.history().decisions) == 1


def test_of_two_first_versions_at_once_one_is_champion_and_no_training_fails(job: Job, monkeypatch: pytest.MonkeyPatch) -> None:
    original = RegisteredModel.carry_out

    def overtaken(self: RegisteredModel, *arguments: Any) -> Any:
        self.client.set_registered_model_alias(NAME, "champion", "1")
        monkeypatch.setattr(RegisteredModel, "carry_out", original)
        self.client.create_model_version(NAME, "file:///x")
        self.client.set_registered_model_alias(NAME, "champion", "2")
        return original(self, *arguments)

    monkeypatch.setattr(RegisteredModel, "carry_out", overtaken)
    trained(job, corpus(job, [], texts_of(1)), 30, seed=1)
    assert champion(job) == "2"
    with pytest.raises(UserError, match="champion already"):
        promote(job.workspace, NAME, "2", Author(kind="person"))


def test_the_record_is_in_the_store_and_with_the_tracked_run(job: Job) -> None:
    known = corpus(job, [], texts_of(1))
    trained(job, known, 30, seed=1)
    decision = compare.fn(job, trained(job, known, 31, seed=2), POLICY)
    assert decision
    file = next((job.workspace.mlflow_artifacts / "ulmfit-tickets").rglob(f"{decision.id}.json"))
    assert json.loads(file.read_text())["verdict"]["outcome"] == "held"
    assert Decision.model_validate_json(file.read_bytes()) == decision
