"""The DAG of suspects: language models that all folds share, and classifiers of each."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

from flows.dag import Dag
from flows.plan import resolve
from flows.request import SuspectsRequest
from flows.suspects import fold_stages
from tests.conftest import write_general, write_tickets
from ulmfit.stages.stage import Context


def test_folds_share_language_models_and_have_classifiers_of_their_own(tmp_path: Path) -> None:
    corpus, general = str(write_tickets(tmp_path / "in.csv", 40)), str(write_general(tmp_path / "general.txt", 10))
    given = {"corpus": corpus, "text_column": "body", "label_column": "topic", "pretrain": general, "preset": "tiny", "device": "cpu"}
    given |= {"options": ["classifier.folds=3"]}
    plan = resolve(SuspectsRequest.model_validate({**given, "method": "ulmfit", "workspace": str(tmp_path / "home")}))
    assert plan.settings.classifier.folds == 3
    dag = Dag()
    folds = fold_stages(dag, plan, Context(plan.workspace.store, plan.workspace.downloads))
    kinds = Counter(node.name.kind for node in dag.nodes)
    assert len(folds) == 5 == kinds["fold"] == kinds["hold-out"] and kinds["classify"] == 10 and kinds["finetune"] == 2
    assert {node.given("settings").classifier.folds for node in dag.nodes if node.name.kind == "classify"} == {None}, "folds of folds"
