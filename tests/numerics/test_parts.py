"""A step worked on in parts is the step in one: the loss, the gradients, the state after it. fp32, all dropouts at work; 1e-5."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.oracles.awd_lstm import SMALL, WORDS, lively
from ulmfit.config import ClassifierConfig, Dropouts, LMConfig
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.shards.documents import Documents
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.classifying import Classifying
from ulmfit.training.language_modelling import LanguageModelling
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingText

SAME = 1e-5
SOME = Dropouts(output=0.3, hidden=0.3, input=0.3, embedding=0.2, weight=0.4)
LM = LMConfig(batch_size=6, bptt=12, dropouts=SOME, alpha=2.0, beta=1.0)
CLASSIFY = ClassifierConfig(batch_size=6, bptt=5, max_gradient_tokens=12, hidden=9, dropouts=SOME, unfreeze="full")
LENGTHS = [31, 29, 36, 40, 33, 28]


def documents(lengths: list[int]) -> Documents:
    rng = np.random.default_rng(0)
    return Documents.of([rng.integers(0, WORDS, length).astype(np.uint16) for length in lengths], np.arange(len(lengths)) % 3)


def text_of(train: list[int]) -> TrainingText:
    return TrainingText(documents(train), documents([]), Vocab(SPECIALS), "forward")


def modelling() -> LanguageModelling:
    model = lively(LanguageModel(WORDS, SMALL, SOME, seed=1)).train()
    return LanguageModelling(model, text_of([600]), LM, Placement(), "test")


def classifying(lengths: list[int] = LENGTHS, **options) -> Classifying:
    config, text = CLASSIFY.model_copy(update=options), text_of(lengths)
    model = lively(Classifier(WORDS, 3, SMALL, SOME, HeadConfig(config.hidden, (0.3, 0.2)), seed=1)).train()
    objective = Objective(config, LabelSet.of(["a", "b", "c"], config), text.train.labels)
    return Classifying(model, text, objective, Placement(), "test")


def stepped(task: LanguageModelling | Classifying, parts: int, steps: int = 1) -> dict[str, Tensor]:
    """What the ``steps`` first steps come to: losses, gradients summed up, the state and the running statistics after them."""
    task.model.zero_grad()
    task.model.encoder.seed(7)
    task.begin(0)
    losses = [task.forward_backward(step.batch, parts) for step, _ in zip(task.plan(0), range(steps), strict=False)]
    gradients = {f"gradient of {name}": tensor.grad for name, tensor in task.model.named_parameters() if tensor.grad is not None}
    after = {f"{name} after": tensor.clone() for name, tensor in [*task.model.named_buffers(), *task.state().items()]}
    return {"losses": torch.stack(losses), "next number": drawn(task), **gradients, **after}


def drawn(task: LanguageModelling | Classifying) -> Tensor:
    """What the random numbers go on with."""
    return torch.rand(3, generator=task.model.encoder.generator)


def assert_same(found: dict[str, Tensor], expected: dict[str, Tensor]) -> None:
    assert found.keys() == expected.keys()
    for name, tensor in expected.items():
        assert torch.allclose(found[name], tensor, rtol=SAME, atol=SAME), name
    assert torch.equal(found["next number"], expected["next number"])


@pytest.mark.parametrize("parts", [2, 3, 6, 8])
def test_a_language_models_step_in_parts_is_the_step_in_one(parts):
    expected = stepped(modelling(), 1, steps=2)
    assert sum("after" in name for name in expected) == 2 * SMALL.layers and expected["losses"].min() > 1
    assert min(float(tensor.abs().max()) for name, tensor in expected.items() if "gradient" in name) > 100 * SAME
    assert_same(stepped(modelling(), parts, steps=2), expected)


@pytest.mark.parametrize("parts", [2, 3, 6, 8])
@pytest.mark.parametrize(
    "options",
    [
        {},
        {"max_gradient_tokens": 1400},
        {"class_weights": "balanced", "label_smoothing": 0.1},
        {"lengths": LENGTHS[:5]},  # uneven parts
    ],
    ids=str,
)
def test_a_classifiers_step_in_parts_is_the_step_in_one(parts, options):
    expected = stepped(classifying(**options), 1)
    batch = next(classifying(**options).plan(0)).batch
    assert batch.free == (0 if options.get("max_gradient_tokens") else 15) and len(set(batch.longest)) == len(batch.lengths)
    assert min(float(tensor.abs().max()) for name, tensor in expected.items() if "gradient" in name) > 100 * SAME
    assert int(expected["head.norm1.num_batches_tracked after"]) == 1
    assert_same(stepped(classifying(**options), parts), expected)


def test_in_parts_a_frozen_encoder_gets_no_gradients_and_the_head_the_same():
    tasks = [classifying(), classifying()]
    for task in tasks:
        task.model.encoder.requires_grad_(False)
    whole, found = (stepped(task, parts) for task, parts in zip(tasks, (1, 3), strict=True))
    assert {name for name in whole if "gradient" in name} == {
        f"gradient of head.{name}" for name, _ in tasks[0].model.head.named_parameters()
    }
    assert_same(found, whole)


def test_more_parts_than_documents_and_a_document_alone():
    for together in (1, 2):
        task = lambda: classifying([31, 40], batch_size=together)  # noqa: B023
        assert_same(stepped(task(), 4), stepped(task(), 1))


def test_the_masks_of_parts_are_the_columns_of_the_wholes():
    encoder = LanguageModel(WORDS, SMALL, SOME).encoder.train()
    whole = encoder.draw(6)
    parts = [whole.columns(slice(0, 2)), whole.columns(slice(2, 3)), whole.columns(slice(3, 6))]
    assert torch.equal(torch.cat([part.input for part in parts]), whole.input)
    assert torch.equal(torch.cat([part.output for part in parts]), whole.output)
    for layer, mask in enumerate(whole.hidden):
        assert torch.equal(torch.cat([part.hidden[layer] for part in parts]), mask)
    for part in parts:  # of words and weights there is one for all
        assert part.embedding is whole.embedding and part.weights is whole.weights
    nothing = encoder.eval().draw(6)
    assert nothing.columns(slice(0, 2)) == nothing == replace(nothing, input=None)


@pytest.mark.parametrize("bptt", [6, 10, 15])
def test_a_classifiers_loss_and_gradients_do_not_depend_on_the_chunk_where_the_cut_is_the_same(bptt):
    lengths, reach = [40, 45, 51, 60, 43, 48], 10
    expected = stepped(classifying(lengths, bptt=30, max_gradient_tokens=reach), 1)
    task = classifying(lengths, bptt=bptt, max_gradient_tokens=reach)
    assert next(task.plan(0)).batch.free == 30
    assert_same(stepped(task, 1), expected)
