"""Whole small trainings against loops written out plainly, step by step; which layer groups learn when; directions; bf16."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from tests.bf16 import needs_bf16
from tests.oracles.awd_lstm import NO_DROPOUT, SMALL, WORDS, encode, lively, lstm_loop, pool, triangle
from ulmfit.config import ClassifierConfig, Dropouts, LMConfig, ModelConfig
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig, gradient_start
from ulmfit.models.language_model import LanguageModel
from ulmfit.shards.batches import Windows, lm_batches, pad, training_batches
from ulmfit.shards.documents import Documents
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training import loop
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.classifying import Classifying
from ulmfit.training.curves import Curves, Watch
from ulmfit.training.language_modelling import LanguageModelling, validate
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingRecord, TrainingText

LOSS = 1e-4
SOME = Dropouts(output=0.2, hidden=0.2, input=0.2, embedding=0.1, weight=0.3)
NONE = Documents.of([])
HERE = Placement()
VOCAB = Vocab(SPECIALS)
LM = LMConfig(batch_size=4, bptt=9, lr=0.01, cut_frac=0.2, dropouts=NO_DROPOUT, precision="fp32")
CLASSIFY = ClassifierConfig(
    epochs=8,
    batch_size=7,
    bptt=5,
    max_gradient_tokens=12,
    hidden=9,
    cut_frac=0.2,
    dropouts=NO_DROPOUT,
    head_dropouts=(0, 0),
    precision="fp32",
    unfreeze="full",
)


@pytest.fixture
def losses(monkeypatch) -> list[float]:
    """The loss of every step trained from here on."""
    seen, add = [], Watch.add
    monkeypatch.setattr(loop.Watch, "add", lambda self, loss, norm: (seen.append(float(loss)), add(self, loss, norm))[1])
    return seen


def chain(tokens: int, seed: int = 0) -> np.ndarray:
    """A text of seven words in which a word tends to follow from the one before it: there is something to learn."""
    rng, words = np.random.default_rng(seed), [0]
    for _ in range(tokens - 1):
        words.append((words[-1] + 2) % 7 if rng.random() < 0.8 else int(rng.integers(7)))
    return np.array(words, dtype=np.uint16)


def labelled(lengths: list[int], seed: int = 0) -> Documents:
    """Documents of three classes, each of which prefers some words."""
    rng = np.random.default_rng(seed)
    return Documents.of(
        [(rng.integers(0, WORDS, length) // (1 + number % 3)).astype(np.uint16) for number, length in enumerate(lengths)],
        np.arange(len(lengths)) % 3,
    )


def train_lm(
    model: LanguageModel, train: Documents, config: LMConfig, valid: Documents = NONE, direction: str = "forward", place: Placement = HERE
) -> TrainingRecord:
    return loop.fit(LanguageModelling(model, TrainingText(train, valid, VOCAB, direction), config, place, "test"), Curves(place.observe))


def train_classifier(
    model: Classifier, train: Documents, config: ClassifierConfig, valid: Documents = NONE, place: Placement = HERE
) -> TrainingRecord:
    objective = Objective(config, LabelSet.of(["a", "b", "c"], config), train.labels)
    return loop.fit(Classifying(model, TrainingText(train, valid, VOCAB, "forward"), objective, place, "test"), Curves(place.observe))


def cut(gradients: list[Tensor], most: float) -> list[Tensor]:
    norm = math.sqrt(sum(float((gradient**2).sum()) for gradient in gradients))
    return [gradient * min(1.0, most / norm) for gradient in gradients]


def update(groups: list[list[Tensor]], optimizer: torch.optim.Adam, config, step: int, steps: int, scale: float) -> None:
    """Gradients cut, rates of the slanted triangle, each group's a ``decay``-th of the next one's."""
    parameters = [parameter for group in groups for parameter in group]
    for parameter, gradient in zip(parameters, cut([parameter.grad for parameter in parameters], config.clip), strict=True):
        parameter.grad = gradient
    for number, group in enumerate(optimizer.param_groups):
        highest = config.lr / config.decay ** (len(groups) - 1 - number)
        factor = max(1 / config.ratio, triangle(step, steps, config.cut_frac, config.ratio))  # the equation may fall below its own minimum
        group["lr"] = highest * factor * scale
    optimizer.step()
    optimizer.zero_grad()


def adam(groups: list[list[Tensor]]) -> torch.optim.Adam:
    return torch.optim.Adam([{"params": group} for group in groups], betas=(0.7, 0.99), fused=False, foreach=False)


def plain_lm_losses(model: LanguageModel, train: Documents, config: LMConfig) -> list[float]:
    """Train ``model``'s weights by the formulas alone, window by window."""
    windows = Windows.plan(train.tokens, config.batch_size, config.bptt, config.epochs, config.max_tokens, config.seed)
    embedding, bias = model.encoder.embedding.weight, model.bias
    layers = [(layer.weight_ih, layer.weight_hh, layer.bias_ih, layer.bias_hh) for layer in model.encoder.layers]
    groups, losses, epoch = [*map(list, layers), [embedding, bias]], [], -1
    optimizer = adam(groups)
    for step, window in enumerate(lm_batches(train, windows, "forward", config.seed)):
        if window.epoch != epoch:
            epoch, states = window.epoch, [(torch.zeros(config.batch_size, size),) * 2 for size in (10, 10, 6)]
        x = embedding[window.ids]
        for number, weights in enumerate(layers):
            x, h, c = lstm_loop(x, *states[number], *weights)
            states[number] = (h.detach(), c.detach())
        loss = F.cross_entropy((x @ embedding.T + bias).flatten(0, 1), window.targets.flatten())
        penalty = config.alpha * (x**2).mean() + config.beta * ((x[1:] - x[:-1]) ** 2).mean()
        (loss + penalty).backward()
        losses.append(loss.item())
        update(groups, optimizer, config, step, windows.steps, len(window.ids) / config.bptt)
    return losses


@pytest.mark.parametrize("options", [{}, {"decay": 2.6, "clip": 0.1, "bptt": 14}], ids=str)
def test_a_language_model_trains_as_the_loop_that_is_written_out(losses, options):
    train = Documents.of(np.split(chain(600), [50, 180, 330]))
    config = LM.model_copy(update={"epochs": 4, "max_tokens": 30 * 4 * 9, "lr": 0.05, **options})
    mine, plain = (lively(LanguageModel(WORDS, SMALL, NO_DROPOUT, seed=1)) for _ in range(2))
    record = train_lm(mine, train, config)
    expected = plain_lm_losses(plain, train, config)
    assert record.steps == len(losses) >= 20
    assert losses == pytest.approx(expected, abs=LOSS) and np.mean(losses[-5:]) < losses[0] - 0.3
    for name, tensor in plain.state_dict().items():
        assert torch.allclose(mine.state_dict()[name], tensor, atol=1e-3), name


def normed(x: Tensor, norm: torch.nn.BatchNorm1d) -> Tensor:
    return (x - x.mean(0)) / (x.var(0, unbiased=False) + 1e-5).sqrt() * norm.weight + norm.bias


def plain_classifier_losses(model: Classifier, train: Documents, config: ClassifierConfig) -> list[float]:
    rng, head = np.random.default_rng(config.seed), model.head
    epochs = [training_batches(train.lengths, config.batch_size, None, config.max_gradient_tokens, rng) for _ in range(config.epochs)]
    batches, groups, losses = [index for epoch in epochs for index in epoch], model.groups(), []
    optimizer = adam(groups)
    for step, index in enumerate(batches):
        batch = pad(train, index, "forward", None)
        free = gradient_start(int(batch.lengths.min()), config.bptt, config.max_gradient_tokens)
        x = normed(pool(encode(model.encoder, batch.ids, cut=free), batch.lengths.tolist()), head.norm1) @ head.linear1.weight.T
        logits = normed(x.clamp(min=0), head.norm2) @ head.linear2.weight.T + head.linear2.bias
        picked = logits[torch.arange(len(index)), torch.from_numpy(train.labels[index]).long()]
        loss = (torch.logsumexp(logits, 1) - picked).mean()
        loss.backward()
        losses.append(loss.item())
        update(groups, optimizer, config, step, len(batches), 1.0)
    return losses


def test_a_classifier_trains_as_the_loop_that_is_written_out(losses):
    train = labelled([22, 30, 17, 25, 19, 40, 28, 21, 33, 24, 18, 27, 35, 20, 26, 23, 29, 31, 16, 38, 36])
    mine, plain = (lively(Classifier(WORDS, 3, SMALL, NO_DROPOUT, HeadConfig(9, (0, 0)), seed=1)) for _ in range(2))
    train_classifier(mine, train, CLASSIFY)
    expected = plain_classifier_losses(plain, train, CLASSIFY)
    assert len(losses) >= 15
    assert losses == pytest.approx(expected, abs=LOSS) and np.mean(losses[-7:]) < np.mean(losses[:7]) - 0.1


def test_backward_is_the_forward_model_on_the_text_reversed(losses):
    text, valid, weights = chain(700), chain(300, seed=1), []
    config = LM.model_copy(update={"epochs": 2, "dropouts": SOME})
    for ids, judged, direction in ((text, valid, "backward"), (text[::-1].copy(), valid[::-1].copy(), "forward")):
        model = LanguageModel(WORDS, SMALL, SOME, seed=1)
        record = train_lm(model, Documents.of([ids]), config, Documents.of([judged]), direction)
        assert record.valid_loss == validate(model, Documents.of([judged]), direction, "cpu")
        weights.append((record.valid_loss, [tensor.tolist() for tensor in model.parameters()]))
    half = len(losses) // 2
    assert losses[:half] == losses[half:] and weights[0] == weights[1]


def snapshots(model: LanguageModel | Classifier, train) -> list[list[float]]:
    """By epoch, the largest change of any weight of each layer group. ``train(place)`` is to validate after each epoch."""
    copy = lambda: [[parameter.detach().clone() for parameter in group] for group in model.groups()]
    seen = [copy()]
    train(Placement(observe=lambda step, values: seen.append(copy()) if "valid_loss" in values else None))
    largest = lambda before, after: max(float((b - a).abs().max()) for b, a in zip(before, after, strict=True))
    return [[largest(*pair) for pair in zip(*two, strict=True)] for two in pairwise(seen)]


ORDERS = {  # of five groups, those that learn in each epoch
    "full": [{0, 1, 2, 3, 4}] * 7,
    "last": [{4}] * 7,
    "gradual": [{4}, {3, 4}, {2, 3, 4}, {1, 2, 3, 4}, *[{0, 1, 2, 3, 4}] * 3],
    "chain-thaw": [{4}, {0}, {1}, {2}, {3}, {0, 1, 2, 3, 4}, {0, 1, 2, 3, 4}],
}


@pytest.mark.parametrize("how", ORDERS)
def test_a_classifiers_groups_change_in_their_epochs_alone(how):
    """Bit for bit: a frozen group has neither a gradient, nor decay, nor what is left of its momentum."""
    config = CLASSIFY.model_copy(update={"epochs": 7, "unfreeze": how, "weight_decay": 0.01, "dropouts": SOME})
    model, train = Classifier(WORDS, 3, SMALL, SOME, HeadConfig(9), seed=1), labelled([20, 30, 25, 22] * 3)
    changes = snapshots(model, lambda place: train_classifier(model, train, config, labelled([9, 8]), place))
    assert [{group for group, change in enumerate(epoch) if change} for epoch in changes] == ORDERS[how]
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("how", "expected"), [("gradual", [{3}, {2, 3}, {1, 2, 3}, {0, 1, 2, 3}]), ("chain-thaw", [{3}, {0}, {1}, {2}]), ("last", [{3}] * 4)]
)
def test_a_language_models_groups_change_in_their_epochs_alone(how, expected):
    config = LM.model_copy(update={"epochs": 4, "unfreeze": how, "weight_decay": 0.01, "dropouts": SOME})
    model, train, valid = LanguageModel(WORDS, SMALL, SOME, seed=1), Documents.of([chain(300)]), Documents.of([chain(60)])
    changes = snapshots(model, lambda place: train_lm(model, train, config, valid, place=place))
    assert [{group for group, change in enumerate(epoch) if change} for epoch in changes] == expected


def test_every_group_moves_at_its_own_rate():
    """Adam's first step is as long as the rate, whatever the gradient: the rates can be read off the weights."""
    config = CLASSIFY.model_copy(update={"epochs": 1, "batch_size": 12, "schedule": "constant", "lr": 0.01, "decay": 2.6, "clip": 1e3})
    model, train = lively(Classifier(WORDS, 3, SMALL, NO_DROPOUT, HeadConfig(9, (0, 0)), seed=1)), labelled([20, 24, 25, 22] * 3)
    (changes,) = snapshots(model, lambda place: train_classifier(model, train, config, labelled([9, 8]), place))
    assert changes == pytest.approx([0.01 / 2.6 ** (4 - group) for group in range(5)], rel=1e-3)


@needs_bf16
def test_products_in_bf16_learn_as_those_in_fp32(losses):
    """The mean loss of steps 50 to 100, from the same seed and masks: rounding averages out, a fault would not."""
    size, text = ModelConfig(embedding=32, hidden=64, layers=2), Documents.of([chain(8000)])
    for precision in ("fp32", "bf16"):
        config = LM.model_copy(update={"batch_size": 8, "bptt": 10, "epochs": 1, "dropouts": SOME, "precision": precision})
        record = train_lm(LanguageModel(WORDS, size, SOME, seed=1), text, config, Documents.of([chain(500, seed=1)]))
        assert record.products == {"fp32": "float32", "bf16": "bfloat16"}[precision]
    steps = len(losses) // 2
    full, rough = losses[:steps], losses[steps:]
    assert steps >= 90 and full != rough and np.mean(full[-50:]) < full[0] - 1
    assert np.mean(rough[50:]) == pytest.approx(np.mean(full[50:]), rel=0.01)
