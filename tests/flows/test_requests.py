"""The parameters of flows: defaults, names, seeds, and what is told before anything starts."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import ValidationError

from flows.requests import TextJob, TrainJob
from ulmfit.errors import UserError
from ulmfit.pretrained.catalog import SHIPPED
from ulmfit.pretrained.transport import pretrained


@pytest.mark.parametrize(("preset", "general"), [("tiny", "wikitext-2"), ("small", "wikitext-2"), ("base", "wikitext-103")])
def test_the_general_corpus_goes_with_the_preset(preset: str, general: str) -> None:
    assert TrainJob(preset=preset).general().source == general
    assert TrainJob(preset=preset, pretrain="mine.txt").general().source == "mine.txt"


@pytest.mark.parametrize(
    ("corpus", "name"), [("imdb", "imdb"), ("/data/My Tickets.2024.csv.gz", "my-tickets"), ("folder/", "folder"), ("Übung.csv", "bung")]
)
def test_the_registered_name_comes_from_the_corpus(corpus: str, name: str) -> None:
    assert TrainJob(corpus=corpus).registered_name == f"ulmfit-{name}"
    assert TrainJob(corpus=corpus, model_name="mine").registered_name == "mine"


def test_a_seed_reaches_every_stage_and_options_have_the_last_word() -> None:
    settings = TextJob(seed=7, options=["classifier.seed=1"]).settings()
    assert (settings.corpus.seed, settings.general.seed, settings.pretrain.seed, settings.finetune.seed, settings.evaluate.seed) == (7,) * 5
    assert settings.classifier.seed == 1


def test_labels_are_taken_apart_where_the_task_says_so() -> None:
    assert TrainJob().source().label_separator is None
    assert TrainJob(options=["classifier.task=multi-label"]).source().label_separator == "|"
    assert TrainJob(options=["classifier.task=multi-label", "classifier.label_separator=';'"]).source().label_separator == ";"


def test_faults_are_told_before_anything_starts(tmp_path: Path) -> None:
    good = tmp_path / "good.csv"
    good.write_text("text,label\na b,x\nc d,y\n")
    TrainJob(corpus=str(good), pretrain=str(good)).check()
    for job, said in (
        (TrainJob(corpus=str(tmp_path / "none.csv"), pretrain=str(good)), "none.csv"),
        (TrainJob(corpus=str(good), pretrain=str(tmp_path / "none.txt")), "none.txt"),
        (TrainJob(corpus=str(good), pretrain=str(good), text_column="body"), "'text', 'label'"),
        (TrainJob(corpus=str(good), pretrain=str(good), options=["classifier.epoch=1"]), "epochs"),
    ):
        with pytest.raises(UserError, match=said):
            job.check()


def test_the_shipped_language_model_is_where_training_begins_unless_it_does_not_fit() -> None:
    assert TrainJob().start() == TrainJob(preset="tiny").start() == SHIPPED
    assert TrainJob().settings().model == pretrained(SHIPPED).model
    for job in (
        TrainJob(preset="base"),
        TrainJob(pretrain="wikitext-2"),
        TrainJob(pretraining="awd-lstm"),
        TrainJob(options=["text.lang=de"]),
        TrainJob(options=["text.rules=fastai"]),
        TrainJob(options=["model.hidden=64"]),
        TrainJob(options=["pretrain.epochs=3"]),
    ):
        assert job.start() is None, job
    assert TrainJob(preset="base", pretrained="mine").start() == "mine"


@pytest.mark.parametrize(
    ("job", "said"),
    [
        (TrainJob(pretrained="small", pretrain="wikitext-2"), "give one of them"),
        (TrainJob(pretrained="small", options=["model.hidden=64"]), "256/512/2"),
        (TrainJob(pretrained="small", options=["text.rules=fastai"]), "tokens of .en, default."),
        (TrainJob(pretrained="/no/such"), "no such pretrained"),
    ],
)
def test_a_language_model_that_does_not_fit_is_refused_before_anything_starts(job: TrainJob, said: str) -> None:
    with pytest.raises(UserError, match=said):
        job.check()


def test_a_way_of_pretraining_comes_between_the_preset_and_the_options() -> None:
    plain = TrainJob(preset="tiny", pretrain="wikitext-2").settings()
    assert plain == TextJob(preset="tiny").settings(), "the default leaves a preset, and so the keys of artifacts, as they are"
    settings = TrainJob(preset="tiny", pretraining="awd-lstm", options=["pretrain.lr=5"]).settings()
    assert (settings.pretrain.optimizer, settings.pretrain.schedule, settings.pretrain.lr) == ("nt-asgd", "constant", 5)
    assert settings.pretrain.epochs == plain.pretrain.epochs and settings.finetune == plain.finetune


def test_processes_and_resumption_are_no_settings() -> None:
    assert TrainJob(devices=4, resume=False).settings() == TrainJob().settings()
    with pytest.raises(ValidationError, match="devices"):
        TrainJob(devices=0)
