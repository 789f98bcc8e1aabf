"""The stages of words: a model of words is learnt, weighed, and measured beside both directions; keys without it stay as they are."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from tests.prediction.test_predictor import WORDS, texts_of
from tests.stages.test_identity import BACKWARD, CORPUS, FORWARD, TOKENS, VOCAB, made
from ulmfit.config import ClassifierConfig, CorpusConfig, LabelsConfig, ModelConfig, QualityConfig, Settings
from ulmfit.corpora.source import CorpusSource
from ulmfit.directions import DIRECTIONS, WITH_WORDS
from ulmfit.evaluation.predictions import read_answers, read_predictions
from ulmfit.prediction.predictor import Predictor
from ulmfit.presets import override, preset
from ulmfit.stages.corpus import ingest
from ulmfit.stages.evaluation import measure, read_split
from ulmfit.stages.models import average, classify, word_model
from ulmfit.stages.outputs import Corpus, Words
from ulmfit.stages.shards import encode, tokenise, vocabulary
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Store

LABELS = {"multi-class": ["bad", "good"], "multi-label": ["bad", "bad|short", "good", "good|short"]}


def corpus_of(context: Context, folder: Path, task: str) -> Corpus:
    rows = []
    for number, text in enumerate(texts_of(*[9] * 240)):
        label = "good" if "good" in text else "bad"
        rows.append(f"{text},{label}|short" if task == "multi-label" and number % 2 else f"{text},{label}")
    (folder / "films.csv").write_text("text,label\n" + "\n".join(rows) + "\n")
    return make(ingest(context, CorpusSource(str(folder / "films.csv")), CorpusConfig(), QualityConfig(), True), context)


@pytest.mark.parametrize("folds", [None, 2])
@pytest.mark.parametrize("task", LABELS)
def test_words_become_a_member_and_are_measured(tmp_path: Path, caplog: pytest.LogCaptureFixture, task: str, folds: int | None) -> None:
    caplog.set_level(logging.INFO)
    store = Store(tmp_path / "store")
    store.set_up()
    context = Context(store, tmp_path / "downloads")
    hasty = {"task": task, "init": "scratch", "unfreeze": "full", "epochs": 1, "hidden": 4, "folds": folds}
    sizes = ModelConfig(embedding=8, hidden=12, layers=2)
    settings = Settings(model=sizes, classifier=ClassifierConfig.model_validate(hasty), labels=LabelsConfig(number=120))
    corpus = corpus_of(context, tmp_path, task)
    tokens = make(tokenise(corpus, settings.text), context)
    vocab = make(vocabulary(corpus, tokens, settings.vocab, settings.quality), context)
    ids = make(encode(corpus, tokens, vocab), context)
    words = make(word_model(corpus, settings), context)
    assert words.record.documents == 120 and words.record.terms > len(WORDS)
    parts = [make(classify(None, corpus, ids, vocab, settings, direction), context) for direction in DIRECTIONS]
    model = make(average(parts[0], parts[1], corpus, tokens, vocab, settings.classifier, words), context)
    assert f" validation documents{' and 120 of folds' if folds else ''}\n" in caplog.text
    assert model.record.words is not None and model.record.words > 0.3, "the networks have learnt next to nothing"
    found = make(measure(corpus, ids, model, None, settings), context)
    assert {"words", "forward+backward", WITH_WORDS} <= found.record.scores.keys()
    assert found.record.answer == found.record.scores[WITH_WORDS]
    assert (found.record.answer["accuracy"] or 0) > (found.record.scores["forward+backward"]["accuracy"] or 0)
    answers, predictor = read_answers(found.path), Predictor(model.path)
    assert (answers.probabilities == read_predictions(found.path, WITH_WORDS).probabilities).all()
    assert predictor.probabilities(read_split(corpus, "test").texts) == pytest.approx(answers.probabilities, abs=1e-6)


def test_what_the_seed_decides_has_the_seed_in_its_key() -> None:
    settings = preset("small")
    keys = {word_model(CORPUS, override(settings, [f"labels.seed={seed}"])).recipe.key for seed in (0, 1)}
    assert len(keys) == 2


def test_keys_with_words_differ_and_without_them_stay() -> None:
    words = made(Words, "8")
    keys = {
        average(FORWARD, BACKWARD, CORPUS, TOKENS, VOCAB, ClassifierConfig(), *given).recipe.key
        for given in ((), (words,), (made(Words, "9"),))
    }
    fewer = average(FORWARD, BACKWARD, CORPUS, TOKENS, VOCAB, ClassifierConfig(max_valid=20), words).recipe.key
    assert len(keys) == 3 and fewer not in keys
    off = override(preset("small"), ["words=false"])
    assert off.words is None and preset("small").words and "words" not in off.keyed()
