"""Losses of documents: those of each document by itself, whatever it is read beside."""

from __future__ import annotations

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ulmfit.config import Dropouts, ModelConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.prediction import losses
from ulmfit.prediction.losses import document_losses
from ulmfit.shards.batches import oriented
from ulmfit.shards.documents import Documents


@pytest.fixture
def model() -> LanguageModel:
    return LanguageModel(50, ModelConfig(embedding=16, hidden=24, layers=2), Dropouts(), seed=3)


def documents(lengths: list[int]) -> Documents:
    rng = np.random.default_rng(0)
    return Documents.of([rng.integers(0, 50, length).astype(np.uint16) for length in lengths])


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_losses_are_those_of_each_document_alone(model, direction, monkeypatch):
    monkeypatch.setattr(losses, "ROWS", 32)
    monkeypatch.setattr(losses, "DOCUMENTS", 3)
    texts = documents([7, 2, 40, 90, 13, 2, 31])
    found = document_losses(model, texts, direction, 40)
    for row, loss in enumerate(found):
        ids = torch.from_numpy(oriented(texts.doc(row)[:40], direction).astype(np.int64))
        logits, _ = model(ids[:-1, None])
        assert loss == pytest.approx(F.cross_entropy(logits[:, 0], ids[1:]).item(), abs=1e-5)


def test_a_document_of_one_token_has_no_loss(model):
    found = document_losses(model, documents([1, 5, 1]), "forward", 100)
    assert np.isnan(found).tolist() == [True, False, True]
    assert np.isnan(document_losses(model, documents([1, 1]), "forward", 100)).all()
    assert document_losses(model, documents([]), "forward", 100).shape == (0,)


def test_a_model_in_training_measures_without_dropout(model):
    texts = documents([20, 30])
    model.train()
    assert document_losses(model, texts, "forward", 100).tolist() == document_losses(model, texts, "forward", 100).tolist()
