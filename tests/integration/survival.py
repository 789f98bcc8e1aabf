"""Trainings to interrupt: a small language model and the classifier made of it, all dropouts at work.

``python -m tests.integration.survival FOLDER SECONDS`` trains both, and goes on where an earlier process was killed; SECONDS: between
two checkpoints.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

import numpy as np
import torch

from ulmfit.config import ClassifierConfig, Dropouts, LMConfig, ModelConfig
from ulmfit.shards.documents import Documents
from ulmfit.store.filesystem import write_bytes
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training import method
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingRecord, TrainingText

VOCAB = Vocab([*SPECIALS, *"abcdefghijkl"])
LABELS = ("first", "last")
SOME = Dropouts(output=0.2, hidden=0.2, input=0.2, embedding=0.1, weight=0.3)
MODEL = ModelConfig(embedding=12, hidden=20, layers=2)
LM = LMConfig(epochs=3, batch_size=8, bptt=15, lr=0.02, dropouts=SOME, valid_every=9, unfreeze="gradual", precision="fp32")
CLASSIFY = ClassifierConfig(
    epochs=4, batch_size=8, bptt=10, max_gradient_tokens=20, hidden=8, lr=0.02, dropouts=SOME, unfreeze="gradual", precision="fp32"
)
EVERY_STEP = 0.0  # so many seconds between two checkpoints


def topics(documents: int, seed: int) -> Documents:
    """Two classes: one prefers the first six letters, the other the last six."""
    rng, first = np.random.default_rng(seed), len(SPECIALS)
    labels = np.arange(documents) % 2
    shares = [np.r_[np.full(6, 3 - label), np.full(6, 2 + label)] / 30 for label in labels]
    return Documents.of([rng.choice(np.arange(first, first + 12), rng.integers(15, 60), p=p).astype(np.uint16) for p in shares], labels)


TEXT = TrainingText(topics(64, seed=0), topics(30, seed=1), VOCAB, "forward", LABELS)


def train_lm(folder: Path, place: Placement, config: LMConfig = LM) -> TrainingRecord:
    return method.pretrain(TEXT, MODEL, config, folder, place)


def train_classifier(folder: Path, place: Placement, config: ClassifierConfig = CLASSIFY, lm: Path | None = None) -> TrainingRecord:
    return method.train_classifier(TEXT, lm, MODEL, config, folder, place)


def main(folder: Path, seconds: float) -> None:
    """What is done is done: a stage's record stands in its folder when all else does."""
    place = Placement(checkpoint_seconds=seconds)
    lm, classifier = folder / "lm", folder / "classifier"
    for model, train in ((lm, lambda: train_lm(lm, place)), (classifier, lambda: train_classifier(classifier, place, lm=lm))):
        if not (model / "record.json").exists():
            write_bytes(model / "record.json", train().model_dump_json().encode())


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), float(sys.argv[2]))
