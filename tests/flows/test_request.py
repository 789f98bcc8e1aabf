"""The parameters of flows: defaults, names, seeds, and what is told before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.plan import resolve
from flows.request import PreprocessRequest, PretrainRequest, TextRequest, TrainRequest
from flows.study_request import DataQuantityRequest
from ulmfit.errors import UserError
from ulmfit.pretrained.catalog import SHIPPED


@pytest.mark.parametrize(("preset", "general"), [("tiny", "wikitext-2"), ("small", "wikitext-2"), ("base", "wikitext-103")])
def test_the_general_corpus_goes_with_the_preset(preset: str, general: str) -> None:
    assert TrainRequest(preset=preset).general().source == general
    assert TrainRequest(preset=preset, pretrain="mine.txt").general().source == "mine.txt"


@pytest.mark.parametrize(
    ("corpus", "name"),
    [
        ("imdb", "imdb"),
        ("/data/My Tickets.2024.csv.gz", "my-tickets"),
        ("folder/", "folder"),
        ("Übung.csv", "ubung-c9ebdab8"),
        ("x" * 60 + ".csv", "x" * 60),
    ],
)
def test_the_registered_name_comes_from_the_corpus(corpus: str, name: str) -> None:
    assert TrainRequest(corpus=corpus).registered_name == f"ulmfit-{name}"
    assert TrainRequest(corpus=corpus, model_name="mine").registered_name == "mine"


def test_no_two_files_share_a_name_because_of_their_letters() -> None:
    long = [f"{'word-' * 48}{end}.csv" for end in ("one", "two")]  # of 247 bytes
    files = [*long, "отзывы.csv", "评论.csv", "レビュー.csv", "....csv", "Ubung.csv", "Übung.csv", "bung.csv"]
    names = [TrainRequest(corpus=file).registered_name for file in files]
    assert len(set(names)) == len(files) and all(name.isascii() and len(name) < 80 for name in names)


@pytest.mark.parametrize(
    "name", ["team/a:b", "v1.2", "a%b", "it's", 'say "x"', " ", "x" * 251, "two\nlines", "a@b", "a?b", "a#b", "a\\b", " a", "a "]
)
def test_a_name_that_the_registry_refuses_is_refused_first(name: str, tmp_path: Path) -> None:
    (tmp_path / "good.csv").write_text("text,label\na b,x\nc d,y\n")
    request = TrainRequest(corpus=str(tmp_path / "good.csv"), model_name=name, workspace=str(tmp_path / "workspace"))
    with pytest.raises(UserError, match="--model-name") as error:
        resolve(request)
    assert "\n" not in str(error.value)


def test_a_destination_that_cannot_be_written_is_refused_first(tmp_path: Path) -> None:
    (tmp_path / "text.csv").write_text("text\na b\nc d\n")
    for location in (tmp_path / "text.csv", tmp_path, tmp_path / "text.csv" / "below", "gs://bucket/lm"):
        request = PretrainRequest(corpus=str(tmp_path / "text.csv"), export=str(location), workspace=str(tmp_path / "workspace"))
        with pytest.raises(UserError, match="--export"):
            resolve(request)


@pytest.mark.parametrize("field", ["corpus", "text_column", "workspace", "pretrained", "model_name"])
def test_names_that_are_no_utf8_are_refused_first(field: str) -> None:
    with pytest.raises(ValidationError, match="no UTF-8"):
        TrainRequest(**{field: "a\udcff"})
    with pytest.raises(ValidationError, match="no UTF-8"):
        TrainRequest(options=["text.lang=de", "text.rules=\udcff"])


@pytest.mark.parametrize("seed", [-1, 2**63])
def test_seeds_that_a_generator_refuses_are_refused_first(seed: int) -> None:
    with pytest.raises(ValidationError, match="seed"):
        TrainRequest(seed=seed)
    with pytest.raises(UserError, match=r"classifier\.seed"):
        TrainRequest(options=[f"classifier.seed={seed}"]).settings()


def test_a_seed_reaches_every_stage_and_options_have_the_last_word() -> None:
    settings = TextRequest(seed=7, options=["classifier.seed=1"]).settings()
    assert (settings.corpus.seed, settings.general.seed, settings.pretrain.seed, settings.finetune.seed, settings.evaluate.seed) == (7,) * 5
    assert settings.classifier.seed == 1 and settings.labels.seed == 7


def test_labels_are_taken_apart_where_the_task_says_so() -> None:
    assert TrainRequest().source().label_separator is None
    assert TrainRequest(options=["classifier.task=multi-label"]).source().label_separator == "|"
    assert TrainRequest(options=["classifier.task=multi-label", "classifier.label_separator=';'"]).source().label_separator == ";"


def test_faults_are_told_before_anything_starts(tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("text,label\na b,x\nc d,y\n")
    resolve(TrainRequest(corpus=str(good), pretrain=str(good)))
    for job, said in (
        (TrainRequest(corpus=str(tmp_path / "none.csv"), pretrain=str(good)), "none.csv"),
        (TrainRequest(corpus=str(good), pretrain=str(tmp_path / "none.txt")), "none.txt"),
        (TrainRequest(corpus=str(good), pretrain=str(good), test=str(good.parent / "." / "good.csv")), "is the file of --corpus"),
        (TrainRequest(corpus=str(good), pretrain=str(good), text_column="body"), "'text', 'label'"),
        (TrainRequest(corpus=str(good), pretrain=str(good), options=["classifier.epoch=1"]), "epochs"),
    ):
        with pytest.raises(UserError, match=said):
            resolve(job)


def test_the_shipped_language_model_is_where_training_begins_unless_it_does_not_fit() -> None:
    assert TrainRequest().start() == TrainRequest(preset="tiny").start() == SHIPPED
    for job in (
        TrainRequest(preset="base"),
        TrainRequest(pretrain="wikitext-2"),
        TrainRequest(pretraining="awd-lstm"),
        TrainRequest(options=["text.lang=de"]),
        TrainRequest(options=["text.rules=fastai"]),
        TrainRequest(options=["model.hidden=64"]),
        TrainRequest(options=["pretrain.epochs=3"]),
    ):
        assert job.start() is None, job
    assert TrainRequest(preset="base", pretrained="mine").start() == "mine"


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (TrainRequest(pretrained="small", pretrain="wikitext-2"), "give one of them"),
        (TrainRequest(pretrained="small", options=["model.hidden=64"]), "256/512/2"),
        (TrainRequest(pretrained="small", options=["text.rules=fastai"]), "tokens of .en, default."),
        (TrainRequest(pretrained="/no/such"), "no such pretrained"),
    ],
)
def test_a_language_model_that_does_not_fit_is_refused_before_anything_starts(job: TrainRequest, said: str) -> None:
    with pytest.raises(UserError, match=said):
        resolve(job)


def test_a_way_of_pretraining_comes_between_the_preset_and_the_options() -> None:
    plain = TrainRequest(preset="tiny", pretrain="wikitext-2").settings()
    assert plain == TextRequest(preset="tiny").settings(), "the default leaves a preset, and so the keys of artifacts, as they are"
    settings = TrainRequest(preset="tiny", pretraining="awd-lstm", options=["pretrain.lr=5"]).settings()
    assert (settings.pretrain.optimizer, settings.pretrain.schedule, settings.pretrain.lr) == ("nt-asgd", "constant", 5)
    assert settings.pretrain.epochs == plain.pretrain.epochs and settings.finetune == plain.finetune


def test_processes_and_resumption_are_no_settings() -> None:
    assert TrainRequest(devices=4, resume=False).settings() == TrainRequest().settings()
    with pytest.raises(ValidationError, match="devices"):
        TrainRequest(devices=0)


def test_where_stages_cannot_be_distributed_is_told_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "good.csv").write_text("text,label\na b,x\nc d,y\n")
    fields = {"corpus": str(tmp_path / "good.csv"), "workspace": str(tmp_path / "workspace"), "stages": "distributed", "preset": "tiny"}
    monkeypatch.delenv("PREFECT_API_URL", raising=False)
    for request in (PreprocessRequest(**fields), TrainRequest(**fields)):
        with pytest.raises(UserError, match="--stages distributed: work pools are those of a Prefect server"):
            resolve(request)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    with pytest.raises(UserError, match="--minutes and --stages distributed"):
        resolve(TrainRequest(**fields, minutes=5))
    assert resolve(TrainRequest(**fields, device="cuda")).placement.device == "cpu", "the worker looks for its GPU"
    with pytest.raises(ValidationError):
        DataQuantityRequest(**fields)
