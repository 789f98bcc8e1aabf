"""The learning-rate range test: against its steps written out, and that it leaves no trace."""

import json
import logging
from dataclasses import dataclass
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from torch import nn

from tests.oracles.awd_lstm import NO_DROPOUT
from ulmfit.config import ClassifierConfig, Dropouts, LMConfig, ModelConfig
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.shards.documents import Documents
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training import lr_finder, method
from ulmfit.training.checkpoint import Checkpoints
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.classifying import Classifying
from ulmfit.training.language_modelling import LanguageModelling
from ulmfit.training.loop import Step
from ulmfit.training.lr_finder import BLOWN_UP, find_lr, range_test
from ulmfit.training.placement import Placement
from ulmfit.training.processes.team import Team
from ulmfit.training.specs import TrainingText

VOCAB = Vocab([*SPECIALS, *"abcdefgh"])
FIRST = len(SPECIALS)
SOME = Dropouts(output=0.1, hidden=0.1, input=0.1, embedding=0.1, weight=0.1)
MODEL = ModelConfig(embedding=8, hidden=12, layers=2)
HERE = Placement()
LM = LMConfig(batch_size=4, bptt=10, lr=0.02, decay=2.0, dropouts=SOME, precision="fp32", find_lr=True)
CLASSIFY = ClassifierConfig(
    epochs=3, batch_size=4, bptt=10, max_gradient_tokens=20, hidden=6, dropouts=SOME, precision="fp32", find_lr=True
)


def letters(documents=24, length=30, seed=0):
    """Documents that walk round the letters, forwards or backwards, by their labels."""
    rng, labels = np.random.default_rng(seed), np.arange(documents) % 2
    walks = [FIRST + (rng.integers(8) + (1 - 2 * label) * np.arange(length)) % 8 for label in labels]
    return Documents.of([walk.astype(np.uint16) for walk in walks], labels)


def task_of(kind, config=None):
    """A task as it may stand in the middle of other work: some layers frozen, some modules in evaluation, a state, a gradient."""
    text = TrainingText(letters(), letters(), VOCAB, "forward")
    if kind == "classifier":
        config, model = config or CLASSIFY, Classifier(len(VOCAB), 2, MODEL, SOME, HeadConfig(6))
        labels = LabelSet.of(["a", "b"], config)
        task = Classifying(model, text, Objective(config, labels, text.train.labels), Placement(), "test")
        model.head.norm1.running_mean.fill_(0.3)
        model.head.norm1.momentum = 0.7
    else:
        config, model = config or LM, LanguageModel(len(VOCAB), MODEL, SOME)
        task = LanguageModelling(model, text, config, Placement(), "test")
        task.hidden = [(torch.rand_like(h), torch.rand_like(c)) for h, c in model.encoder.initial_state(4)]
    model.encoder.products = torch.bfloat16
    model.encoder.layers[0].eval()
    model.groups()[0][0].requires_grad_(False)
    model.groups()[1][0].grad = torch.ones_like(model.groups()[1][0])
    torch.rand(3, generator=model.encoder.generator)
    return task


def traces(task):
    """All that a training changes, copied: tensors by name, and plain facts."""
    model = task.model
    tensors = {f"weight {name}": tensor for name, tensor in model.state_dict().items()}
    tensors |= {f"gradient {name}": part.grad for name, part in model.named_parameters() if part.grad is not None}
    tensors |= {f"hidden {name}": tensor for name, tensor in task.state().items()} | {"generator": model.encoder.generator.get_state()}
    facts = {
        "learning": [part.requires_grad for part in model.parameters()],
        "training": [module.training for module in model.modules()],
        "momentum": [module.momentum for module in model.modules() if isinstance(module, nn.BatchNorm1d)],
        "products": model.encoder.products,
        "objects": [id(model), id(model.encoder.generator), *map(id, model.parameters())],
        "global": torch.get_rng_state().tolist(),
    }
    return {name: tensor.clone() for name, tensor in tensors.items()}, facts


def assert_same(before, after):
    assert before[1] == after[1]
    assert before[0].keys() == after[0].keys()
    assert [name for name in before[0] if not torch.equal(before[0][name], after[0][name])] == []


@pytest.mark.parametrize("kind", ["classifier", "language model"])
def test_the_model_and_the_task_are_as_before(kind):
    task = task_of(kind)
    before = traces(task)
    curve = find_lr(task)
    assert len(curve.rates) == len(curve.losses) > 50 and np.ptp(curve.losses) > 0.1  # it did learn
    assert_same(before, traces(task))


@pytest.mark.parametrize("kind", ["classifier", "language model"])
def test_they_are_also_where_it_fails(kind, monkeypatch):
    task = task_of(kind)
    before, done = traces(task), []
    forward_backward = type(task).forward_backward

    def failing(self, batch, parts):
        done.append(forward_backward(self, batch, parts))
        if len(done) == 5:
            raise RuntimeError("the fifth step")
        return done[-1]

    monkeypatch.setattr(type(task), "forward_backward", failing)
    with pytest.raises(RuntimeError, match="the fifth step"):
        find_lr(task, lowest=0.01)
    assert len(done) == 5
    assert_same(before, traces(task))


@pytest.mark.parametrize("kind", ["classifier", "language model"])
def test_it_comes_to_the_same_whatever_was_drawn_before(kind):
    curves = []
    for drawn in (0, 7):
        task = task_of(kind)
        torch.rand(drawn)
        torch.rand(drawn, generator=task.model.encoder.generator)
        curves.append(find_lr(task))
    assert curves[0] == curves[1]


@dataclass(frozen=True)
class Nothing:
    columns: int = 1


class Bowl(nn.Module):
    """Weights in two layer groups under the loss sum(h * w^2) / 2; plain gradient descent diverges from a rate of 2 / max(h) on."""

    def __init__(self):
        super().__init__()
        self.below, self.above = nn.Parameter(torch.tensor([1.0, -1.0])), nn.Parameter(torch.tensor([2.0]))
        self.encoder = SimpleNamespace(config=SimpleNamespace(hidden=1), seed=lambda seed: None, products=None)

    def groups(self):
        return [[self.below], [self.above]]


BOWL = LMConfig(optimizer="nt-asgd", schedule="stlr", clip=1e9, decay=2.0, precision="fp32", lr=30.0)


class Descent:
    """``steps`` steps in epochs of three. ``noise``: losses have nothing to do with the weights; ``broken``: from this step on."""

    name, figures = "test", ()

    def __init__(self, steps=6, noise=False, broken=None, config=BOWL, place=HERE):
        self.config, self.place = config, place
        self.model, self.steps, self.tokens, self.noise, self.broken = Bowl(), steps, steps, noise, broken
        self.begun, self.seen = [], []

    def plan(self, start):
        assert start == 0
        yield from (Step(Nothing(), number // 3, 1, scale=0.5 if number == 1 else 1.0) for number in range(self.steps))

    def begin(self, epoch):
        self.begun.append(epoch)

    def forward_backward(self, batch, parts):
        h_below, h_above = torch.tensor([4.0, 0.5]), torch.tensor([10.0])
        loss = (h_below * self.model.below**2).sum() / 2 + (h_above * self.model.above**2).sum() / 2
        loss.backward()
        if self.noise:
            loss = 1 + 0.1 * torch.from_numpy(np.random.default_rng(len(self.seen)).normal(size=1))[0]
        if self.broken is not None and len(self.seen) >= self.broken:
            loss = loss * torch.nan
        self.seen.append(float(loss.detach()))
        return loss.detach()


def test_losses_are_those_of_the_steps_written_out():
    task = Descent()
    curve = find_lr(task, lowest=1e-3, highest=0.1, steps=40)
    w, h, seen = np.array([1.0, -1.0, 2.0]), np.array([4.0, 0.5, 10.0]), []
    for number in range(40):
        rate = 1e-3 * 100 ** (number / 39)
        assert curve.rates[number] == pytest.approx(rate)
        seen.append((h * w**2).sum() / 2)
        scale = 0.5 if number % 6 == 1 else 1.0  # the plan of six steps goes round
        w = w - scale * rate * np.array([0.5, 0.5, 1.0]) * h * w
    assert task.seen == pytest.approx(seen, rel=1e-4)
    for place, value in enumerate(curve.losses):
        near = {k: 5 - abs(k - place) for k in range(40) if abs(k - place) < 5}  # a tenth of the steps to either side
        assert value == pytest.approx(sum(weight * seen[k] for k, weight in near.items()) / sum(near.values()), rel=1e-4)


def test_every_round_and_epoch_begins_anew():
    task = Descent(steps=6)
    find_lr(task, lowest=1e-6, highest=1e-3, steps=14)
    assert task.begun == [0, 1, 0, 1, 0]


@pytest.mark.parametrize("optimizer", ["adam", "nt-asgd"])
def test_the_suggestion_is_in_the_stable_range(optimizer):
    curve = find_lr(Descent(config=BOWL.model_copy(update={"optimizer": optimizer})), lowest=1e-6)
    falling = [loss < 0.95 * curve.losses[0] for loss in curve.losses]
    assert falling.index(True) > 10  # the lowest rates do nothing
    assert curve.rates[falling.index(True)] / 10 < curve.suggestion < curve.rates[int(np.argmin(curve.losses))]
    if optimizer == "nt-asgd":
        assert 0.001 < curve.suggestion < 2 / 10
        assert len(curve.rates) < 100 and curve.rates[-1] > 2 / 10  # it ended as it blew up


def test_it_ends_where_the_loss_blows_up_or_is_no_number():
    blown = find_lr(Descent(), lowest=0.5, highest=50)
    assert 0 < len(blown.rates) < 20 and blown.suggestion is None
    assert max(blown.losses) <= BLOWN_UP * 23
    task = Descent(broken=30)
    ended = find_lr(task, lowest=1e-6, highest=1e-2)
    assert len(task.seen) == 31 and len(ended.rates) == len(ended.losses) == 30 and np.isfinite(ended.losses).all()
    assert find_lr(Descent(broken=0)).rates == []


def test_nothing_is_suggested_where_the_loss_does_not_fall():
    assert find_lr(Descent(noise=True), highest=0.1).suggestion is None
    assert find_lr(Descent(), lowest=1e-12, highest=1e-11).suggestion is None
    assert find_lr(Descent(steps=0)).rates == []


def test_frozen_groups_stay_frozen_throughout(monkeypatch):
    seen = []
    forward_backward = Descent.forward_backward
    record = lambda self, *rest: (seen.append([*self.model.below.tolist(), *self.model.above.tolist()]), forward_backward(self, *rest))[1]
    monkeypatch.setattr(Descent, "forward_backward", record)
    find_lr(Descent(config=BOWL.model_copy(update={"unfreeze": "gradual"})), highest=0.1)
    assert {tuple(row[:2]) for row in seen} == {(1.0, -1.0)} and len({row[2] for row in seen}) > 50


def trained(folder, config=LM, kind="language model"):
    folder.mkdir(exist_ok=True)
    text = TrainingText(letters(), letters(), VOCAB, "forward", ("a", "b"))
    if kind == "classifier":
        return method.train_classifier(text, None, MODEL, config, folder)
    return method.pretrain(text, MODEL, config, folder)


@pytest.mark.parametrize(("kind", "config"), [("classifier", CLASSIFY), ("language model", LM)])
def test_a_training_is_the_same_with_and_without_it(tmp_path, kind, config):
    record = trained(tmp_path / "with", config, kind)
    plain = trained(tmp_path / "without", config.model_copy(update={"find_lr": False}), kind)
    weights = [(tmp_path / name / "model.safetensors").read_bytes() for name in ("with", "without")]
    histories = [(tmp_path / name / "history.json").read_bytes() for name in ("with", "without")]
    assert weights[0] == weights[1] and histories[0] == histories[1]
    found = json.loads((tmp_path / "with" / "lr_finder.json").read_text())
    assert found.keys() == {"rates", "losses", "suggestion", "lr"} and found["lr"] == config.lr
    assert record.lr_suggested == found["suggestion"]
    assert plain.lr_suggested is None and not (tmp_path / "without" / "lr_finder.json").exists()
    assert not (tmp_path / "with" / "checkpoints").exists()


def test_a_training_that_goes_on_keeps_the_curve_it_has(tmp_path, monkeypatch):
    place = Placement(checkpoints=tmp_path / "checkpoints")
    Checkpoints(place.checkpoints).save(3, {"x": torch.zeros(1)}, {})
    files = sorted(place.checkpoints.rglob("*"))
    monkeypatch.setattr(lr_finder, "find_lr", lambda *_: pytest.fail("rates were tried again"))
    assert range_test(Descent(config=LM, place=place), tmp_path) is None
    (tmp_path / "lr_finder.json").write_text(json.dumps({"suggestion": 0.125}))
    assert range_test(Descent(config=LM, place=place), tmp_path) == 0.125
    assert sorted(place.checkpoints.rglob("*")) == files


def test_it_is_left_out_with_a_word_for_a_team_or_without_memory(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    team = Placement(team=Team(0, 2))
    assert range_test(Descent(config=LM, place=team), tmp_path) is None
    assert "by one process only" in caplog.text

    def full(self, batch, parts):
        raise torch.OutOfMemoryError("full")

    monkeypatch.setattr(Descent, "forward_backward", full)
    assert range_test(Descent(config=LM.model_copy(update={"dropouts": NO_DROPOUT})), tmp_path) is None
    assert "memory is short" in caplog.text and not list(tmp_path.iterdir())
