import json
import math
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from ulmfit.config import ClassifierConfig, Dropouts, LMConfig, ModelConfig
from ulmfit.errors import UserError
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.models.language_model import LanguageModel
from ulmfit.models.saving import load_classifier, load_language_model
from ulmfit.shards.batches import Windows
from ulmfit.shards.documents import Documents
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training import classifying, method
from ulmfit.training import language_modelling as modelling
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.curves import Curves, Watch
from ulmfit.training.loop import fit
from ulmfit.training.optimizers import Optimizer
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingRecord, TrainingText

VOCAB = Vocab([*SPECIALS, *"abcdefghijkl"])
WORDS = len(VOCAB)
FIRST = len(SPECIALS)
NONE = Documents.of([])
HERE = Placement()
NO_DROPOUT = Dropouts(output=0, hidden=0, input=0, embedding=0, weight=0)
SOME = Dropouts(output=0.1, hidden=0.1, input=0.1, embedding=0.1, weight=0.1)
MODEL = ModelConfig(embedding=16, hidden=24, layers=2)
LM = LMConfig(batch_size=8, bptt=20, lr=0.05, dropouts=NO_DROPOUT, alpha=0, beta=0, precision="fp32")
CLASSIFY = ClassifierConfig(
    epochs=2, batch_size=8, bptt=20, max_gradient_tokens=100, hidden=8, lr=0.02, dropouts=NO_DROPOUT, precision="fp32"
)


pytestmark = pytest.mark.usefixtures("one_thread")


def cycles(documents: int, seed: int, length: int = 60) -> Documents:
    """Documents that walk round the twelve letters: each token says what stands before and behind it."""
    starts = np.random.default_rng(seed).integers(0, 12, documents)
    return Documents.of([(FIRST + (start + np.arange(length)) % 12).astype(np.uint16) for start in starts])


def noise(lengths: list[int], seed: int = 0) -> Documents:
    """Letters at random, labels 0 and 1 in turn."""
    rng = np.random.default_rng(seed)
    return Documents.of([rng.integers(FIRST, WORDS, length).astype(np.uint16) for length in lengths], np.arange(len(lengths)) % 2)


def topics(documents: int, seed: int) -> Documents:
    """Two easy classes: one prefers the first six letters, the other the last six."""
    rng = np.random.default_rng(seed)
    labels = np.arange(documents) % 2
    favour = [np.r_[np.full(6, 1 + 3 * (label == 0)), np.full(6, 1 + 3 * (label == 1))] / 30 for label in labels]
    return Documents.of([rng.choice(np.arange(FIRST, WORDS), rng.integers(15, 60), p=p).astype(np.uint16) for p in favour], labels)


def folder(path: Path) -> Path:
    path.mkdir()
    return path


def train_lm(
    model: LanguageModel, train: Documents, config: LMConfig, valid: Documents = NONE, direction: str = "forward", place: Placement = HERE
) -> TrainingRecord:
    return fit(modelling.LanguageModelling(model, TrainingText(train, valid, VOCAB, direction), config, place, "test"), Curves(None))


def train_classifier(
    model: Classifier, train: Documents, config: ClassifierConfig, valid: Documents = NONE, curves: Curves | None = None
) -> TrainingRecord:
    objective = Objective(config, LabelSet.of(["a", "b"], config), train.labels)
    text = TrainingText(train, valid, VOCAB, "forward")
    return fit(classifying.Classifying(model, text, objective, HERE, "test"), curves or Curves(None))


def changed(model: torch.nn.Module, groups: list, before: dict[str, torch.Tensor]) -> list[bool]:
    """Which groups hold a parameter that is not bit for bit what it was."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return [any(not torch.equal(parameter, before[names[id(parameter)]]) for parameter in group) for group in groups]


def copy(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


@pytest.mark.parametrize("direction", ["forward", "backward"])
def test_a_language_model_learns_a_pattern_in_its_direction(tmp_path, direction):
    valid = cycles(20, seed=1)
    record = method.pretrain(
        TrainingText(cycles(100, seed=0), valid, VOCAB, direction), MODEL, LM.model_copy(update={"epochs": 3}), tmp_path
    )
    assert record.valid_loss < 0.4 < math.log(12)  # what is left: a document begins anywhere
    assert record.valid_perplexity == pytest.approx(math.exp(record.valid_loss))
    model, other = load_language_model(tmp_path), {"forward": "backward", "backward": "forward"}[direction]
    assert modelling.validate(model, valid, direction, "cpu") == pytest.approx(record.valid_loss, abs=1e-5)
    assert modelling.validate(model, valid, other, "cpu") > math.log(12)


def test_validation_loss_is_the_mean_over_all_tokens():
    model, valid = LanguageModel(WORDS, MODEL, SOME), noise([500, 700, 401])
    stream = 1600 // 16  # two windows of 70 and 30: the state goes from one to the other
    at = np.arange(stream)[:, None] + np.arange(16) * stream
    ids, targets = (torch.from_numpy(valid.joined()[:][at + ahead].astype(np.int64)) for ahead in (0, 1))
    found = modelling.validate(model, valid, "forward", "cpu")
    with torch.no_grad():
        logits = model.logits(model.eval().hidden(ids, model.encoder.initial_state(16))[1])
    assert found == pytest.approx(F.cross_entropy(logits.flatten(0, 1), targets.flatten()).item(), abs=1e-5)
    assert modelling.validate(model, noise([2]), "forward", "cpu") is None


def test_rates_follow_the_lengths_of_the_windows(monkeypatch):
    scales = []
    step = Optimizer.step
    monkeypatch.setattr(Optimizer, "step", lambda self, scale=1.0: (scales.append(scale), step(self, scale))[1])
    train = cycles(40, seed=0)
    train_lm(LanguageModel(WORDS, MODEL, NO_DROPOUT), train, LM)
    lengths = Windows.plan(train.tokens, LM.batch_size, LM.bptt, LM.epochs, None, LM.seed).epochs[0]
    assert scales == [length / LM.bptt for length in lengths] and len(set(scales)) > 3


def test_the_state_goes_from_window_to_window_and_starts_anew_with_an_epoch(monkeypatch):
    model = LanguageModel(WORDS, MODEL, NO_DROPOUT)
    hidden, states = model.hidden, []

    def recorder(ids, state, masks):
        result = hidden(ids, state, masks)
        states.append((state, result[2]))
        return result

    monkeypatch.setattr(model, "hidden", recorder)
    train = cycles(20, seed=0)
    train_lm(model, train, LM.model_copy(update={"epochs": 2}))
    plan = Windows.plan(train.tokens, LM.batch_size, LM.bptt, 2, None, LM.seed)
    assert len(states) == plan.steps and len(plan.epochs[0]) > 2
    for step, (given, _) in enumerate(states):
        h = given[0][0]
        assert not h.requires_grad
        assert torch.equal(h, torch.zeros_like(h) if step in (0, len(plan.epochs[0])) else states[step - 1][1][0][0])


@pytest.mark.parametrize("kind", ["language model", "classifier"])
def test_masks_begin_with_the_seed_whatever_was_drawn_before(kind):
    weights = []
    for drawn in (0, 5):
        model = Classifier(WORDS, 2, MODEL, SOME, HeadConfig(8)) if kind == "classifier" else LanguageModel(WORDS, MODEL, SOME)
        torch.rand(drawn, generator=model.encoder.generator)
        if isinstance(model, Classifier):
            train_classifier(model, topics(20, seed=0), CLASSIFY.model_copy(update={"epochs": 1}))
        else:
            train_lm(model, cycles(20, seed=0), LM)
        weights.append(torch.cat([parameter.detach().flatten() for parameter in model.parameters()]))
    assert torch.equal(*weights)


def test_the_budget_of_tokens_is_kept():
    record = train_lm(LanguageModel(WORDS, MODEL, NO_DROPOUT), cycles(100, seed=0), LM.model_copy(update={"max_tokens": 2000, "epochs": 9}))
    assert 1950 < record.trained_tokens <= 2000


def test_too_little_text_is_the_users_error():
    with pytest.raises(UserError, match="30 tokens are too few for 8 parallel streams"):
        train_lm(LanguageModel(WORDS, MODEL, NO_DROPOUT), noise([30]), LM)


def test_no_epochs_leave_the_model_as_it_is():
    model = LanguageModel(WORDS, MODEL, NO_DROPOUT)
    before = copy(model)
    assert train_lm(model, cycles(20, seed=0), LM.model_copy(update={"epochs": 0.0})).steps == 0
    assert not any(changed(model, model.groups(), before))


def test_fine_tuning_starts_from_what_was_learnt(tmp_path):
    first, second = folder(tmp_path / "first"), folder(tmp_path / "second")
    method.pretrain(TrainingText(cycles(100, seed=0), NONE, VOCAB, "forward"), MODEL, LM.model_copy(update={"epochs": 3}), first)
    larger = Vocab([*SPECIALS, "new", *"lkjihgfedcba"])
    where = np.array([larger.tokens.index(token) for token in VOCAB.tokens])
    text = Documents.of([where[document].astype(np.uint16) for document in map(cycles(40, seed=2).doc, range(40))])
    record = method.finetune(TrainingText(text, text, larger, "forward"), first, LM.model_copy(update={"epochs": 0.0}), second)
    assert record.valid_loss < 0.5  # the rows moved with their tokens
    assert (record.rows_kept, record.rows_new) == (WORDS, 1)
    assert Vocab.load(second / "vocab.json") == larger


def test_a_classifier_separates_two_easy_classes(tmp_path):
    lm, target = folder(tmp_path / "lm"), folder(tmp_path / "classifier")
    train, valid = topics(120, seed=0), topics(60, seed=1)
    method.pretrain(TrainingText(train, valid, VOCAB, "backward"), MODEL, LM, lm)
    config = CLASSIFY.model_copy(update={"epochs": 4, "unfreeze": "full"})
    seen = []
    record = method.train_classifier(
        TrainingText(train, valid, VOCAB, "backward", ("first", "last")),
        lm,
        MODEL,
        config,
        target,
        Placement(observe=lambda step, values: seen.append((step, dict(values)))),
    )
    assert record.valid_accuracy >= 0.95 and record.valid_loss < 0.4
    logits = classifying.predict_logits(load_classifier(target), valid, "backward", None)
    assert float((logits.argmax(1).numpy() == valid.labels).mean()) == pytest.approx(record.valid_accuracy)
    points = json.loads((target / "history.json").read_text())
    assert {point["name"] for point in points} == {"train_loss", "lr", "valid_loss", "valid_accuracy", "valid_macro_f1"}
    assert [(step, name, value) for step, values in seen for name, value in values.items()] == [tuple(point.values()) for point in points]
    assert sorted(path.name for path in target.iterdir()) == ["config.json", "history.json", "model.safetensors", "vocab.json"]


def test_predictions_come_in_the_order_of_the_documents():
    model = Classifier(WORDS, 3, MODEL, SOME).eval()
    documents = noise([5, 90, 1, 40, 3, 200, 7])
    together = classifying.predict_logits(model, documents, "forward", 50)
    for place in range(len(documents)):
        ids = torch.from_numpy(documents.doc(place)[:50].astype(np.int64))[:, None]
        with torch.no_grad():
            assert torch.allclose(model(ids, torch.tensor([len(ids)]))[0], together[place], atol=1e-5)
    assert classifying.predict_logits(model, NONE, "forward", 50).shape == (0, 3)


@pytest.mark.parametrize(("epochs", "learnt"), [(1, [False, False, False, True]), (2, [False, False, True, True]), (4, [True] * 4)])
def test_frozen_layers_of_a_classifier_stay_bit_for_bit(epochs, learnt):
    model = Classifier(WORDS, 2, MODEL, SOME, HeadConfig(8))
    before = copy(model)
    train_classifier(model, topics(40, seed=0), CLASSIFY.model_copy(update={"epochs": epochs, "weight_decay": 0.01}), topics(8, seed=1))
    assert changed(model, model.groups(), before) == learnt
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(("epochs", "learnt"), [(1, [False, False, True]), (2, [False, True, True])])
def test_frozen_layers_of_a_language_model_stay_bit_for_bit(epochs, learnt):
    model = LanguageModel(WORDS, MODEL, SOME)
    before = copy(model)
    train_lm(model, cycles(20, seed=0), LM.model_copy(update={"epochs": epochs, "unfreeze": "gradual"}))
    assert changed(model, model.groups(), before) == learnt


def test_one_document_a_batch_trains():
    model = Classifier(WORDS, 2, MODEL, SOME, HeadConfig(8))
    before = copy(model)
    record = train_classifier(model, noise([30, 40, 50]), CLASSIFY.model_copy(update={"batch_size": 1, "unfreeze": "full"}), noise([9, 9]))
    assert record.steps == 6 and math.isfinite(record.valid_loss)
    assert all(changed(model, model.groups(), before))


def test_documents_of_wildly_different_lengths_train():
    model = Classifier(WORDS, 2, MODEL, SOME, HeadConfig(8))
    lengths = [1, 5000, 1, 2, 0, 70, 700, 71, 1500, 69, 20]
    record = train_classifier(
        model, noise(lengths), CLASSIFY.model_copy(update={"batch_size": 4, "unfreeze": "full", "epochs": 1}), noise([1, 300])
    )
    assert record.trained_tokens == (sum(lengths) + 1)  # the empty document is read as one padding token
    assert math.isfinite(record.valid_loss) and all(parameter.isfinite().all() for parameter in model.parameters())


def test_one_document_is_too_few_for_a_classifier(tmp_path):
    with pytest.raises(UserError, match="1 labelled documents are too few"):
        method.train_classifier(TrainingText(noise([9]), NONE, VOCAB, "forward", ("a", "b")), None, MODEL, CLASSIFY, tmp_path)


def test_a_ruined_language_model_stops_and_names_the_step():
    model = LanguageModel(WORDS, MODEL, NO_DROPOUT)
    with torch.no_grad():
        model.bias[FIRST] = torch.nan
    with pytest.raises(
        UserError, match=r"^test: the loss is nan at step 10, at a learning rate of 0\.0\d+; lower .*; no weights are kept$"
    ):
        train_lm(model, cycles(60, seed=0), LM)


def test_a_ruined_classifier_stops_and_names_the_step():
    model = Classifier(WORDS, 2, MODEL, NO_DROPOUT)
    with torch.no_grad():
        model.head.linear2.bias[0] = torch.nan
    with pytest.raises(UserError, match="test: the loss is nan at step 3, "):
        train_classifier(model, noise([20] * 24), CLASSIFY)


def look(*losses: float, norm: float = 1.0) -> tuple[float, str | None]:
    """The smoothed loss after these, and what is wrong."""
    watch = Watch()
    for loss in losses:
        watch.add(torch.tensor(loss), torch.tensor(norm))
    return watch.look()


def test_the_loss_that_is_shown_is_a_mean_in_which_later_steps_weigh_more():
    losses = [3.0, 2.0, 4.0, 1.0]
    weights = [0.9 ** (3 - step) for step in range(4)]
    assert look(*losses)[0] == pytest.approx(sum(map(float.__mul__, losses, weights)) / sum(weights), rel=1e-6)


@pytest.mark.parametrize(
    ("losses", "norm", "said"),
    [
        ([2.0, math.inf, 2.0], 1.0, "the loss is inf"),
        ([2.0, math.nan], 1.0, "the loss is nan"),
        ([2.0, 2.0], math.nan, "a gradient is nan"),
        ([2.0, 2.0], math.inf, "a gradient is inf"),
        ([2.0, *[40.0] * 9], 1.0, r"the loss has grown from 2 to 37\.\d+"),
        ([0.01, *[40.0] * 9], 1.0, r"the loss has grown from 0\.01 to 37\.\d+"),
    ],
)
def test_what_ruins_a_training_is_named(losses, norm, said):
    trouble = look(*losses, norm=norm)[1]
    assert trouble and re.fullmatch(said, trouble)


@pytest.mark.parametrize("losses", [[6.0] * 3, [1.0, *[2.9] * 50], [1e-4, *[0.29] * 50], [0.126, *[0.8] * 50]])
def test_a_loss_that_moves_within_measure_ruins_nothing(losses):
    loss, trouble = look(*losses)
    assert 0 < loss < 6.1 and trouble is None


def test_a_gradient_that_was_no_number_is_not_forgotten():
    watch = Watch()
    for norm in (1.0, math.nan, 1.0):
        watch.add(torch.tensor(2.0), torch.tensor(norm))
    assert watch.look()[1] == "a gradient is nan"


def whole_training(place: Path, seed: int) -> tuple[bytes, bytes]:
    """Weights of a language model, and of the classifier made of it, all dropouts at work."""
    lm, target = folder(place), folder(place / "classifier")
    config = LM.model_copy(update={"dropouts": SOME, "seed": seed, "max_tokens": 6000})
    method.pretrain(TrainingText(topics(120, seed=0), topics(10, seed=1), VOCAB, "forward"), MODEL, config, lm)
    config = CLASSIFY.model_copy(update={"dropouts": SOME, "seed": seed})
    text = TrainingText(topics(60, seed=0), topics(10, seed=1), VOCAB, "forward", ("a", "b"))
    method.train_classifier(text, lm, MODEL, config, target)
    return (lm / "model.safetensors").read_bytes(), (target / "model.safetensors").read_bytes()


def test_a_seed_gives_the_same_weights_alone_and_beside_another_training(tmp_path):
    torch.manual_seed(1)
    alone = [whole_training(tmp_path / f"alone{seed}", seed) for seed in (0, 1)]
    torch.manual_seed(2)
    with ThreadPoolExecutor(2, initializer=torch.set_num_threads, initargs=(1,)) as pool:
        beside = list(pool.map(lambda seed: whole_training(tmp_path / f"beside{seed}", seed), (0, 1)))
    assert alone == beside
    assert alone[0][0] != alone[1][0] and alone[0][1] != alone[1][1]
