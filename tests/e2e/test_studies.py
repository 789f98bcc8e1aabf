"""A study is a list of requests over one store: each differs from the first in its options, and what they share is built once."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from flows.dag import Dag, Node
from flows.plan import resolve
from flows.request import TrainRequest
from flows.train import train_dag
from tests.conftest import write_general, write_tickets
from ulmfit.directions import DIRECTIONS
from ulmfit.evaluation.results import Results, read_results
from ulmfit.stages import evaluation, models
from ulmfit.stages.outputs import Corpus, LanguageModel
from ulmfit.stages.stage import Context, Stage, make
from ulmfit.store.artifacts import Built
from ulmfit.training.specs import ClassifySpec, TrainingSpec

BOTH = [f"{{}}-{direction}" for direction in DIRECTIONS]


@dataclass(frozen=True)
class Ran:
    """A request that was run: the outputs by stage, those built rather than found, and the scores."""

    outputs: dict[str, Any]
    built: set[str]

    @property
    def results(self) -> Results:
        return read_results(self.outputs["evaluate"].path)


def run(request: TrainRequest) -> Ran:
    """The stages of the request's DAG in this process, in order."""
    plan = resolve(request)
    context = Context(plan.workspace.store, plan.workspace.downloads, placement=plan.placement)
    dag, outputs, built = Dag(), dict[Node, Any](), set[str]()
    train_dag(dag, plan, context)
    for node in dag.nodes:
        outputs[node] = make(noted(node, outputs, built), context)
    return Ran({str(node.name): output for node, output in outputs.items()}, built)


def noted(node: Node, outputs: dict[Node, Any], built: set[str]) -> Stage[Any]:
    stage = node.stage(*(outputs[argument] if isinstance(argument, Node) else argument for argument in node.arguments))

    def build(work: Path, context: Context) -> Built:
        built.add(str(node.name))
        return stage.build(work, context)

    return replace(stage, build=build)


def of(*kinds: str) -> set[str]:
    return {name.format(kind) for kind in kinds for name in BOTH}


def texts_of(corpus: Corpus, split: str) -> dict[str, str]:
    """The texts of a split, and the id of each."""
    rows = pq.read_table(corpus.path / "part-00000.parquet", columns=["id", "text"], filters=[("split", "=", split)]).to_pylist()
    return {row["text"]: row["id"] for row in rows}


class Study:
    """Requests over one workspace, each named; a request is run when its name is first asked for."""

    def __init__(self, folder: Path):
        corpus, general = folder / "tickets", str(write_general(folder / "general.txt", 100))
        corpus.mkdir()
        write_tickets(corpus / "train.csv", 320)
        write_tickets(corpus / "test.csv", 80, seed=2)
        few, self.ran = ["labels.number=40"], dict[str, Ran]()
        self.variants: dict[str, tuple[list[str], dict[str, str]]] = {
            "all labels": ([], {}),
            "few labels": (few, {}),
            "another draw": ([*few, "labels.seed=1"], {}),
            "more labels": (["labels.number=80"], {}),
            "judged by validation rows": ([*few, "judge=valid"], {}),
            "judged by a sample": ([*few, "evaluate.max_documents=20"], {}),
            "from scratch beside": ([*few, "scratch=true"], {}),
            "without fine-tuning": ([*few, "finetune.epochs=0"], {}),
            "without pretraining": ([*few, "finetune.epochs=0"], {"pretrain": str(corpus)}),
        }
        self.given = {"corpus": str(corpus), "text_column": "body", "label_column": "topic", "preset": "tiny", "device": "cpu"}
        self.given |= {"pretrain": general, "workspace": str(folder / "workspace")}
        for name in self.variants:
            self.ran[name] = run(self.request(name))

    def request(self, name: str) -> TrainRequest:
        options, changed = self.variants[name]
        return TrainRequest.model_validate({**self.given, **changed, "options": options})


@pytest.fixture(scope="module")
def study(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Study]:
    yield Study(tmp_path_factory.mktemp("study"))


@pytest.mark.slow
def test_each_request_builds_what_none_before_it_has(study: Study) -> None:
    evaluated = {"evaluate", "explain"}
    judged = {"average", "familiarity"} | evaluated
    text = {"ingest", "tokenise", "vocabulary", "encode"}
    general = {f"{name}-general" for name in text}
    assert {name: ran.built for name, ran in study.ran.items()} == {
        "all labels": text | general | of("pretrain", "finetune", "classify") | judged,
        "few labels": of("classify") | judged,
        "another draw": of("classify") | judged,
        "more labels": of("classify") | judged,
        "judged by validation rows": evaluated,
        "judged by a sample": evaluated,
        "from scratch beside": of("scratch") | {"average-scratch"} | evaluated,
        "without fine-tuning": of("finetune", "classify") | judged,
        "without pretraining": general | of("pretrain", "finetune", "classify") | judged,
    }


@pytest.mark.slow
def test_a_list_of_requests_tunes_each_distinct_language_model_once(study: Study) -> None:
    built = Counter(stage for ran in study.ran.values() for stage in ran.built)
    tuned = {ran.outputs["finetune-forward"].key for ran in study.ran.values()}
    assert len(tuned) == 3 == built["finetune-forward"] == built["finetune-backward"]
    assert built["pretrain-forward"] == 2 and built["ingest"] == 1
    assert not any(run(study.request(name)).built for name in study.variants), "the same list again finds all"


@pytest.mark.slow
def test_what_is_only_carried_over_has_its_perplexity_on_the_new_text(study: Study) -> None:
    for name in ("without fine-tuning", "without pretraining"):
        lm: LanguageModel = study.ran[name].outputs["finetune-forward"]
        assert (lm.record.steps, lm.record.trained_tokens) == (0, 0)
        assert lm.record.valid_perplexity and lm.record.valid_perplexity > 1


@pytest.mark.slow
def test_without_pretraining_the_language_model_reads_the_corpus_alone_and_no_test_row(study: Study) -> None:
    outputs = study.ran["without pretraining"].outputs
    general: Corpus = outputs["ingest-general"]
    assert general.record.name == "tickets" and not general.record.labels
    tests, read = texts_of(outputs["ingest"], "test"), texts_of(general, "train")
    assert len(tests) == 80 and len(read) > 250 and not set(tests) & set(read)


@pytest.mark.slow
def test_what_judges(study: Study) -> None:
    splits = study.ran["few labels"].outputs["ingest"].record.splits
    assert study.ran["few labels"].results.documents == splits["test"].documents
    by_validation = study.ran["judged by validation rows"].results
    assert by_validation.documents == splits["valid"].documents != splits["test"].documents
    sampled = study.ran["judged by a sample"].results
    assert sampled.documents == 20
    assert set(by_validation.systems) == set(study.ran["few labels"].results.systems)
    assert {"forward+backward", "forward+backward from scratch"} <= set(study.ran["from scratch beside"].results.systems)


@pytest.mark.slow
def test_the_baseline_learns_from_the_classifiers_documents(study: Study, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a draw that was not made before: ids that the classifiers' specs open, and those of the texts that the baseline is given."""
    learnt: list[list[str]] = []
    read: list[list[str]] = []
    train, baseline = models.train, evaluation.baseline.baseline_probabilities

    def trained(spec: TrainingSpec, *rest: Any) -> Any:
        assert isinstance(spec, ClassifySpec)
        learnt.append(spec.text().train.ids)
        return train(spec, *rest)

    def judged(texts: list[str], *rest: Any) -> Any:
        read.append(texts)
        return baseline(texts, *rest)

    monkeypatch.setattr(models, "train", trained)
    monkeypatch.setattr(evaluation.baseline, "baseline_probabilities", judged)
    study.variants["fresh"] = (["labels.number=50", "labels.seed=9", "classifier.epochs=1"], {})
    ran = run(study.request("fresh"))
    names = texts_of(ran.outputs["ingest"], "train")
    forward, backward = learnt
    assert forward == backward == [names[text] for text in read[0]] and len(set(forward)) == 50
