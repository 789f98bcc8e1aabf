"""The classifier made ready for prediction has the logits of the classifier in evaluation, however its documents are read."""

import pytest
import torch

from tests.oracles.awd_lstm import SMALL, WORDS, lively, text
from ulmfit.config import Dropouts
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.prediction import logits as module
from ulmfit.prediction.logits import FoldedClassifier

SAME = 1e-5


@pytest.fixture
def model() -> Classifier:
    model = lively(Classifier(WORDS, 3, SMALL, Dropouts(), HeadConfig(7), seed=2)).train()  # dropouts at work, but not here
    generator = torch.Generator().manual_seed(4)
    with torch.no_grad():
        for norm in (model.head.norm1, model.head.norm2):
            for tensor in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
                tensor.copy_(torch.rand(tensor.shape, generator=generator) + 0.1)
        model.head.linear2.bias.copy_(torch.randn(3, generator=generator))
    return model


@pytest.mark.parametrize(("positions", "shortest"), [(16_384, 32), (40, 1), (100, 3), (1, 1)])
def test_the_logits_are_those_of_the_classifier(model, monkeypatch, positions, shortest):
    monkeypatch.setattr(module, "POSITIONS", positions)
    monkeypatch.setattr(module, "SHORTEST", shortest)
    lengths = torch.tensor([5, 1, 90, 33, 33, 64, 2, 89, 1])
    ids = text((95, len(lengths)))  # what stands behind the ends is no padding: it must not count
    found = FoldedClassifier(model, torch.float32).logits(ids, lengths)
    assert torch.allclose(found, model.eval()(ids, lengths), atol=SAME)


def test_a_document_is_read_to_its_end_and_no_further(model, monkeypatch):
    monkeypatch.setattr(module, "POSITIONS", 8)
    monkeypatch.setattr(module, "SHORTEST", 1)
    read, whole = [], module.library_lstm
    monkeypatch.setattr(module, "library_lstm", lambda x, *rest, **named: (read.append(x.shape[:2]), whole(x, *rest, **named))[1])
    FoldedClassifier(model, torch.float32).logits(text((40, 4)), torch.tensor([4, 40, 8, 4]))
    assert sum(steps * columns for steps, columns in read[:: SMALL.layers]) <= 4 + 40 + 8 + 4 + 3 * 8  # and a chunk's rest


def test_it_is_a_copy(model):
    ready = FoldedClassifier(model, torch.float32)
    before = ready.logits(text((9, 2)), torch.tensor([9, 4]))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)
    assert torch.equal(ready.logits(text((9, 2)), torch.tensor([9, 4])), before)
