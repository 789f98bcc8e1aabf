"""Text, labels and a champion become the figures that drift is told by."""

from __future__ import annotations

import math

import numpy as np
import pytest

from tests.prediction.test_predictor import LABELS, VOCAB, bundle, parts, texts_of  # noqa: F401 - fixtures
from ulmfit.config import Dropouts, ModelConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.monitoring.measuring import measure
from ulmfit.monitoring.policy import DriftPolicy
from ulmfit.prediction.predictor import Predictor

POLICY = DriftPolicy(sample=20)
LM = LanguageModel(len(VOCAB), ModelConfig(embedding=8, hidden=12, layers=2), Dropouts())
TEXTS = [*texts_of(*range(3, 13)), "the strange film", ""]


@pytest.fixture
def champion(bundle) -> Predictor:  # noqa: F811
    return Predictor(bundle)


def test_figures_of_each_document(champion):
    found = measure(TEXTS, [None] * len(TEXTS), LM, champion, POLICY)
    assert found.lengths[:10] == tuple(range(4, 14))  # with xxbos; the empty text has no token to be expected
    assert len(found.losses) == len(found.unknown) == len(found.lengths) == 11
    assert found.unknown == (0.0,) * 10 + (0.25,)
    assert all(loss == pytest.approx(math.log(len(VOCAB)), abs=0.5) for loss in found.losses)
    assert found.labels == {} and found.hits is None


def test_labels_are_counted_and_answers_judged_where_there_are_labels(champion):
    answers = champion.decide(champion.probabilities(TEXTS))
    labels = [answer[0] for answer in answers]
    right = measure(TEXTS, labels, LM, champion, POLICY)
    assert right.hits is not None and (right.hits.right, right.hits.rows) == (12, 12)
    other = {label: LABELS[(LABELS.index(label) + 1) % 3] for label in LABELS}
    some = measure(TEXTS, [other[labels[0]], None, "a new one", *labels[3:]], LM, champion, POLICY)
    assert some.hits is not None and (some.hits.right, some.hits.rows) == (9, 11)
    assert sum(some.labels.values()) == 11 and some.labels["a new one"] == 1


def test_many_documents_are_measured_by_a_sample_that_a_seed_repeats(champion):
    texts = texts_of(*np.random.default_rng(1).integers(3, 30, 100))
    labels = [LABELS[number % 3] for number in range(100)]
    found = measure(texts, labels, LM, champion, POLICY)
    assert len(found.losses) == 20 and found.hits is not None and found.hits.rows == 20
    assert sum(found.labels.values()) == 100
    assert measure(texts, labels, LM, champion, POLICY) == found
    assert measure(texts, labels, LM, champion, DriftPolicy(sample=20, seed=1)) != found


def test_no_documents_are_no_figures(champion):
    found = measure([], [], LM, champion, POLICY)
    assert found.losses == () and found.labels == {} and found.hits is None


def test_a_language_model_of_another_vocabulary_is_refused(champion):
    with pytest.raises(ValueError, match="50 rows"):
        measure(TEXTS, [None] * len(TEXTS), LanguageModel(50, ModelConfig(embedding=8, hidden=12), Dropouts()), champion, POLICY)
