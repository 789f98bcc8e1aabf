"""What is said and chosen before a DAG trains: on text that is made in this process, without a server."""

from __future__ import annotations

import logging
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from flows import foresight
from flows.dag import Dag, Node, Results, missing
from flows.foresight import announce, within_minutes
from flows.plan import Plan, resolve
from flows.request import TrainRequest
from flows.text import Text
from flows.train import models, texts
from tasks.run import Finished
from tests.conftest import write_tickets
from ulmfit.errors import UserError
from ulmfit.progress import outlook
from ulmfit.stages.stage import Context, make
from ulmfit.training import rehearsal
from ulmfit.training.amounts import VALIDATED


@dataclass
class Prepared:
    """A plan whose text is made."""

    plan: Plan
    job: Any
    dag: Dag
    domain: Text
    made: Results
    logged: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def within(self, minutes: float) -> Plan:
        request = self.plan.request.model_copy(update={"minutes": minutes})
        return within_minutes(replace(self.plan, request=request), self.job, self.made, self.domain, None)

    def announced(self, plan: Plan, caplog: pytest.LogCaptureFixture) -> str:
        dag = Dag(list(self.dag.nodes))
        models(dag, plan, self.domain, None)
        caplog.clear()
        announce(dag, plan, self.job, self.made, self.domain, None)
        return caplog.text


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> Any:
    monkeypatch.setattr(rehearsal, "SECONDS", 0.02)
    caplog.set_level(logging.INFO)
    yield
    outlook.expect((), 0)


@pytest.fixture
def prepared(tmp_path: Path) -> Prepared:
    corpus = write_tickets(tmp_path / "tickets.csv", 300)
    request = TrainRequest(corpus=str(corpus), text_column="body", label_column="topic", preset="tiny", workspace=str(tmp_path / "w"))
    plan = resolve(request)
    plan = replace(plan, settings=plan.settings.model_copy(update={"model": plan.settings.model.model_copy(update={"hidden": 16})}))
    context = Context(plan.workspace.store, plan.workspace.downloads)
    dag, finished = Dag(), dict[Node, Finished[Any]]()
    domain, _ = texts(dag, plan, context)
    for node in dag.nodes:
        arguments = [finished[argument].output if isinstance(argument, Node) else argument for argument in node.arguments]
        finished[node] = Finished(node.name, make(node.stage(*arguments), context), False)
    logged: list[tuple[str, dict[str, Any]]] = []
    tracker = SimpleNamespace(log_json=lambda run, name, facts: logged.append((name, facts)))
    job = SimpleNamespace(context=context, workspace=plan.workspace, threads=1, run_id="run", tracker=tracker, pools=None)
    return Prepared(plan, job, dag, domain, Results(finished), logged)


def test_the_plan_names_what_is_there_and_what_is_to_make(prepared: Prepared, caplog: pytest.LogCaptureFixture) -> None:
    said = prepared.announced(prepared.plan, caplog)
    assert "4 stages found or done, 10 to make (2 pretrained, 2 finetune, 2 classify, average, evaluate, explain, familiarity)" in said
    assert "plan: fine-tune" in said and "tokens in 1 passes" in said and "plan: classify" in said and "judge by 60 documents" in said
    assert "in all on this machine" in said
    assert [[name for name, _ in chain] for chain in outlook.chains] == [
        [f"fine-tune {direction}", f"classify {direction}"] for direction in ("forward", "backward")
    ]
    assert all(seconds > 0 for chain in outlook.chains for _, seconds in chain) and outlook.after > 0


def test_classifiers_from_scratch_count(prepared: Prepared, caplog: pytest.LogCaptureFixture) -> None:
    prepared.announced(replace(prepared.plan, settings=prepared.plan.settings.model_copy(update={"scratch": True})), caplog)
    assert [name for name, _ in outlook.chains[0]] == ["fine-tune forward", "classify forward", "classify forward, from scratch"]


def test_folds_count_where_validation_documents_are_few(prepared: Prepared, caplog: pytest.LogCaptureFixture) -> None:
    settings = prepared.plan.settings
    folded = settings.model_copy(update={"classifier": settings.classifier.model_copy(update={"folds": 3}), "scratch": True})
    said = prepared.announced(replace(prepared.plan, settings=folded), caplog)
    chain, number = dict(outlook.chains[0]), 3
    folds = [f"classify forward, without fold {fold}" for fold in range(1, number + 1)]
    assert list(chain) == ["fine-tune forward", "classify forward", *folds, "classify forward, from scratch"]
    assert "plan: leave out 3 folds, to find how sure to be" in said
    assert sum(chain[fold] for fold in folds) == pytest.approx((number - 1) * chain["classify forward"])


def test_a_second_plan_measures_nothing(prepared: Prepared, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> None:
    first = prepared.announced(prepared.plan, caplog)
    monkeypatch.setattr(rehearsal, "_measured", lambda task, threads: pytest.fail("it was measured before"))
    assert prepared.announced(prepared.plan, caplog) == first


def test_where_all_is_found_nothing_is_expected(prepared: Prepared, caplog: pytest.LogCaptureFixture) -> None:
    caplog.clear()
    announce(prepared.dag, prepared.plan, prepared.job, prepared.made, prepared.domain, None)
    assert "4 stages found or done, 0 to make" in caplog.text and "measured" not in caplog.text and not outlook.chains
    assert missing(prepared.dag, prepared.made, prepared.job.context.store) == []


def test_enough_minutes_leave_the_amounts_as_they_are(prepared: Prepared, caplog: pytest.LogCaptureFixture) -> None:
    usual = prepared.plan.settings
    folded = usual.model_copy(update={"classifier": usual.classifier.model_copy(update={"folds": 3})})
    prepared.plan = replace(prepared.plan, settings=folded)
    plan = prepared.within(600)
    assert plan.settings.finetune == usual.finetune and plan.settings.labels == usual.labels and plan.settings.evaluate == usual.evaluate
    assert plan.settings.classifier == usual.classifier.model_copy(update={"max_valid": VALIDATED})
    assert "all 217 labelled documents" in caplog.text and "1200 minutes" not in caplog.text


def test_few_minutes_choose_less_and_the_choice_stays(prepared: Prepared, caplog: pytest.LogCaptureFixture) -> None:
    plan = prepared.within(0.001)
    assert plan.settings.finetune.epochs == 0 and plan.settings.classifier.epochs == 1 and plan.settings.labels.number == 100
    assert "are too few here" in caplog.text and "in 0.002 minutes it would be" in caplog.text
    name, facts = prepared.logged[0]
    assert name == "budget.json" and facts["minutes"] == 0.001 and facts["chosen"]["labelled"] == 100
    later = replace(prepared, plan=replace(prepared.plan, begun=0.0))  # a command that began long ago: there would be no time left
    assert later.within(0.001).settings == plan.settings
    assert "minutes" not in plan.settings.model_dump_json()


def test_weighing_and_explaining_take_from_the_minutes(prepared: Prepared, monkeypatch: pytest.MonkeyPatch) -> None:
    settings = prepared.plan.settings.model_copy(update={"words": True})
    given = replace(prepared, plan=replace(prepared.plan, settings=settings, begun=time.time()))
    assert given.within(5).settings.finetune == settings.finetune  # all of it fits
    monkeypatch.setattr(foresight, "words_read", lambda words: 10**12)  # as of texts that take hours to explain
    assert given.within(6).settings.finetune.epochs == 0


def test_minutes_that_cannot_be_kept_are_refused_first(tmp_path: Path) -> None:
    corpus = write_tickets(tmp_path / "tickets.csv", 40)
    columns = {"corpus": str(corpus), "text_column": "body", "label_column": "topic", "workspace": str(tmp_path / "w")}
    with pytest.raises(UserError, match="--minutes and --devices"):
        resolve(TrainRequest(**columns, minutes=5, devices=2))
    for minutes in (0, -1, float("nan")):
        with pytest.raises(ValueError, match="minutes"):
            TrainRequest(**columns, minutes=minutes)
