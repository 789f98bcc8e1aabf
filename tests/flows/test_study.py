"""A study as one DAG: what trials share is made once, a killed one goes on, a further point makes itself alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pyarrow.parquet as pq
import pytest

from flows import pool, study
from flows.study_dag import StudyDag
from flows.study_plan import StudyPlan, check_labels, resolve_study
from flows.study_request import DataQuantityRequest
from tasks.run import Finished
from tests.conftest import write_general, write_tickets
from ulmfit.errors import UserError
from ulmfit.evaluation.predictions import FILE as PREDICTIONS
from ulmfit.labels.drawing import rows_to_learn
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.outputs import Evaluation
from ulmfit.stages.stage import Context, StageName, make

TEXT_STAGES = ("ingest", "tokenise", "vocabulary", "encode")
GRID = {"labels": "20,60", "documents": "all", "methods": "ulmfit,scratch,tfidf", "regimes": "general,general+domain", "trials": 2}


@pytest.fixture(scope="module")
def given(tmp_path_factory: pytest.TempPathFactory) -> dict[str, object]:
    folder = tmp_path_factory.mktemp("study")
    corpus, general = str(write_tickets(folder / "tickets.csv", 240)), str(write_general(folder / "general.txt", 60))
    fields = {"corpus": corpus, "text_column": "body", "label_column": "topic", "pretrain": general, "preset": "tiny", "device": "cpu"}
    return fields | {"workspace": str(folder / "workspace"), "options": ["classifier.epochs=1", "finetune.max_tokens=400"], **GRID}


def planned(given: dict[str, object], **changed: object) -> StudyPlan:
    return resolve_study(DataQuantityRequest.model_validate({**given, **changed}))


def dag_of(plan: StudyPlan) -> tuple[StudyDag, Context]:
    context = Context(plan.base.workspace.store, plan.base.workspace.downloads, placement=plan.base.placement)
    return StudyDag.of(plan, context), context


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The stages that are built, without tracking."""
    names: list[str] = []

    def find_or_build(job: Any, name: StageName, make: Callable[..., Any], arguments: list[Any], keywords: dict[str, Any]) -> Finished[Any]:
        stage = make(*(argument.output if isinstance(argument, Finished) else argument for argument in arguments))

        def build(work: Path) -> Any:
            names.append(str(name))
            if len(names) == job.killed_after:
                raise KeyboardInterrupt
            return stage.build(work, job.context)

        with stage.held:
            found, cached = job.context.store.make(stage.recipe, build)
        return Finished(name, stage.output(found.location, found.manifest, found.copy), cached)

    monkeypatch.setattr(pool, "find_or_build", find_or_build)
    return names


def run(plan: StudyPlan, killed_after: int | None = None) -> list[Finished[Any]]:
    study, context = dag_of(plan)
    results = pool.run_bounded(study.dag, cast(Any, SimpleNamespace(context=context, slots=1, killed_after=killed_after)))
    return [results.finished[end] for _, _, end in study.ends]


def test_a_grid_tunes_each_language_model_once_and_a_killed_one_does_nothing_twice(given: dict[str, object], built: list[str]) -> None:
    plan = planned(given, trials=1)
    with pytest.raises(KeyboardInterrupt):
        run(plan, killed_after=16)
    before = built[:-1]
    ends = run(plan)
    whole = Counter(before + built[16:])
    assert len(ends) == 8 and all(isinstance(end.output, Evaluation) for end in ends)
    for direction in ("forward", "backward"):
        assert whole[f"pretrain-{direction}"] == 1
        assert whole[f"finetune-{direction}"] == 2, "as it is, and tuned"
        assert whole[f"classify-{direction}"] == 4 and whole[f"scratch-{direction}"] == 2
    assert whole["ingest"] == whole["encode"] == 1 and whole["judge"] == 6 and whole["words"] == 2
    built.clear()
    assert [end.output.key for end in run(plan)] == [end.output.key for end in ends] and not built
    run(planned(given, trials=1, labels="20,40,60", methods="tfidf,ulmfit"))
    assert Counter(built) == {"classify-forward": 2, "classify-backward": 2, "judge": 2, "words": 1}, "the point that was added"


def test_no_more_documents_judge_than_asked_for_and_the_same_ones_all_methods(given: dict[str, object], built: list[str]) -> None:
    options = [*cast(list[str], given["options"]), "evaluate.max_documents=12"]
    ends = run(planned(given, trials=1, labels="20", regimes="general", options=options, reading="forward"))
    judged = {tuple(pq.read_table(end.output.path / PREDICTIONS)["id"].to_pylist()) for end in ends}
    assert len(ends) == 3 and [len(ids) for ids in judged] == [12]


def test_all_points_of_a_trial_learn_from_the_same_documents_whatever_text_there_is_beside_them(given: dict[str, object]) -> None:
    regimes = "general,domain,general+domain"
    plan = planned(given, labels="20", documents="0,30,all", regimes=regimes, methods="ulmfit,tfidf", seed=5)
    study, context = dag_of(plan)
    learnt = dict[int, set[tuple[str, ...]]]()
    for trial, its, end in study.ends:
        (ingest,) = [node for node in study.nodes_of(end) if (node.name.kind, node.name.corpus) == ("ingest", "domain")]
        corpus = make(ingest.stage(*ingest.arguments), context)
        train = read_split(corpus, "train")
        rows = train.take(rows_to_learn(train.codes(corpus.record.labels), its.settings.labels).tolist())
        assert len(rows.texts) == 20
        learnt.setdefault(trial.number, set()).add(tuple(rows.texts))
    assert [len(each) for each in learnt.values()] == [1, 1] and learnt[0] != learnt[1]


def test_only_what_knows_a_general_language_model_has_its_words(given: dict[str, object]) -> None:
    regimes = {"general": True, "domain": False, "general+domain": True}
    options = [*cast(list[str], given["options"]), "general_words=true"]
    plan = planned(given, trials=1, labels="20", regimes=",".join(regimes), methods="ulmfit,scratch", options=options)
    study, _ = dag_of(plan)
    for trial, _, end in study.ends:
        (words,) = [node for node in study.nodes_of(end) if (node.name.kind, node.name.corpus) == ("vocabulary", "domain")]
        general = words.given("general")
        assert bool(general) == (trial.point.method == "ulmfit" and regimes[str(trial.point.regime)]), trial.point
        assert not general or (general.name.kind, general.name.corpus) == ("vocabulary", "general")


def test_labels_are_chosen_step_by_step_and_a_killed_study_goes_on(given: dict[str, object], built: list[str]) -> None:
    plan = planned(given, trials=1, labels="20,40,60", methods="tfidf", active=True, seed=3)
    with pytest.raises(KeyboardInterrupt):
        run(plan, killed_after=len(TEXT_STAGES) + 6)
    before, ends = built[:-1], run(plan)
    whole = Counter(before + built[len(before) + 1 :])
    assert len(ends) == 5 == len({end.output.key for end in ends}) == whole["words"] and whole["choose"] == 2
    study, context = dag_of(plan)
    job = cast(Any, SimpleNamespace(context=context, slots=1, killed_after=None))
    found = pool.run_bounded(study.dag, job).finished
    chosen = [set(found[node].output.rows.tolist()) for node in study.dag.nodes if node.name.kind == "choose"]
    first, second = sorted(chosen, key=len)
    assert (len(first), len(second)) == (40, 60) and first < second


def test_a_network_chooses_by_the_classifiers_of_the_step_before_of_which_the_first_are_those_of_the_random_curve(
    given: dict[str, object],
) -> None:
    study, _ = dag_of(planned(given, trials=1, labels="20,40,60", methods="ulmfit", regimes="general", active=True))
    nodes = Counter(node.name.kind for node in study.dag.nodes)
    assert (nodes["classify"], nodes["choose"], nodes["judge"]) == (2 * (3 + 2), 2, 3 + 2)
    ends = {(trial.point.labels, bool(trial.point.chosen_after)): end for trial, _, end in study.ends}
    behind = lambda end: {node for node in study.nodes_of(end) if node.name.kind == "classify"}
    first = behind(ends[20, False])
    assert len(first) == 2 and first < behind(ends[40, True]) < behind(ends[60, True]) and not first & behind(ends[40, False])


def test_a_dag_holds_what_trials_share_once(given: dict[str, object]) -> None:
    study, _ = dag_of(planned(given, documents="0,all", regimes="general+domain"))
    nodes = Counter(str(node.name) for node in study.dag.nodes)
    assert nodes["ingest"] == nodes["encode"] == 1 + 4, "all the text, and each draw of the labelled documents alone"
    assert nodes["finetune-forward"] == 1 + 4 and nodes["pretrain-forward"] == 1
    tried = study.nodes_of(study.ends[-1][2])
    assert [str(node.name) for node in tried] == ["ingest", "words"], "a method of words needs no ids"


def test_one_direction_alone(given: dict[str, object]) -> None:
    study, _ = dag_of(planned(given, reading="backward"))
    assert not any(node.name.direction == "forward" for node in study.dag.nodes)


def test_the_language_model_of_the_domain_begins_with_the_domains_text(given: dict[str, object]) -> None:
    study, _ = dag_of(planned(given, regimes="domain", methods="ulmfit"))
    (pretrain,) = [node for node in study.dag.nodes if str(node.name) == "pretrain-forward"]
    assert {str(node.name) for node in pretrain.needed} == {"encode", "vocabulary"}
    assert not any(node.name.kind == "finetune" or node.name.corpus == "general" for node in study.dag.nodes)


@pytest.mark.parametrize("labels", ["3", "500", "20,500"])
def test_numbers_of_labels_that_the_corpus_cannot_give(given: dict[str, object], labels: str) -> None:
    record = SimpleNamespace(splits={"train": SimpleNamespace(documents=170)}, labels=["a", "b", "c", "d"])
    plan = planned(given, labels=labels)
    with pytest.raises(UserError, match=r"--labels.*170 labelled documents.*4 labels"):
        check_labels(plan, str(given["corpus"]), cast(Any, SimpleNamespace(record=record)))


def test_labels_of_several_a_document_are_refused_before_any_work(given: dict[str, object]) -> None:
    with pytest.raises(UserError, match="one label"):
        planned(given, options=["classifier.task=multi-label"])


def test_what_is_left_is_corrected_by_the_time_taken_once_enough_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    left, now = {"seconds": 1000.0}, {"seconds": 50.0}
    monkeypatch.setattr(study.time, "monotonic", lambda: now["seconds"])
    progress = study.Progress(cast(Any, SimpleNamespace(left=lambda done: left["seconds"])))
    remaining = lambda: progress.remaining(cast(Any, SimpleNamespace(finished={})))
    now["seconds"], left["seconds"] = 60.0, 999.9
    assert remaining() == " (16:40 left)", "too little is done to say"
    now["seconds"], left["seconds"] = 450.0, 800.0
    assert remaining() == " (26:40 left)", "it took twice as long as foreseen"
    left["seconds"] = 0.0
    assert remaining() == ""
