"""The reference of drift: figures of the documents that a model did not learn from, measured once."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

from tests.prediction.test_predictor import LABELS, VOCAB, bundle, parts, texts_of  # noqa: F401 - fixtures
from tests.stages.test_identity import made
from ulmfit.config import CorpusConfig, Dropouts, ModelConfig, QualityConfig
from ulmfit.corpora.source import CorpusSource
from ulmfit.models.language_model import LanguageModel as Weights
from ulmfit.models.saving import ModelFacts, load_language_model, save_model
from ulmfit.monitoring.measuring import measure
from ulmfit.monitoring.policy import DriftPolicy
from ulmfit.prediction.predictor import Predictor
from ulmfit.stages.corpus import ingest
from ulmfit.stages.evaluation import read_split
from ulmfit.stages.monitoring import drift_reference
from ulmfit.stages.outputs import LanguageModel, Model, Output
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Store

Made = TypeVar("Made", bound=Output[Any])


def placed(output: type[Made], folder: Path) -> Made:
    """A finished artifact whose files are in ``folder``."""
    return replace(made(output, "4"), location=str(folder), copy=folder)


def test_the_reference_is_the_held_out_text(bundle: Path, tmp_path: Path) -> None:  # noqa: F811
    store = Store(tmp_path / "store")
    store.set_up()
    context, policy = Context(store, tmp_path / "downloads"), DriftPolicy(min_documents=3)
    texts = texts_of(*range(3, 43))
    rows = "".join(f"{text},{LABELS[number % 3]}\n" for number, text in enumerate(texts))
    (tmp_path / "films.csv").write_text(f"text,label\n{rows}")
    corpus = make(ingest(context, CorpusSource(str(tmp_path / "films.csv")), CorpusConfig(), QualityConfig(), True), context)
    (tmp_path / "lm").mkdir()
    save_model(tmp_path / "lm", Weights(len(VOCAB), ModelConfig(embedding=8, hidden=12, layers=2), Dropouts()), ModelFacts())
    lm, model = placed(LanguageModel, tmp_path / "lm"), placed(Model, bundle)
    found = make(drift_reference(corpus, lm, model, policy), context)
    held_out = [read_split(corpus, split) for split in ("test", "valid")]
    texts, labels = [text for rows in held_out for text in rows.texts], [label for rows in held_out for label in rows.labels]
    assert 0 < len(texts) < 40 and found.record.documents == found.record.labelled == len(texts)
    assert found.figures == measure(texts, labels, load_language_model(tmp_path / "lm"), Predictor(bundle), policy)
    assert found.figures.hits is not None and found.figures.hits.rows == len(texts)
