"""The job that the processes of a training get, and the messages that they send back, a line of JSON each."""

import ctypes
import os
import signal
import sys
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from ulmfit.training.specs import TrainingSpec

PARENT = "ULMFIT_PARENT"  # environment variable: the id of the process without which this one ends
_PR_SET_PDEATHSIG = 1


class _Frozen(BaseModel):
    model_config = ConfigDict(frozen=True)


class Job(_Frozen):
    """One training on ``processes`` processes; ``record``: the file that the leader writes its record to; ``level``: of its log lines."""

    spec: TrainingSpec
    folder: Path
    device: str
    processes: int
    threads: int
    level: int
    record: Path


class Observation(_Frozen):
    """The values of some curves at one step."""

    message: Literal["point"] = "point"
    step: int
    values: dict[str, float]


class LogLine(_Frozen):
    """A log record of the leader."""

    message: Literal["log"] = "log"
    name: str
    level: int
    text: str


class Failure(_Frozen):
    """How a rank failed. ``cause``: a UserError, an OSError (with ``errno`` and ``file``), or anything else."""

    message: Literal["failure"] = "failure"
    rank: int
    cause: Literal["user", "system", "other"]
    text: str
    errno: int | None = None
    file: str | None = None


class ExitCodes(_Frozen):
    """The exit codes of ranks that did not end well, from the launcher: rank -> code."""

    message: Literal["exit codes"] = "exit codes"
    codes: dict[int, int]


Message = Annotated[Observation | LogLine | Failure | ExitCodes, Field(discriminator="message")]
_READER: TypeAdapter[Message] = TypeAdapter(Message)


def read_message(line: bytes) -> Message:
    """The message in a line of the pipe."""
    return _READER.validate_json(line)


class Pipe:
    """The way back to the process that started the training: lines of JSON on what was standard output."""

    def __init__(self, handle: int = 1):
        self._handle = handle

    @classmethod
    def alone(cls) -> Self:
        """A pipe of its own; everything printed from now on goes to standard error."""
        handle = os.dup(1)
        os.dup2(2, 1)
        return cls(handle)

    def send(self, message: Message) -> None:
        """Write the message in one piece."""
        os.write(self._handle, message.model_dump_json().encode() + b"\n")


def die_with_parent() -> None:
    """Have the kernel kill this process when the one that started it ends (on Linux; elsewhere this is left to torchrun)."""
    if sys.platform != "linux":
        return
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != int(os.environ[PARENT]):  # it ended before that
        os._exit(1)
