"""Checkpoints: what is saved comes back bit for bit; what is cut short, changed or foreign is passed over; a full disk; kill -9."""

import errno
import json
import logging
import multiprocessing
import os
import random
import shutil
import time
from pathlib import Path

import pytest
import torch

from ulmfit.store import filesystem
from ulmfit.training import checkpoint
from ulmfit.training.checkpoint import Checkpoints


def tensors(step: int) -> dict[str, torch.Tensor]:
    """Tensors from which the step can be told."""
    return {"weight": torch.full((50, 20), float(step)), "step": torch.tensor(step)}


def save(checkpoints: Checkpoints, *steps: int) -> None:
    for step in steps:
        checkpoints.save(step, tensors(step), {"step": step})


def whole(found) -> bool:
    expected = tensors(found.step)
    same = found.tensors.keys() == expected.keys() and all(torch.equal(found.tensors[name], expected[name]) for name in expected)
    return same and found.facts == {"step": found.step}


def names(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


@pytest.fixture
def checkpoints(tmp_path) -> Checkpoints:
    return Checkpoints(tmp_path / "checkpoints")


def test_every_kind_of_tensor_comes_back_bit_for_bit(checkpoints):
    base = torch.randn(6, 8)
    special = torch.tensor([float("nan"), float("inf"), -0.0, 1e-42])
    given = {
        "base": base,
        "same": base,
        "view": base[1:3],
        "strided": base[:, ::3],
        "transposed": base.T,
        "expanded": torch.tensor([1.5]).expand(4),
        "parameter": torch.nn.Parameter(torch.randn(3)),
        "scalar": torch.tensor(3.25),
        "one of many": base[::6, ::8],
        "one of a row": torch.randn(4)[::4],
        "empty": torch.zeros(0, 4),
        "special": special,
        "half": torch.randn(7).half(),
        "bf16": torch.randn(5, 3).bfloat16(),
        "double": torch.randn(3, dtype=torch.float64),
        "long": torch.tensor([2**62, -1]),
        "int32": torch.tensor([1, -2], dtype=torch.int32),
        "short": torch.tensor([300, -2], dtype=torch.int16),
        "char": torch.tensor([-128, 127], dtype=torch.int8),
        "flags": torch.tensor([True, False, True]),
        "generator": torch.get_rng_state(),
    }
    facts = {"epoch": 3, "loss": 0.1 + 0.2, "worst": float("inf"), "generator": {"state": 2**127 + 1}, "name": "é", "list": [1, None, True]}
    checkpoints.save(12, given, facts)
    found = checkpoints.latest()
    assert found.step == 12 and found.facts == facts and found.tensors.keys() == given.keys()
    for name, tensor in given.items():
        back = found.tensors[name]
        assert back.dtype == tensor.dtype and back.shape == tensor.shape and back.is_contiguous()
        raw = tensor.detach().clone(memory_format=torch.contiguous_format).reshape(-1).view(torch.uint8)
        assert torch.equal(back.reshape(-1).view(torch.uint8), raw), name
    torch.set_rng_state(found.tensors["generator"])
    assert torch.equal(torch.get_rng_state(), given["generator"])


def test_what_was_read_outlives_its_file_and_can_be_changed(checkpoints):
    save(checkpoints, 1)
    found = checkpoints.latest()
    checkpoints.clear()
    assert whole(found)
    found.tensors["weight"].add_(1)
    assert found.tensors["weight"].eq(2).all()


def test_no_tensors_and_no_facts(checkpoints):
    checkpoints.save(0, {}, {})
    found = checkpoints.latest()
    assert (found.step, found.tensors, found.facts) == (0, {}, {})


def test_what_cannot_be_saved_is_refused_and_leaves_nothing(checkpoints):
    save(checkpoints, 1)
    with pytest.raises(TypeError, match=r"odd: torch\.complex64"):
        checkpoints.save(2, {"odd": torch.zeros(2, dtype=torch.complex64)}, {})
    with pytest.raises(TypeError, match="not JSON serializable"):
        checkpoints.save(2, {}, {"odd": object()})
    assert names(checkpoints.folder) == ["step-000000001"]


def test_the_last_ones_are_kept(checkpoints):
    assert checkpoints.latest() is None and checkpoints.best() is None
    save(checkpoints, 5, 10, 999_999_999, 1_000_000_000)
    assert names(checkpoints.folder) == ["step-1000000000", "step-999999999"]
    assert checkpoints.latest().step == 1_000_000_000
    other = Checkpoints(checkpoints.folder, keep=1)
    assert whole(other.latest())
    save(other, 2_000_000_000)
    assert names(checkpoints.folder) == ["step-2000000000"]
    with pytest.raises(ValueError, match="1 or more, not 0"):
        Checkpoints(checkpoints.folder, keep=0)


def test_checkpoints_of_later_steps_are_of_another_run(checkpoints):
    save(checkpoints, 5, 10)
    save(checkpoints, 3)
    assert names(checkpoints.folder) == ["step-000000003"]


def test_a_step_saved_again_replaces_the_first(checkpoints):
    save(checkpoints, 4, 5)
    checkpoints.save(5, {"other": torch.ones(2)}, {"again": True})
    assert checkpoints.latest().facts == {"again": True}
    assert names(checkpoints.folder) == ["step-000000004", "step-000000005"]


def test_the_best_stands_beside_and_is_replaced(checkpoints):
    checkpoints.save_best(7, tensors(7), {"step": 7})
    assert checkpoints.latest() is None
    save(checkpoints, 8, 9, 10)
    assert whole(checkpoints.best()) and checkpoints.best().step == 7
    checkpoints.save_best(9, tensors(9), {"step": 9})
    assert whole(checkpoints.best()) and checkpoints.best().step == 9
    assert names(checkpoints.folder) == ["best", "step-000000009", "step-000000010"]


def test_when_the_next_is_due(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    always, minute = Checkpoints(tmp_path / "always", every=0), Checkpoints(tmp_path / "minute", every=60)
    assert always.due() and not minute.due()
    now += 59.9
    assert not minute.due()
    now += 0.1
    assert minute.due()
    save(minute, 1)
    save(always, 1)
    assert always.due() and not minute.due()
    now += 60
    assert minute.due()


def test_clearing_removes_the_folder(checkpoints):
    checkpoints.clear()
    save(checkpoints, 1, 2)
    checkpoints.save_best(1, tensors(1), {})
    checkpoints.clear()
    assert not checkpoints.folder.exists() and checkpoints.latest() is None
    save(checkpoints, 3)
    assert whole(checkpoints.latest())


def cut(name: str, share: float):
    def damage(folder: Path) -> None:
        os.truncate(folder / name, int((folder / name).stat().st_size * share))

    return damage


def flip(name: str, share: float):
    def damage(folder: Path) -> None:
        data = bytearray((folder / name).read_bytes())
        data[int((len(data) - 1) * share)] ^= 1
        (folder / name).write_bytes(data)

    return damage


def another(**changes):
    def damage(folder: Path) -> None:
        body = json.loads((folder / checkpoint.FACTS).read_text())
        (folder / checkpoint.FACTS).write_text(json.dumps(body | changes))

    return damage


DAMAGES = {
    **{f"{name} cut to {share}": cut(name, share) for name in (checkpoint.TENSORS, checkpoint.FACTS) for share in (0, 0.01, 0.5, 0.999)},
    **{f"{name} changed at {share}": flip(name, share) for name in (checkpoint.TENSORS, checkpoint.FACTS) for share in (0, 0.3, 0.7, 1)},
    "longer tensors": lambda folder: (folder / checkpoint.TENSORS).write_bytes((folder / checkpoint.TENSORS).read_bytes() + b"\0"),
    "no facts": lambda folder: (folder / checkpoint.FACTS).unlink(),
    "no tensors": lambda folder: (folder / checkpoint.TENSORS).unlink(),
    "nothing": lambda folder: (shutil.rmtree(folder), folder.mkdir()),
    "a list": lambda folder: (folder / checkpoint.FACTS).write_text("[1]"),
    "not text": lambda folder: (folder / checkpoint.FACTS).write_bytes(b"\xff\xfe\x00"),
    "another format": another(format=2),
    "other facts": another(facts={"step": 5}),
    "another step": another(step=5),
    "another's tensors": lambda folder: shutil.copy(folder.parent / "step-000000002" / checkpoint.TENSORS, folder),
}


@pytest.mark.parametrize("damage", DAMAGES.values(), ids=DAMAGES)
def test_what_is_damaged_is_passed_over_and_named_once(checkpoints, damage, caplog):
    save(checkpoints, 2, 3)
    checkpoints.save_best(3, tensors(3), {"step": 3})
    damage(checkpoints.folder / "step-000000003")
    damage(checkpoints.folder / "best")
    for _ in range(2):
        found = checkpoints.latest()
        assert found.step == 2 and whole(found)
        assert checkpoints.best() is None
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 2
    assert str(checkpoints.folder / "step-000000003") in said[0] and str(checkpoints.folder / "best") in said[1]
    save(checkpoints, 3)  # the training comes to that step again
    assert whole(checkpoints.latest()) and checkpoints.latest().step == 3


def test_the_format_is_told_from_damage(checkpoints, caplog):
    save(checkpoints, 1)
    another(format=2)(checkpoints.folder / "step-000000001")
    assert checkpoints.latest() is None
    assert "format 2" in caplog.text and "reads 1" in caplog.text


def test_damaged_ones_do_not_count_among_those_kept(checkpoints):
    save(checkpoints, 1, 2)
    DAMAGES["no facts"](checkpoints.folder / "step-000000002")
    assert checkpoints.latest().step == 1
    save(checkpoints, 3)
    assert names(checkpoints.folder) == ["step-000000001", "step-000000003"]


def test_what_a_killed_run_left_is_removed(checkpoints):
    save(checkpoints, 1, 2)
    half = checkpoints.folder / ".new-step-000000003"
    shutil.copytree(checkpoints.folder / "step-000000002", half)
    os.truncate(half / checkpoint.TENSORS, 100)
    shutil.copytree(half, checkpoints.folder / ".gone-step-000000000")
    again = Checkpoints(checkpoints.folder)
    assert names(again.folder) == ["step-000000001", "step-000000002"]
    assert again.latest().step == 2


@pytest.mark.parametrize("name", ["best", "step-000000007"])
@pytest.mark.parametrize("fails_at", range(4))
def test_replacing_leaves_the_old_or_the_new(checkpoints, monkeypatch, name, fails_at):
    """The process dies at its first, second, ... move of a folder, before or after it."""
    act = checkpoints.save_best if name == "best" else checkpoints.save
    act(7, tensors(7), {"step": 7, "which": "old"})
    move, moves = os.replace, 0

    def dying(source, target):
        nonlocal moves
        if not os.path.isdir(source):
            return move(source, target)
        if moves == fails_at // 2 and fails_at % 2 == 0:
            raise SystemExit
        move(source, target)
        moves += 1
        if moves == fails_at // 2 + 1 and fails_at % 2 == 1:
            raise SystemExit

    monkeypatch.setattr(os, "replace", dying)
    monkeypatch.setattr(checkpoint.Checkpoints, "_tidy", lambda self: None)  # a killed process tidies nothing
    with pytest.raises(SystemExit):
        act(7, tensors(7), {"step": 7, "which": "new"})
    monkeypatch.undo()
    again = Checkpoints(checkpoints.folder)
    found = again.best() if name == "best" else again.latest()
    assert found.facts["which"] == ("new" if fails_at == 3 else "old")
    assert torch.equal(found.tensors["step"], torch.tensor(7))
    assert names(again.folder) == [name]


class Full:
    """A file on a disk with room for so many bytes."""

    def __init__(self, file, room, code):
        self.file, self.room, self.code = file, room, code

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(self.code, os.strerror(self.code), "somewhere")
        return self.file.write(data)


def fill(monkeypatch, room: int, code: int) -> None:
    whole_file = filesystem.output_file

    def output_file(place):
        class Opened:
            def __enter__(self):
                self.block = whole_file(place)
                return Full(self.block.__enter__(), room, code)

            def __exit__(self, *error):
                return self.block.__exit__(*error)

        return Opened()

    monkeypatch.setattr(filesystem, "output_file", output_file)


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EDQUOT])
@pytest.mark.parametrize("room", [0, 300, 4000])
def test_training_goes_on_when_the_disk_is_full(checkpoints, monkeypatch, caplog, room, code):
    save(checkpoints, 1, 2)
    with monkeypatch.context() as patch:
        fill(patch, room, code)
        save(checkpoints, 3, 4)
    assert names(checkpoints.folder) == ["step-000000001", "step-000000002"]
    assert whole(checkpoints.latest())
    said = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert len(said) == 1 and str(checkpoints.folder) in said[0] and os.strerror(code) in said[0]
    save(checkpoints, 5)
    assert checkpoints.latest().step == 5
    with monkeypatch.context() as patch:
        fill(patch, room, code)
        save(checkpoints, 6)
    assert len([record for record in caplog.records if record.levelno == logging.WARNING]) == 2  # full anew


def test_a_failed_save_waits_for_its_turn(tmp_path, monkeypatch):
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    checkpoints = Checkpoints(tmp_path / "checkpoints", every=60)
    now += 60
    fill(monkeypatch, 0, errno.ENOSPC)
    save(checkpoints, 1)
    assert not checkpoints.due()


def test_other_faults_are_raised_and_the_best_must_be_written(checkpoints, monkeypatch):
    save(checkpoints, 1)
    checkpoints.save_best(1, tensors(1), {"step": 1})
    with monkeypatch.context() as patch:
        fill(patch, 300, errno.EIO)
        with pytest.raises(OSError) as caught:
            save(checkpoints, 2)
        assert caught.value.errno == errno.EIO
    with monkeypatch.context() as patch:
        fill(patch, 300, errno.ENOSPC)
        with pytest.raises(OSError) as caught:
            checkpoints.save_best(2, tensors(2), {"step": 2})
        assert caught.value.errno == errno.ENOSPC
    assert names(checkpoints.folder) == ["best", "step-000000001"]
    assert whole(checkpoints.best()) and whole(checkpoints.latest())


def _save_for_ever(folder: Path, pipe) -> None:
    """A training that is resumed, and saves after every step."""
    torch.set_num_threads(1)
    checkpoints = Checkpoints(folder, every=0)
    found = checkpoints.latest()
    step = found.step if found else 0
    while True:
        step += 1
        save(checkpoints, step)
        if step % 3 == 0:
            checkpoints.save_best(step, tensors(step), {"step": step})
        pipe.send(step)


def test_killed_at_any_moment_the_last_checkpoint_is_whole(tmp_path, caplog):
    folder, rng, reached, best_reached = tmp_path / "checkpoints", random.Random(0), 0, 0
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["torch", "ulmfit.training.checkpoint"])
    for _ in range(12):
        reader, writer = context.Pipe(duplex=False)
        process = context.Process(target=_save_for_ever, args=(folder, writer))
        process.start()
        writer.close()
        assert reader.poll(100), "the process saves"
        time.sleep(rng.uniform(0, 0.05))
        process.kill()
        process.join()
        told = reached
        try:
            while True:
                told = reader.recv()
        except EOFError:
            reader.close()
        found = Checkpoints(folder).latest()
        assert whole(found) and found.step in (told, told + 1) and found.step > reached
        best = Checkpoints(folder).best()
        if best or best_reached:
            assert whole(best) and best.step % 3 == 0 and best_reached <= best.step <= found.step
            best_reached = best.step
        assert not [name for name in names(folder) if name.startswith(".")] and len(names(folder)) <= 4
        reached = found.step
    assert best_reached and not caplog.records  # none was passed over
