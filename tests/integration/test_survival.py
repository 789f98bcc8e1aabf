"""Trainings that are killed, interrupted, short of memory or disk, or ruined. On a CPU what goes on ends with the same bits."""

from __future__ import annotations

import errno
import json
import logging
import math
import os
import random
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT
from tests.integration.survival import CLASSIFY, EVERY_STEP, LABELS, LM, MODEL, TEXT, VOCAB, train_classifier, train_lm
from ulmfit.errors import UserError
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.awd_lstm import AWDLSTM
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.store import filesystem
from ulmfit.training import classifying, loop
from ulmfit.training import curves as watching
from ulmfit.training.checkpoint import FACTS, TENSORS, Checkpoints
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.curves import Curves, Point
from ulmfit.training.interruption import Interrupted, Interruption
from ulmfit.training.loop import fit
from ulmfit.training.optimizers import Optimizer
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingRecord

TIMES = ("training_seconds", "tokens_per_second")
AVERAGED = LM.model_copy(
    update={"optimizer": "nt-asgd", "schedule": "constant", "lr": 5.0, "nonmono": 1, "valid_every": 5, "unfreeze": "full", "epochs": 3}
)


pytestmark = pytest.mark.usefixtures("one_thread")


def result(folder: Path, record: TrainingRecord) -> dict[str, Any]:
    """All that is to be the same: the weights' bytes, the curves, the figures."""
    points = json.loads((folder / "history.json").read_text())
    figures = record.model_dump(exclude=set(TIMES))
    return {"weights": (folder / "model.safetensors").read_bytes(), "points": points, "figures": figures}


# ------------------------------------------------------------------------------------------------------- killed processes


def start(folder: Path, seconds: float) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.integration.survival", folder, str(seconds)], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )


def finished(folder: Path) -> dict[str, Any]:
    return {
        stage: result(folder / stage, TrainingRecord.model_validate_json((folder / stage / "record.json").read_bytes()))
        for stage in ("lm", "classifier")
    }


def steps_done(folder: Path) -> int:
    """Steps in the newest checkpoints of both stages."""
    total = 0
    for stage in ("lm", "classifier"):
        if (folder / stage / "record.json").exists():
            total += 1000
        total += max((int(name[5:]) for name in filesystem.folders(folder / stage / "checkpoints") if name.startswith("step-")), default=0)
    return total


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What comes of both stages where nothing happens, with checkpoints at the ends of epochs alone."""
    folder = tmp_path_factory.mktemp("undisturbed")
    process = start(folder, 3600)
    _, err = process.communicate(timeout=120)
    assert process.returncode == 0, err
    return finished(folder)


@pytest.mark.slow
def test_processes_killed_at_random_moments_end_with_the_same_bits(tmp_path: Path, undisturbed: dict[str, Any]) -> None:
    chance, killed, said = random.Random(4), 0, ""
    while True:
        process = start(tmp_path, EVERY_STEP)
        until = steps_done(tmp_path) + chance.randint(12, 24)
        while process.poll() is None and (steps_done(tmp_path) < until or killed == 10):
            time.sleep(0.001)
        time.sleep(chance.random() / 30)  # about a step: it is hit while it computes, writes or tidies up
        process.kill()
        said += process.communicate(timeout=60)[1]
        if process.returncode == 0:
            break
        assert process.returncode == -signal.SIGKILL, said
        killed += 1
    resumed = [(what, int(step)) for what, step in re.findall(r"(\w+) forward: going on from step (\d+) of", said)]
    assert killed >= 4 and len(resumed) >= 3 and {what for what, _ in resumed} == {"pretrain", "classify"}
    assert finished(tmp_path) == undisturbed
    for stage in ("lm", "classifier"):
        assert not (tmp_path / stage / "checkpoints").exists()


# -------------------------------------------------------------------------------------------------- interrupted in-process


class Interrupt(Exception):
    """The training is cut short here."""


def interrupted_at(step: int, what: str = "train_loss") -> Callable[[int, Mapping[str, float]], None]:
    def observe(number: int, values: Mapping[str, float]) -> None:
        if number >= step and what in values:
            raise Interrupt

    return observe


def interrupt(train: Callable[[Placement], Any], step: int, what: str = "train_loss") -> None:
    with pytest.raises(Interrupt):
        train(Placement(checkpoint_seconds=EVERY_STEP, observe=interrupted_at(step, what)))


def cut_short(place: Path) -> None:
    (place / TENSORS).write_bytes((place / TENSORS).read_bytes()[:-100])


def flip(place: Path, name: str) -> None:
    data = bytearray((place / name).read_bytes())
    data[len(data) // 2] ^= 1
    (place / name).write_bytes(data)


def test_a_training_that_is_asked_to_end_writes_a_checkpoint_first(tmp_path, undisturbed, monkeypatch) -> None:
    asking = Interruption()
    monkeypatch.setattr(loop, "INTERRUPTION", asking)
    place = Placement(checkpoint_seconds=3600, observe=lambda step, _: asking.ask() if step == 10 else None)
    with pytest.raises(Interrupted, match="interrupted after step 10"):
        train_lm(tmp_path, place)
    assert "step-000000010" in filesystem.folders(tmp_path / "checkpoints")
    monkeypatch.setattr(loop, "INTERRUPTION", Interruption())
    assert result(tmp_path, train_lm(tmp_path, Placement())) == undisturbed["lm"]


DAMAGES: dict[str, Callable[[Path], None]] = {
    "tensors cut short": cut_short,
    "a bit of the tensors": lambda place: flip(place, TENSORS),
    "a bit of the facts": lambda place: flip(place, FACTS),
    "no facts": lambda place: (place / FACTS).unlink(),
    "no tensors": lambda place: (place / TENSORS).unlink(),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_checkpoint_is_passed_over_for_the_one_before(tmp_path, undisturbed, damage, caplog) -> None:
    caplog.set_level(logging.INFO)
    interrupt(lambda place: train_lm(tmp_path, place), 40)
    assert filesystem.folders(tmp_path / "checkpoints") == ["step-000000038", "step-000000039"]
    DAMAGES[damage](tmp_path / "checkpoints" / "step-000000039")
    record = train_lm(tmp_path, Placement())
    assert "step-000000039 is passed over: " in caplog.text and "going on from step 38 of 62" in caplog.text
    assert result(tmp_path, record) == undisturbed["lm"]


def test_without_a_whole_checkpoint_the_training_starts_anew(tmp_path, undisturbed) -> None:
    interrupt(lambda place: train_lm(tmp_path, place), 40)
    for name in filesystem.folders(tmp_path / "checkpoints"):
        cut_short(tmp_path / "checkpoints" / name)
    assert result(tmp_path, train_lm(tmp_path, Placement())) == undisturbed["lm"]


def test_averages_survive_interruptions_before_and_after_they_begin(tmp_path) -> None:
    whole, folder = tmp_path / "whole", tmp_path / "interrupted"
    expected = result(whole, train_lm(whole, Placement(), AVERAGED))
    begun = []
    for step in (5, 10, 15, 25, 35, 50):
        interrupt(lambda place: train_lm(folder, place, AVERAGED), step, "valid_loss")
        found = Checkpoints(folder / "checkpoints").latest()
        assert found is not None and found.step < step + 5
        begun.append("optimizer.asgd.trigger" in found.tensors)
    assert begun[0] is False and begun[-1] is True and begun == sorted(begun)
    assert result(folder, train_lm(folder, Placement(), AVERAGED)) == expected


PATIENT = CLASSIFY.model_copy(update={"epochs": 12, "patience": 2, "unfreeze": "full", "lr": 0.05})


def stopping_early(place: Placement) -> tuple[Classifier, TrainingRecord, list[Point], dict[int, dict[str, torch.Tensor]]]:
    """Model, record, points and the weights as they were at the end of each epoch."""
    model = Classifier(len(VOCAB), 2, MODEL, PATIENT.dropouts, HeadConfig(PATIENT.hidden), seed=3)
    epochs: dict[int, dict[str, torch.Tensor]] = {}

    def observe(step: int, values: Mapping[str, float]) -> None:
        if "valid_loss" in values:
            epochs[step] = {name: tensor.clone() for name, tensor in model.state_dict().items()}
        if place.observe:
            place.observe(step, values)

    objective, curves = Objective(PATIENT, LabelSet.of(LABELS, PATIENT), TEXT.train.labels), Curves(observe)
    record = fit(classifying.Classifying(model, TEXT, objective, place, "test"), curves)
    return model, record.model_copy(update=dict.fromkeys(TIMES)), curves.points, epochs


def same_weights(one: Mapping[str, torch.Tensor], other: Mapping[str, torch.Tensor]) -> bool:
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def test_early_stopping_keeps_the_best_weights_through_interruptions(tmp_path) -> None:
    model, expected, points, epochs = stopping_early(Placement())
    by_epoch = [point.value for point in points if point.name == "valid_loss"]
    best = by_epoch.index(min(by_epoch))
    assert best >= 1 and len(by_epoch) == best + 1 + PATIENT.patience < PATIENT.epochs  # it did stop, and not for want of a better
    assert expected.best_step == list(epochs)[best] < expected.steps and expected.valid_loss == by_epoch[best]
    assert same_weights(model.state_dict(), epochs[expected.best_step])

    place = Placement(checkpoint_seconds=EVERY_STEP, checkpoints=tmp_path / "checkpoints")
    for step in [*epochs, list(epochs)[best] + 3]:  # cut short when an epoch has been judged, and within one
        with pytest.raises(Interrupt):
            stopping_early(replace(place, observe=interrupted_at(step, "valid_loss")))
    resumed, found, its_points, _ = stopping_early(place)
    assert found == expected and its_points == points and same_weights(resumed.state_dict(), model.state_dict())
    again, found, _, trained = stopping_early(place)  # killed when it had stopped: it does not go on
    assert found == expected and not trained and same_weights(again.state_dict(), model.state_dict())


def test_a_damaged_newest_checkpoint_does_not_cost_the_best_weights(tmp_path) -> None:
    model, expected, _, epochs = stopping_early(Placement())
    place = Placement(checkpoint_seconds=EVERY_STEP, checkpoints=tmp_path / "checkpoints")
    with pytest.raises(Interrupt):
        stopping_early(replace(place, observe=interrupted_at(list(epochs)[-1], "valid_loss")))
    cut_short(tmp_path / "checkpoints" / filesystem.folders(tmp_path / "checkpoints")[-1])
    resumed, found, _, _ = stopping_early(place)
    assert found == expected and same_weights(resumed.state_dict(), model.state_dict())


# ------------------------------------------------------------------------------------------------------ memory that is short


def short_of_memory(monkeypatch: pytest.MonkeyPatch, columns: int) -> list[int]:
    """No more than so many columns can be trained on at a time; how many were tried."""
    tried, forward = [], AWDLSTM.forward

    def limited(self: AWDLSTM, ids: torch.Tensor, *others: Any) -> Any:
        if self.training:
            tried.append(ids.shape[1])
            if ids.shape[1] > columns:
                raise torch.OutOfMemoryError("CUDA out of memory")
        return forward(self, ids, *others)

    monkeypatch.setattr(AWDLSTM, "forward", limited)
    return tried


PLAIN_SGD = {"optimizer": "nt-asgd", "schedule": "constant", "lr": 0.3}  # Adam would blow up rounding where a gradient is all but nought


@pytest.mark.parametrize("kind", ["language model", "classifier"])
def test_where_memory_is_short_a_batch_is_worked_on_in_parts(tmp_path, monkeypatch, caplog, kind) -> None:
    def train(folder: Path) -> TrainingRecord:
        if kind == "language model":
            return train_lm(folder, Placement(), LM.model_copy(update=PLAIN_SGD))
        return train_classifier(folder, Placement(), CLASSIFY.model_copy(update=PLAIN_SGD))

    whole = train(tmp_path / "whole")
    tried = short_of_memory(monkeypatch, 2)
    record = train(tmp_path / "parts")
    assert whole.parts is None and record.parts == 4 and max(tried) > 2 and tried.count(max(tried)) == 1
    said = [entry.getMessage() for entry in caplog.records if entry.levelno == logging.WARNING]
    assert len(said) == 2 and all(
        re.search(rf"memory is short; .* in {parts} parts", line) for parts, line in zip((2, 4), said, strict=True)
    )
    assert record.steps == whole.steps and record.valid_loss == pytest.approx(whole.valid_loss, abs=1e-5)
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_a_training_in_parts_goes_on_in_parts(tmp_path, monkeypatch) -> None:
    short_of_memory(monkeypatch, 2)
    whole = result(tmp_path / "whole", train_lm(tmp_path / "whole", Placement()))
    interrupt(lambda place: train_lm(tmp_path / "interrupted", place), 40)
    tried = short_of_memory(monkeypatch, 2)
    assert result(tmp_path / "interrupted", train_lm(tmp_path / "interrupted", Placement())) == whole
    assert max(tried) <= 2 and whole["figures"]["parts"] == 4


def test_running_statistics_do_not_count_a_step_that_memory_cut_short(tmp_path, monkeypatch) -> None:
    config = CLASSIFY.model_copy(update={"epochs": 1, **PLAIN_SGD})
    train_classifier(tmp_path / "whole", Placement(), config)
    real, failures = Objective.loss, iter([True])

    def failing(self: Objective, *arguments: Any) -> torch.Tensor:
        if next(failures, False):
            raise torch.OutOfMemoryError("CUDA out of memory")
        return real(self, *arguments)

    monkeypatch.setattr(Objective, "loss", failing)
    assert train_classifier(tmp_path / "parts", Placement(), config).parts == 2
    one, other = (load_file(tmp_path / name / "model.safetensors") for name in ("whole", "parts"))
    assert int(one["head.norm1.num_batches_tracked"]) == int(other["head.norm1.num_batches_tracked"]) == 8
    assert all(torch.allclose(one[name], other[name], atol=1e-5) for name in one)


def test_where_not_even_one_column_fits_the_training_fails(tmp_path, monkeypatch) -> None:
    tried = short_of_memory(monkeypatch, 0)
    with pytest.raises(torch.OutOfMemoryError):
        train_lm(tmp_path, Placement())
    assert tried == [8, 4, 2, 1]


# ------------------------------------------------------------------------------------------------------------ ruined losses


RUINOUS: dict[str, tuple[Callable[..., Any], Any]] = {
    "language model": (train_lm, LM.model_copy(update={"lr": 1e3, "unfreeze": "full"})),
    "language model, SGD": (train_lm, AVERAGED.model_copy(update={"lr": 1e6})),
    "classifier": (train_classifier, CLASSIFY.model_copy(update={"lr": 1e4, "unfreeze": "full", "epochs": 8})),
}


@pytest.mark.parametrize("case", RUINOUS)
def test_a_ruined_training_names_the_step_the_rate_and_the_weights_that_are_kept(tmp_path, case) -> None:
    train, config = RUINOUS[case]
    with pytest.raises(UserError) as raised:
        train(tmp_path, Placement(checkpoint_seconds=EVERY_STEP), config)
    said = re.search(
        r"(the loss|a gradient) .* at step (\d+), at a learning rate of (\S+); .*; the weights of step (\d+) are in (.*)$",
        str(raised.value),
    )
    assert said and "\n" not in str(raised.value)
    step, rate, kept, place = int(said[2]), float(said[3]), int(said[4]), Path(said[5])
    assert 0 < kept < step and 0 < rate <= config.lr and place == tmp_path / "checkpoints"
    found = Checkpoints(place).latest()
    assert found is not None and found.step == kept
    assert all(tensor.isfinite().all() for name, tensor in found.tensors.items() if name.startswith("model."))
    assert not (tmp_path / "model.safetensors").exists()


def test_a_loss_that_is_no_number_is_not_saved(tmp_path, monkeypatch) -> None:
    """Ruined between two points of the curve: the checkpoint that would be due then is the one that finds out."""
    add = watching.Watch.add
    count = iter(range(1, 1000))
    monkeypatch.setattr(watching.Watch, "add", lambda self, loss, norm: add(self, loss * math.nan if next(count) == 14 else loss, norm))
    with pytest.raises(UserError, match=r"the loss is nan at step 14, .* the weights of step 13 are in "):
        train_lm(tmp_path, Placement(checkpoint_seconds=EVERY_STEP))


@pytest.mark.parametrize("case", ["language model", "classifier"])
def test_weights_that_the_last_step_ruined_are_not_taken_for_a_result(tmp_path, monkeypatch, case) -> None:
    """No loss of the training shows it: the one of validation does."""
    step = Optimizer.step

    def ruinous(self: Optimizer, scale: float) -> torch.Tensor:
        norm = step(self, scale)
        if self.step_number == self.steps:
            with torch.no_grad():
                self.parameters[-1].fill_(math.nan)
        return norm

    monkeypatch.setattr(Optimizer, "step", ruinous)
    train, steps = {"language model": (train_lm, 62), "classifier": (train_classifier, 32)}[case]
    with pytest.raises(UserError, match=rf"valid_loss is nan at step {steps}, .* the weights of step {steps - 1} are in "):
        train(tmp_path, Placement(checkpoint_seconds=EVERY_STEP))
    found = Checkpoints(tmp_path / "checkpoints").latest()
    assert found is not None and found.step == steps - 1 and not (tmp_path / "model.safetensors").exists()
    assert all(tensor.isfinite().all() for tensor in found.tensors.values())


# --------------------------------------------------------------------------------------------------------------- full disks


def full_disk(monkeypatch: pytest.MonkeyPatch, first: int, last: int) -> None:
    """Checkpoints of these steps find no room."""
    write = filesystem.output_file

    def limited(path: Path) -> Any:
        if re.fullmatch(r"\.new-step-0*(\d+)", path.parent.name) and first <= int(path.parent.name[10:]) <= last:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(path)

    monkeypatch.setattr(filesystem, "output_file", limited)


def test_a_full_disk_does_not_stop_a_training(tmp_path, undisturbed, monkeypatch, caplog) -> None:
    full_disk(monkeypatch, 0, 10**6)
    assert result(tmp_path, train_lm(tmp_path, Placement(checkpoint_seconds=EVERY_STEP))) == undisturbed["lm"]
    assert caplog.text.count("a checkpoint could not be written: No space left on device; training goes on") == 1


def test_a_checkpoint_that_found_no_room_is_not_said_to_be_kept(tmp_path, monkeypatch) -> None:
    full_disk(monkeypatch, 5, 12)
    add, count = watching.Watch.add, iter(range(1, 1000))
    monkeypatch.setattr(watching.Watch, "add", lambda self, loss, norm: add(self, loss * math.nan if next(count) == 11 else loss, norm))
    with pytest.raises(UserError, match=r"the loss is nan at step 11, .* the weights of step 4 are in "):
        train_lm(tmp_path, Placement(checkpoint_seconds=EVERY_STEP))


# ------------------------------------------------------------------------------------------------------------ long documents

MEASURED = """
import resource, sys
import numpy as np, torch
from ulmfit.config import ClassifierConfig, Dropouts, ModelConfig
from ulmfit.labels.label_set import LabelSet
from ulmfit.models.classifier import Classifier, HeadConfig
from ulmfit.shards.documents import Documents
from ulmfit.prediction.logits import predict_logits
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training.classifying import Classifying
from ulmfit.training.curves import Curves
from ulmfit.training.loop import fit
from ulmfit.training.classifier_objective import Objective
from ulmfit.training.optimizers import Optimizer
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingText

torch.set_num_threads(1)
peak = lambda: resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
def documents(length):
    rng = np.random.default_rng(0)
    return Documents.of([rng.integers(9, 40, n).astype(np.uint16) for n in (length, 50, 60, 40)], [0, 1, 0, 1])
def work(length):
    text = documents(length)
    config = ClassifierConfig(epochs=1, batch_size=4, hidden=8, precision="fp32", unfreeze="full", lr=1e-3)
    model = Classifier(40, 2, ModelConfig(embedding=32, hidden=64, layers=2), Dropouts(), HeadConfig(8))
    objective = Objective(config, LabelSet.of(["a", "b"], config), text.labels)
    both = TrainingText(text, text, Vocab(SPECIALS), "forward")
    record = fit(Classifying(model, both, objective, Placement(), "test"), Curves(None))
    assert record.trained_tokens == length + 150 and predict_logits(model, text, "forward", None).isfinite().all()
work(100)
before = peak()
work(int(sys.argv[1]))
print(peak() - before)
"""


def test_a_document_of_a_hundred_thousand_tokens_needs_no_more_memory_than_one_of_twenty_thousand() -> None:
    """Twenty thousand fill the longest chunks there are, those of prediction."""
    grown = []
    for length in (20_000, 100_000):
        found = subprocess.run([sys.executable, "-c", MEASURED, str(length)], cwd=ROOT, capture_output=True, text=True, timeout=120)
        assert found.returncode == 0, found.stderr
        grown.append(float(found.stdout))
    assert grown[1] < 1.3 * grown[0] + 10, f"MB: {grown}"  # its states alone, all kept, would be 64 MB, its graph several times that


def test_what_began_in_bf16_is_told_where_there_is_none(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    interruption = Interruption()
    interruption.asked = True
    monkeypatch.setattr(loop, "INTERRUPTION", interruption)
    monkeypatch.setattr(loop, "dtype_name", lambda products: "bfloat16")
    with pytest.raises(Interrupted):
        train_classifier(tmp_path, Placement())
    interruption.asked = False
    monkeypatch.setattr(loop, "can_bf16", lambda device: False)
    with pytest.raises(UserError, match=r"it began in bf16, for which this CPU has no instructions; .* --no-resume$"):
        train_classifier(tmp_path, Placement())
