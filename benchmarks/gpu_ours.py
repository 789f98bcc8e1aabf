"""Our side of ``gpu.py``, and text for both sides: models, trainings and predictions as ``gpu.py`` asks for them."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from gpu_peer import CHUNK, CLASSIFIER_DROPOUTS, HEAD_DROPOUTS, LM_DROPOUTS, REACH
from torch import Tensor

from ulmfit.config import ClassifierConfig, LMConfig, ModelConfig
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.prediction.logits import predict_logits
from ulmfit.shards.documents import Documents
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.classifying import Classifying
from ulmfit.training.curves import Curves
from ulmfit.training.language_modelling import LanguageModelling
from ulmfit.training.loop import fit
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingRecord, TrainingText

BPTT = 70


def text(tokens: int, words: int, seed: int = 0) -> Documents:
    """Documents of about 290 tokens, ids by Zipf's law."""
    return documents(max(4, tokens // 290 + 1), words, 2_500, seed)


def documents(number: int, words: int, longest: int, seed: int = 0) -> Documents:
    """Documents as long as reviews (log-normal, median 230), of two classes; an id is as frequent as one over its rank."""
    rng = np.random.default_rng(seed)
    lengths = np.clip(np.exp(rng.normal(5.45, 0.65, number)), 10, longest).astype(int)
    reached = np.cumsum(1 / np.arange(1, words - 8))  # the first nine ids are special tokens
    ids = 9 + np.searchsorted(reached, rng.random(lengths.sum()) * reached[-1]).clip(max=words - 10).astype(np.uint16)
    return Documents.of(np.split(ids, np.cumsum(lengths)[:-1]), rng.integers(0, 2, number).astype(np.int32))


def our_lm(sizes: ModelConfig, words: int) -> LanguageModel:
    return LanguageModel(words, sizes, LM_DROPOUTS, 0)


def our_classifier(sizes: ModelConfig, words: int) -> Classifier:
    return Classifier(words, 2, sizes, CLASSIFIER_DROPOUTS, HeadConfig(dropouts=HEAD_DROPOUTS))


def train_lm(device: torch.device, model: LanguageModel, train: Documents, batch: int, tokens: int, **where: Any) -> TrainingRecord:
    """``where``: further fields of the placement."""
    config = LMConfig(epochs=1, batch_size=batch, bptt=BPTT, max_tokens=tokens, dropouts=LM_DROPOUTS, lr=2e-3)
    place = Placement(device.type, **where)
    return fit(LanguageModelling(model, _forward(train), config, place, "LM"), Curves(place.observe))


def train_classifier(device: torch.device, model: Classifier, train: Documents, batch: int) -> TrainingRecord:
    config = ClassifierConfig(
        epochs=1,
        batch_size=batch,
        bptt=CHUNK,
        max_gradient_tokens=REACH,
        unfreeze="full",
        lr=1e-3,
        dropouts=CLASSIFIER_DROPOUTS,
        head_dropouts=HEAD_DROPOUTS,
        calibrate=False,
    )
    objective = Objective(config, LabelSet.of(["neg", "pos"], config), train.labels)
    return fit(Classifying(model, _forward(train), objective, Placement(device.type), "classifier"), Curves())


def _forward(train: Documents) -> TrainingText:
    return TrainingText(train, Documents.of([]), Vocab(SPECIALS), "forward")


def our_logits(model: Classifier, docs: Documents, products: torch.dtype) -> Tensor:
    """fp32 [N, 2], on the CPU, of documents read where the model is."""
    model.encoder.products = products
    return predict_logits(model, docs, "forward", None)
