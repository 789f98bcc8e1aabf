"""One process of a training stage: what it reads, calls, and tells the process that started the training."""

from __future__ import annotations

import ctypes
import json
import logging
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

from ulmfit.config import ClassifierConfig, LMConfig, ModelConfig
from ulmfit.errors import UserError
from ulmfit.shards.documents import Documents
from ulmfit.store.artifacts import write_atomic
from ulmfit.text.vocab import Vocab
from ulmfit.training import trainings
from ulmfit.training.loop import Run
from ulmfit.training.processes.team import Team

PARENT = "ULMFIT_PARENT"  # the id of the process without which this one is to end
PATIENCE = timedelta(days=2)  # with the leader, which alone validates; a process that is dead is noticed by torchrun
LONGEST = 900  # letters of an error's message: a line on a pipe is whole up to 4 kB
_PR_SET_PDEATHSIG = 1


def call(stage: str, arguments: Mapping[str, Any], folder: Path, run: Run) -> dict[str, Any]:
    """``stages.<stage>`` on what ``arguments`` name, which can be written down as JSON and read by another process.

    They are the function's own, but for ``ids``, the folder of the id shards; ``train`` and ``valid``, splits of them;
    ``vocab``, the path of the file; and settings, which may also come as plain JSON.
    """
    ids = Path(arguments["ids"])
    config = ClassifierConfig if stage == "train_classifier" else LMConfig
    readers: dict[str, Callable[[Any], Any]] = {
        "train": lambda splits: Documents.open(ids, splits),
        "valid": lambda splits: Documents.open(ids, splits),
        "vocab": lambda path: Vocab.load(Path(path)),
        "model": ModelConfig.model_validate,
        "config": config.model_validate,
        "pretrained": Path,
        "lm": lambda path: path and Path(path),
    }
    given = {name: readers.get(name, lambda value: value)(value) for name, value in arguments.items() if name != "ids"}
    return getattr(trainings, stage)(**given, folder=folder, run=run)


class Events:
    """The way back: lines of JSON on the pipe that standard output is."""

    def __init__(self, pipe: int = 1):
        self._pipe = pipe

    @classmethod
    def alone(cls) -> Events:
        """All else that is printed from now on goes to standard error."""
        pipe = os.dup(1)
        os.dup2(2, 1)
        return cls(pipe)

    def send(self, **event: Any) -> None:
        os.write(self._pipe, json.dumps(event, ensure_ascii=False).encode() + b"\n")


class _Relay(logging.Handler):
    """Log records as events."""

    def __init__(self, events: Events):
        super().__init__()
        self._events = events

    def emit(self, record: logging.LogRecord) -> None:
        self._events.send(log=[record.name, record.levelno, record.getMessage()])


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends (on Linux; elsewhere torchrun's own means must do)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[PARENT]):  # it ended before that
        os._exit(1)


def main(path: str) -> int:
    """A rank: train as the file at ``path`` says; 0, or 1 where it failed and has told so."""
    die_with_parent()
    events, rank = Events.alone(), int(os.environ["RANK"])
    try:
        _train(json.loads(Path(path).read_text()), events)
    except UserError as error:
        events.send(rank=rank, error="user", message=str(error))
    except OSError as error:
        events.send(rank=rank, error="system", errno=error.errno, message=error.strerror or _line(error), file=error.filename)
    except Exception as error:
        events.send(rank=rank, error="other", message=_line(error))
        traceback.print_exc()
    else:
        return 0
    return 1


def _train(spec: dict[str, Any], events: Events) -> None:
    torch.set_num_threads(spec["threads"])
    device = spec["device"]
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=PATIENCE, device_id=torch.device(device))
    else:
        dist.init_process_group("gloo", timeout=PATIENCE)
    team = Team.of_group()
    if team.leads:
        _speak(events, spec["level"])
    observe = (lambda step, values: events.send(step=step, values=dict(values))) if team.leads else None
    record = call(spec["stage"], spec["arguments"], Path(spec["folder"]), Run(device, observe, team=team))
    if team.leads:
        write_atomic(Path(spec["record"]), json.dumps(record).encode())
    dist.destroy_process_group()


def _speak(events: Events, level: int) -> None:
    """What the leader logs is for the user to see."""
    logger = logging.getLogger("ulmfit")
    logger.setLevel(level)
    logger.addHandler(_Relay(events))
    logger.propagate = False


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST]


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stderr.flush()
    os._exit(code)  # at once: what is left of a broken group may wait for its partners
