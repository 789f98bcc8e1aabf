"""One process of a training, started by torchrun: it reads the job, trains, and reports to the process that started the training."""

import logging
import os
import sys
import traceback
from datetime import timedelta
from pathlib import Path

import torch
import torch.distributed as dist

from ulmfit.errors import UserError
from ulmfit.store.filesystem import write_bytes
from ulmfit.training.method import carry_out
from ulmfit.training.placement import Placement
from ulmfit.training.processes.messages import Failure, Job, LogLine, Observation, Pipe, die_with_parent
from ulmfit.training.processes.team import Team

PATIENCE = timedelta(days=2)  # while the leader validates; torchrun notices dead processes
LONGEST = 900  # characters of an error's text: up to 4 kB a line on a pipe stays whole


class _Relay(logging.Handler):
    """Log records as messages."""

    def __init__(self, pipe: Pipe):
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        self._pipe.send(LogLine(name=record.name, level=record.levelno, text=record.getMessage()))


def main(path: str) -> int:
    """A rank: train the job in the file at ``path``; 0, or 1 where it failed and has sent the failure."""
    die_with_parent()
    pipe, rank = Pipe.alone(), int(os.environ["RANK"])
    try:
        _train(Job.model_validate_json(Path(path).read_bytes()), pipe)
    except UserError as error:
        pipe.send(Failure(rank=rank, cause="user", text=str(error)))
    except OSError as error:
        pipe.send(Failure(rank=rank, cause="system", text=error.strerror or _line(error), errno=error.errno, file=error.filename))
    except Exception as error:
        pipe.send(Failure(rank=rank, cause="other", text=_line(error)))
        traceback.print_exc()
    else:
        return 0
    return 1


def _train(job: Job, pipe: Pipe) -> None:
    torch.set_num_threads(job.threads)
    device = job.device
    if device.startswith("cuda"):
        device = f"cuda:{os.environ['LOCAL_RANK']}"
        torch.cuda.set_device(device)
        dist.init_process_group("nccl", timeout=PATIENCE, device_id=torch.device(device))
    else:
        dist.init_process_group("gloo", timeout=PATIENCE)
    team = Team.of_group()
    if team.leads:
        _speak(pipe, job.level)
    observe = (lambda step, values: pipe.send(Observation(step=step, values=dict(values)))) if team.leads else None
    record = carry_out(job.spec, job.folder, Placement(device, observe=observe, team=team))
    if team.leads:
        write_bytes(job.record, record.model_dump_json().encode())
    dist.destroy_process_group()


def _speak(pipe: Pipe, level: int) -> None:
    """Send the leader's log lines to the user."""
    logger = logging.getLogger("ulmfit")
    logger.setLevel(level)
    logger.addHandler(_Relay(pipe))
    logger.propagate = False


def _line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"[:LONGEST]


if __name__ == "__main__":
    code = main(sys.argv[1])
    sys.stderr.flush()
    os._exit(code)  # at once, as the rest of a broken group may wait for its partners
