"""One process of a training, started by torchrun: it reads the job, trains, and reports to the process that started the training."""

import logging
import os
import signal
import sys
import traceback
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from ulmfit.compute.parent import die_with_parent
from ulmfit.compute.precision import take_gain
from ulmfit.errors import UserError
from ulmfit.store.filesystem import write_bytes
from ulmfit.training.interruption import INTERRUPTION
from ulmfit.training.method import train
from ulmfit.training.placement import Placement
from ulmfit.training.processes.launcher import Failure, Job, LogLine, Observation, send
from ulmfit.training.processes.team import Team

PATIENCE = timedelta(days=2)  # while the leader validates; torchrun notices dead processes
LONGEST = 900  # characters of an error's text: up to 4 kB a line on a pipe stays whole


class _Relay(logging.Handler):
    """Log records as messages."""

    def __init__(self, pipe: int):
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        send(LogLine(name=record.name, level=record.levelno, text=record.getMessage()), self._pipe)


def main(path: str) -> int:
    """A rank: train the job in the file at ``path``; 0, or 1 where it failed and has sent the failure."""
    die_with_parent()
    signal.signal(signal.SIGTERM, lambda *_: INTERRUPTION.ask())
    pipe, rank = os.dup(1), int(os.environ["RANK"])
    os.dup2(2, 1)  # what is printed from now on goes to standard error
    try:
        _train(Job.model_validate_json(Path(path).read_bytes()), pipe)
    except UserError as error:
        send(Failure(rank=rank, cause="user", text=str(error)), pipe)
    except OSError as error:
        send(Failure(rank=rank, cause="system", text=error.strerror or _line(error), errno=error.errno, file=error.filename), pipe)
    except Exception as error:
        send(Failure(rank=rank, cause="other", text=_line(error)), pipe)
        traceback.print_exc()
    else:
        return 0
    return 1


def _train(job: Job, pipe: int) -> None:
    torch.set_num_threads(job.threads)
    take_gain(job.bf16_gain)
    device = job.device
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=PATIENCE, device_id=torch.device(device))
    else:
        dist.init_process_group("gloo", timeout=PATIENCE)
    team = Team.of_group()
    observe = None
    if team.leads:  # its curves and log lines go to the user
        observe = lambda step, values: send(Observation(step=step, values=dict(values)), pipe)
        logger = logging.getLogger("ulmfit")
        logger.setLevel(job.level)
        logger.addHandler(_Relay(pipe))
        logger.propagate = False
    record = train(job.spec, job.folder, Placement(device, observe=observe, team=team))
    if team.leads:
        write_bytes(job.record, record.model_dump_json().encode())
    dist.destroy_process_group()


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST]


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stderr.flush()
    os._exit(code)  # at once, as the rest of a broken group may wait for its partners
