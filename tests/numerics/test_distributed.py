"""Two processes do the training of one with the same batch: twice what each of them works on.

Real processes over gloo, in fp32 with every dropout at work; a step's loss is the exact one, not the smoothed one of the curves.
Sums are taken in another order, so each loss and each tensor is compared to 1e-5 of its largest number. Adam divides a gradient by
its own size: where it is all but nought, as under batch normalisation, rounding becomes a step; a classifier's weights get 2e-4 then.
With SGD they get 5e-5: a shift after batch normalisation begins at nought, and stays small (1.5e-5 on a CPU with AVX2).
"""

from __future__ import annotations

import os
import socket
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
from safetensors.torch import load_file, save_file
from torch import Tensor
from torch.multiprocessing.spawn import spawn

from ulmfit.config import ClassifierConfig, Dropouts, LMConfig, ModelConfig
from ulmfit.errors import UserError
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.shards.documents import Documents
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training import loop
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.classifying import Classifying
from ulmfit.training.curves import Curves, Watch
from ulmfit.training.language_modelling import LanguageModelling
from ulmfit.training.placement import Placement
from ulmfit.training.processes.team import Team, slices
from ulmfit.training.specs import TrainingText

WORDS, VOCAB = 30, Vocab(SPECIALS)
MODEL = ModelConfig(embedding=16, hidden=24, layers=2)
SOME = Dropouts(output=0.2, hidden=0.2, input=0.2, embedding=0.1, weight=0.3)
LM = LMConfig(epochs=1, batch_size=8, bptt=12, lr=0.01, dropouts=SOME, precision="fp32")
CLASSIFY = ClassifierConfig(
    epochs=2, batch_size=6, bptt=10, max_gradient_tokens=30, hidden=12, lr=0.02, dropouts=SOME, precision="fp32", unfreeze="full"
)
LENGTHS = [3, 90, 17, 40, 5, 33, 60, 8, 21, 50, 12, 70, 28, 200, 9, 44, 31, 2, 66, 15, 25]

TOLERANCES = {
    "lm": 1e-5,
    "lm, columns uneven": 1e-5,
    "lm, SGD averaged": 1e-5,
    "classifier": 2e-4,
    "classifier, SGD": 5e-5,
    "classifier, gradual": 2e-4,
    "classifier, one document per batch": 1e-5,
}


def documents(lengths: list[int], seed: int = 0) -> Documents:
    rng = np.random.default_rng(seed)
    return Documents.of([rng.integers(9, WORDS, length).astype(np.uint16) for length in lengths], np.arange(len(lengths)) % 3)


def train(case: str, team: Team) -> dict[str, Tensor]:
    """The losses of all steps, and the weights and buffers at the end."""
    losses: list[Tensor] = []
    add, loop.Watch.add = Watch.add, lambda self, loss, norm: (losses.append(loss.double()), add(self, loss, norm))[1]
    try:
        model = _train_classifier(case, team) if case.startswith("classifier") else _train_lm(case, team)
    finally:
        loop.Watch.add = add
    return {"losses": torch.stack(losses), **{name: tensor.clone() for name, tensor in model.state_dict().items()}}


def _train_lm(case: str, team: Team) -> LanguageModel:
    changes: dict = {
        "lm": {},
        "lm, columns uneven": {"batch_size": 7},
        "lm, SGD averaged": {"optimizer": "nt-asgd", "schedule": "constant", "lr": 1.0, "nonmono": 1, "valid_every": 2},
    }[case]
    config, model = LM.model_copy(update=changes), LanguageModel(WORDS, MODEL, SOME, seed=3)
    text = TrainingText(documents(LENGTHS), documents([100, 80], seed=1), VOCAB, "forward")
    loop.fit(LanguageModelling(model, text, config, Placement(team=team), "test"), Curves(None))
    return model


def _train_classifier(case: str, team: Team) -> Classifier:
    changes: dict = {
        "classifier": {},
        "classifier, SGD": {"optimizer": "nt-asgd", "schedule": "constant", "lr": 0.1},
        "classifier, gradual": {"unfreeze": "gradual", "epochs": 3, "class_weights": "balanced", "label_smoothing": 0.1},
        "classifier, one document per batch": {"batch_size": 1, "epochs": 1},
    }[case]
    config = CLASSIFY.model_copy(update=changes)
    text = TrainingText(documents(LENGTHS), documents([30, 20], seed=1), VOCAB, "backward")
    labels = LabelSet.of(["a", "b", "c"], config)
    model = Classifier(WORDS, 3, MODEL, SOME, HeadConfig(12), seed=3)
    objective = Objective(config, labels, text.train.labels)
    loop.fit(Classifying(model, text, objective, Placement(team=team), "test"), Curves(None))
    return model


def rank(number: int, size: int, port: int, folder: str) -> None:
    """What each process does."""
    torch.set_num_threads(1)
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    dist.init_process_group("gloo", f"tcp://127.0.0.1:{port}", timedelta(seconds=60), size, number)
    for case in TOLERANCES:
        save_file(train(case, Team.of_group()), Path(folder) / f"{case}.{number}")
    dist.destroy_process_group()


@pytest.fixture(scope="module")
def together(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """All cases, trained by two processes."""
    folder = tmp_path_factory.mktemp("together")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    spawn(rank, (2, port, str(folder)), nprocs=2)
    return folder


@pytest.mark.parametrize("case", TOLERANCES)
def test_two_processes_train_as_one_with_the_same_batch(together: Path, case: str) -> None:
    one, *both = train(case, Team()), *(load_file(together / f"{case}.{number}") for number in range(2))
    assert len(one["losses"]) >= 8
    for found in both:
        assert found.keys() == one.keys()
        for name, expected in one.items():
            error = float((found[name].double() - expected.double()).abs().max() / expected.double().abs().max().clamp_min(1e-9))
            assert error < (1e-5 if name == "losses" else TOLERANCES[case]), f"{name} is off by {error:.1e}"
    assert all(torch.equal(both[0][name], both[1][name]) for name in one), "the two processes end with the same bits"


def test_every_column_is_worked_on_by_one_process() -> None:
    for size in (1, 2, 3, 5):
        for batch in (1, 2, 3, 4, 7, 64):
            shares = [range(batch)[Team(number, size).columns(batch)] for number in range(size)]
            assert [column for share in shares for column in share] == list(range(batch))
            assert max(map(len, shares)) - min(map(len, shares)) <= 1
    assert slices(slice(3, 6), 2) == [slice(3, 5), slice(5, 6)]
    assert slices(slice(3, 5), 4) == [slice(3, 4), slice(4, 5)]


def test_fewer_streams_than_processes_are_the_users_error() -> None:
    model, text = LanguageModel(WORDS, MODEL, SOME), TrainingText(documents(LENGTHS), documents(LENGTHS), VOCAB, "forward")
    config = LM.model_copy(update={"batch_size": 2})
    with pytest.raises(UserError, match="2 parallel streams cannot be shared by 3 processes"):
        LanguageModelling(model, text, config, Placement(team=Team(0, 3)), "test")
