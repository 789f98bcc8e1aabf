"""The wiring of the DAG: checked by the type checker, and a value that can be looked at before anything runs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any, cast

import pytest

from flows.dag import Dag, Node
from flows.plan import Plan
from flows.request import TrainRequest
from flows.train import train_dag
from tasks.sent import POOLS
from tasks.workspace import Workspace
from tests.conftest import ROOT
from ulmfit.config import TextConfig
from ulmfit.corpora.source import CorpusSource
from ulmfit.stages.outputs import Corpus
from ulmfit.stages.shards import tokenise
from ulmfit.stages.stage import Context, Stage, StageName


def plan(tmp_path: Path, **request: object) -> Plan:
    asked = TrainRequest.model_validate({"preset": "tiny", **request})
    source = CorpusSource("tickets.csv")
    return Plan(asked, Workspace(tmp_path), asked.settings(), domain=source, general=CorpusSource("general.txt", label_column=None))


def dag_of(plan: Plan) -> Dag:
    dag = Dag()
    train_dag(dag, plan, Context(plan.workspace.store, plan.workspace.downloads))
    return dag


def test_the_dag_of_the_main_job(tmp_path: Path) -> None:
    nodes = {str(node.name): node for node in dag_of(plan(tmp_path, options=["scratch=true"])).nodes}
    text = ["ingest", "tokenise", "vocabulary", "encode"]
    trained = [f"{kind}-{direction}" for kind in ("pretrain", "finetune", "classify", "scratch") for direction in ("forward", "backward")]
    after = ["evaluate", "explain", "familiarity"]
    assert sorted(nodes) == sorted([*text, *(f"{name}-general" for name in text), *trained, "average", "average-scratch", *after])
    assert nodes["finetune-backward"].arguments[:3] == (nodes["pretrain-backward"], nodes["encode"], nodes["vocabulary"])
    assert nodes["pretrain-forward"].arguments[:2] == (nodes["encode-general"], nodes["vocabulary-general"])
    assert set(nodes["scratch-forward"].after) == {nodes["classify-forward"], nodes["classify-backward"]}
    assert nodes["evaluate"].arguments[2:4] == (nodes["average"], nodes["average-scratch"])


def test_each_node_comes_behind_those_it_needs(tmp_path: Path) -> None:
    before: list[Node] = []
    for node in dag_of(plan(tmp_path, options=["scratch=true"])).nodes:
        needed = [argument for argument in (*node.arguments, *node.after) if isinstance(argument, Node)]
        assert all(any(other is known for known in before) for other in needed), node.name
        before.append(node)


def test_every_stage_of_a_training_has_a_work_pool(tmp_path: Path) -> None:
    nodes = dag_of(plan(tmp_path, options=["scratch=true", "words=true"])).nodes
    assert "word-model" in {node.name.kind for node in nodes}
    assert {node.stage for node in nodes} <= POOLS.keys()


def test_a_stage_may_be_wired_by_keywords() -> None:
    dag = Dag()
    corpus = dag.add(StageName("ingest"), made_of)
    tokens = dag.add(StageName("tokenise"), tokenise, corpus, TextConfig(), quarantine_crashing=True)
    assert dag.nodes[1] is cast(Any, tokens) and dag.nodes[1].keywords == {"quarantine_crashing": True}


def made_of() -> Stage[Corpus]:
    pytest.fail("a DAG is built without making a stage")


def test_what_is_not_made_yet_says_so(tmp_path: Path) -> None:
    node = dag_of(plan(tmp_path)).nodes[0]
    with pytest.raises(AttributeError, match="ingest is not made yet"):
        _ = node.record


SWAPS = [
    ("general.ids, general.vocab", "general.vocab, general.ids"),
    ("finetune, lm, domain.ids", "finetune, domain.ids, lm"),
    ('parts["forward"], parts["backward"], domain.corpus', 'parts["forward"], domain.corpus, parts["backward"]'),
    ("settings.finetune, direction)", "settings.classifier, direction)"),
]


def test_mypy_refuses_swapped_inputs(tmp_path: Path) -> None:
    source = (ROOT / "flows" / "train.py").read_text()
    files = []
    for number, (right, swapped) in enumerate(SWAPS):
        assert right in source, right
        files.append(tmp_path / f"swapped_{number}.py")
        files[-1].write_text(source.replace(right, swapped))
    command = [sys.executable, "-m", "mypy", "--config-file", str(ROOT / "pyproject.toml"), *map(str, files)]
    said = subprocess.run(command, cwd=ROOT, capture_output=True, text=True).stdout
    for file in files:
        assert any(file.name in line and "incompatible type" in line for line in said.splitlines()), said
