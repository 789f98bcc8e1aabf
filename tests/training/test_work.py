"""The work of a training: what its steps and validations add up to, and what is cheaper than what."""

from __future__ import annotations

import numpy as np
import pytest

from ulmfit.config import ClassifierConfig, LMConfig, ModelConfig
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.shards.documents import Documents
from ulmfit.text.vocab import Vocab
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.classifying import Classifying
from ulmfit.training.language_modelling import LanguageModelling
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingText
from ulmfit.training.work import STEP, classifier_step, layer_flops, lm_flops, lm_steps

SIZES = ModelConfig(embedding=8, hidden=12, layers=2)
VOCAB = Vocab.from_counts({f"w{number}": 5 for number in range(50)}, 100, 1)


def documents(count: int, longest: int) -> Documents:
    rng = np.random.default_rng(0)
    return Documents.of(
        [rng.integers(9, 50, rng.integers(1, longest)).astype(np.uint16) for _ in range(count)], [i % 2 for i in range(count)]
    )


TEXT = TrainingText(documents(60, 90), documents(20, 90), VOCAB, "forward", ("a", "b"))


def language_modelling(**options: object) -> LanguageModelling:
    config = LMConfig(batch_size=4, bptt=10, **options)
    return LanguageModelling(LanguageModel(len(VOCAB), SIZES, config.dropouts, 0), TEXT, config, Placement(), "x")


def classifying(**options: object) -> Classifying:
    config = ClassifierConfig(batch_size=8, bptt=10, max_gradient_tokens=20, **options)
    model = Classifier(len(VOCAB), 2, SIZES, config.dropouts, HeadConfig(config.hidden, config.head_dropouts), 0)
    return Classifying(model, TEXT, Objective(config, LabelSet.of(TEXT.labels, config), TEXT.train.labels), Placement(), "x")


@pytest.mark.parametrize(
    ("options", "validations"), [({"epochs": 1.5}, 2), ({"epochs": 2, "valid_every": 20}, None), ({"epochs": "auto"}, 11)]
)
def test_a_language_models_steps_and_validations_add_up(options: dict[str, object], validations: int | None) -> None:
    task = language_modelling(**options)
    steps = list(task.plan(0))
    seen = sum(step.ends_epoch or step.validate for step in steps) + (task.best is not None)
    assert validations in (None, seen)
    assert task.work == pytest.approx(sum(step.work for step in steps) + seen * task.validation_work, rel=0.02)


@pytest.mark.parametrize("options", [{"epochs": 5}, {"epochs": 2, "unfreeze": "full", "max_tokens": 30}])
def test_a_classifiers_steps_and_validations_add_up(options: dict[str, object]) -> None:
    task = classifying(**options)
    steps = list(task.plan(0))
    validations = sum(step.ends_epoch for step in steps)
    assert task.work == pytest.approx(sum(step.work for step in steps) + validations * task.validation_work)


def test_few_validation_documents_are_looked_at_where_the_settings_say_so() -> None:
    every, few = classifying(epochs=1), classifying(epochs=1, max_valid=5)
    assert len(every.valid) == len(TEXT.valid) and len(few.valid) == 5 and set(few.valid.ids) < set(TEXT.valid.ids)
    assert few.validation_work < every.validation_work and few.work < every.work
    assert list(classifying(epochs=1, max_valid=5).valid.ids) == list(few.valid.ids), "the same ones each time"


def test_frozen_layers_and_text_beyond_the_gradients_reach_are_cheaper() -> None:
    head, top, both, all_groups = ([3], [2, 3], [1, 2, 3], [0, 1, 2, 3])
    work = [classifier_step(SIZES, groups, 100, 100) for groups in (head, top, both, all_groups)]
    assert work[0] == STEP + 100 * sum(layer_flops(SIZES)) < work[1] < work[2] == work[3] == STEP + 300 * sum(layer_flops(SIZES))
    assert classifier_step(SIZES, all_groups, 100, 30) < classifier_step(SIZES, all_groups, 100, 100)


def test_the_flops_of_the_papers_sizes() -> None:
    """Two for each weight that a position meets: four gates of (input + state) each, then the softmax."""
    paper = ModelConfig(embedding=400, hidden=1152, layers=3)
    gates = [1152 * (400 + 1152), 1152 * (1152 + 1152), 400 * (1152 + 400)]
    assert layer_flops(paper) == [8 * weights for weights in gates]
    assert lm_flops(paper, 30_000) == 8 * sum(gates) + 2 * 400 * 30_000
    assert lm_steps(paper, 30_000, 640, 2) == 2 * STEP + 3 * 640 * lm_flops(paper, 30_000)
