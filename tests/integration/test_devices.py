"""Training on several processes, each a real one: they die, stop and go on together."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import psutil
import pyarrow as pa
import pytest
import torch
from safetensors.torch import load_file

from tests.conftest import ROOT
from ulmfit.config import ClassifierConfig, Dropouts, LMConfig, ModelConfig
from ulmfit.errors import RunFailed, UserError
from ulmfit.shards.arrow import IDS_SUFFIX, SPLIT, write_ipc
from ulmfit.text.rules import SPECIALS
from ulmfit.text.vocab import Vocab
from ulmfit.training import method as door
from ulmfit.training.interruption import Interruption
from ulmfit.training.method import train
from ulmfit.training.placement import Placement
from ulmfit.training.processes import launcher
from ulmfit.training.specs import ClassifySpec, PretrainSpec, TrainingRecord

VOCAB = Vocab([*SPECIALS, *"abcdefghijkl"])
SOME = Dropouts(output=0.1, hidden=0.1, input=0.1, embedding=0.1, weight=0.2)
MODEL = ModelConfig(embedding=16, hidden=24, layers=2)
LM = LMConfig(epochs=8, batch_size=4, bptt=10, lr=0.01, dropouts=SOME, precision="fp32")
CLASSIFY = ClassifierConfig(epochs=2, batch_size=8, bptt=10, hidden=8, dropouts=SOME, precision="fp32", patience=2, folds=2)


@pytest.fixture(scope="module")
def spec(tmp_path_factory: pytest.TempPathFactory) -> PretrainSpec:
    """Documents that walk round the letters, two in three forwards, and a vocabulary."""
    folder, rng = tmp_path_factory.mktemp("ids"), np.random.default_rng(0)
    for part in range(2):
        walks = [len(SPECIALS) + np.cumsum(np.full(40, 1 + number % 2)) % 12 + rng.integers(0, 2) for number in range(20)]
        table = {
            "id": pa.array([f"{part}.{number}" for number in range(20)]),
            "ids": pa.array([np.minimum(walk, len(VOCAB) - 1).astype(np.uint16) for walk in walks], pa.list_(pa.uint16())),
            "label": pa.array([number % 2 for number in range(20)], pa.int32()),
            "split": pa.array(["train"] * 16 + ["valid"] * 4).cast(SPLIT),
        }
        write_ipc(folder / f"part-{part:05}{IDS_SUFFIX}", pa.table(table))
    VOCAB.save(folder / "vocab.json")
    vocab = folder / "vocab.json"
    return PretrainSpec(ids=folder, train=("train",), valid=("valid",), vocab=vocab, direction="forward", model=MODEL, config=LM)


def two(observe: Any = None) -> Placement:
    return Placement(processes=2, observe=observe)


def longer(spec: PretrainSpec) -> PretrainSpec:
    return spec.model_copy(update={"config": LM.model_copy(update={"epochs": 1000.0})})


@pytest.fixture(scope="module")
def whole(spec: PretrainSpec, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, TrainingRecord, list[int]]:
    """A language model trained by two processes without a mishap, its record, and the steps of the points that were seen."""
    folder, steps = tmp_path_factory.mktemp("whole") / "lm", []
    record = train(spec, folder, two(lambda step, values: steps.append(step)))
    return folder, record, steps


def ranks() -> list[psutil.Process]:
    """The processes that train, wherever they come from."""
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            if any(module in process.cmdline() for module in ("ulmfit.training.processes.rank", "ulmfit.training.processes.launcher")):
                found.append(process)
    return found


def rank_of(process: psutil.Process) -> str | None:
    with suppress(psutil.Error):
        return process.environ().get("RANK")
    return None


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=10)[1]


OTHERS = set[psutil.Process]()  # servers that tests before these have started in this process


@pytest.fixture(autouse=True)
def others() -> None:
    OTHERS.update(psutil.Process().children(recursive=True))


def started() -> list[psutil.Process]:
    return [process for process in psutil.Process().children(recursive=True) if process not in OTHERS]


def killing(number: str, after: int, seen: list[psutil.Process]) -> Callable[[int, Any], None]:
    """An observer that kills a rank at the first point of a curve past some step."""

    def observe(step: int, values: Any) -> None:
        if step > after and not seen:
            seen.extend(started())
            next(process for process in seen if rank_of(process) == number).kill()

    return observe


@pytest.mark.slow
def test_a_killed_process_ends_the_job_with_one_line_and_it_goes_on(spec: PretrainSpec, whole: tuple, tmp_path: Path) -> None:
    expected, record, steps = whole
    assert record.steps == steps[-1] and record.processes == 2 and 10 in steps
    folder, seen = tmp_path / "lm", list[psutil.Process]()
    with pytest.raises(RunFailed) as failure:
        train(spec, folder, two(killing("1", record.steps // 2, seen)))
    assert len(seen) == 3 and gone(seen)  # the launcher and two ranks
    last = max(int(path.name.removeprefix("step-")) for path in (folder / "checkpoints").glob("step-*"))
    remedy = f"run the same command again, it goes on from step {last}"
    assert str(failure.value) == f"pretrain forward: process 2 of 2 died (signal 9); {remedy}"
    assert 0 < last < record.steps
    other = shutil.copytree(folder, tmp_path / "other")

    points: list[int] = []
    again = train(spec, folder, two(lambda step, values: points.append(step)))
    assert min(points) > last, "it did not begin anew"
    assert again.valid_loss == record.valid_loss
    for name in ("model.safetensors", "history.json", "config.json"):
        assert (folder / name).read_bytes() == (expected / name).read_bytes()
    assert sorted(path.name for path in folder.iterdir()) == ["config.json", "history.json", "model.safetensors", "vocab.json"]

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = train(spec, other, Placement())  # with another number of processes than began it
    torch.set_num_threads(threads)
    assert alone.valid_loss == pytest.approx(record.valid_loss, rel=1e-4)
    weights = load_file(expected / "model.safetensors")
    for name, found in load_file(other / "model.safetensors").items():
        assert torch.allclose(found, weights[name], rtol=0, atol=1e-4 * float(weights[name].abs().max())), name


@pytest.mark.slow
def test_processes_that_are_asked_to_end_write_a_checkpoint_first(
    spec: PretrainSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asking = Interruption()
    monkeypatch.setattr(launcher, "INTERRUPTION", asking)
    with pytest.raises(RunFailed, match=r"interrupted after step \d+") as failure:
        train(longer(spec), tmp_path / "lm", two(lambda step, _: None if asking.asked else asking.ask()))
    last = int(re.findall(r"interrupted after step (\d+)", str(failure.value))[0])
    assert f"it goes on from step {last}" in str(failure.value)


def test_a_ruined_training_stops_all_with_the_users_line(spec: PretrainSpec, tmp_path: Path) -> None:
    ruinous = LM.model_copy(update={"optimizer": "nt-asgd", "schedule": "constant", "lr": 1e38})
    with pytest.raises(UserError, match=r"^pretrain forward: the loss .* at step \d+.*lower the rate") as error:
        train(spec.model_copy(update={"config": ruinous}), tmp_path / "lm", two())
    assert "\n" not in str(error.value)
    assert not started()
    assert not (tmp_path / "lm" / "model.safetensors").exists()


def test_a_classifier_is_trained_on_the_language_model(spec: PretrainSpec, whole: tuple, tmp_path: Path) -> None:
    text = spec.model_dump(include={"ids", "train", "valid", "vocab", "direction"})
    classify = ClassifySpec(lm=whole[0], labels=("one", "two"), model=MODEL, config=CLASSIFY, **text)
    record = train(classify, tmp_path / "two", two())
    alone = train(classify, tmp_path / "one", Placement())
    assert record.valid_loss == pytest.approx(alone.valid_loss, rel=1e-3)
    assert record.best_step == alone.best_step and record.steps == alone.steps
    assert record.temperature == pytest.approx(alone.temperature, rel=1e-3), "folds are left out by two processes as by one"
    assert record.model_dump(exclude_none=True).keys() - {"processes"} == alone.model_dump(exclude_none=True).keys()
    assert {path.name for path in (tmp_path / "two").iterdir()} == {path.name for path in (tmp_path / "one").iterdir()}


def test_no_process_outlives_the_one_that_asked_for_it(spec: PretrainSpec, tmp_path: Path) -> None:
    program = (
        "import sys\nfrom pathlib import Path\nfrom ulmfit.training.placement import Placement\n"
        "from ulmfit.training.specs import PretrainSpec\nfrom ulmfit.training.method import train\n"
        "place = Placement(processes=2, observe=lambda step, values: print(step, flush=True))\n"
        "train(PretrainSpec.model_validate_json(sys.argv[1]), Path(sys.argv[2]), place)"
    )
    command = [sys.executable, "-c", program, longer(spec).model_dump_json(), str(tmp_path / "lm")]
    environment = os.environ | {"PYTHONPATH": str(ROOT), "TMPDIR": str(tmp_path)}
    with subprocess.Popen(command, stdout=subprocess.PIPE, cwd=tmp_path, env=environment) as parent:
        assert parent.stdout is not None and parent.stdout.readline().strip() == b"10"
        processes = psutil.Process(parent.pid).children(recursive=True)
        assert sorted(filter(None, map(rank_of, processes))) == ["0", "1"]
        os.kill(parent.pid, signal.SIGKILL)
    assert gone(processes)


def test_an_observer_that_fails_ends_the_processes(spec: PretrainSpec, tmp_path: Path) -> None:
    seen = list[psutil.Process]()

    def observe(step: int, values: Any) -> None:
        seen.extend(started())
        raise ConnectionError("the tracking server is gone")

    with pytest.raises(ConnectionError, match="the tracking server is gone"):
        train(longer(spec), tmp_path / "lm", two(observe))
    assert len(seen) == 3 and gone(seen)


@pytest.mark.parametrize("resume", [True, False])
@pytest.mark.parametrize("processes", [1, 2])
def test_the_door_clears_checkpoints_only_if_told_and_takes_the_processes_it_is_told(
    resume: bool, processes: int, spec: PretrainSpec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    checkpoint, asked = tmp_path / "checkpoints" / "step-000000010", []
    checkpoint.mkdir(parents=True)
    monkeypatch.setattr(door, "pretrain", lambda *given: asked.append((1, checkpoint.exists())))
    monkeypatch.setattr(door, "run_on", lambda spec, folder, place: asked.append((place.processes, checkpoint.exists())))
    train(spec, tmp_path, Placement(processes=processes, resume=resume))
    assert asked == [(processes, resume)]
