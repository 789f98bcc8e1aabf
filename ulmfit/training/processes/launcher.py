"""A training on several processes of one machine, started by torchrun.

``run_on`` starts this module as a program, the launcher, which has torchrun start the ranks (``rank.py``). Launcher and ranks send
messages, a line of JSON each, on one pipe; the pipe closes when all of them have ended. None outlives its parent.
"""

import logging
import os
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import IO, Annotated, Literal

from pydantic import Field, TypeAdapter

import ulmfit
from ulmfit.compute.cores import cores
from ulmfit.compute.devices import check_devices
from ulmfit.compute.parent import PARENT, die_with_parent
from ulmfit.compute.precision import gain
from ulmfit.errors import RunFailed, UserError
from ulmfit.store.json import Facts
from ulmfit.training.checkpoint import FOLDER, Checkpoints
from ulmfit.training.curves import Observer
from ulmfit.training.interruption import INTERRUPTION
from ulmfit.training.placement import Placement
from ulmfit.training.specs import TrainingRecord, TrainingSpec

log = logging.getLogger(__name__)

NAMES = {"pretrain": "pretrain", "finetune": "fine-tune", "classify": "classify"}
# Signals that end a process from outside or through its own fault; other signals may only mean that its partners are gone.
FATAL = (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)


class Job(Facts):
    """One training on ``processes`` processes; ``record``: the file that the leader writes its record to; ``level``: of its log lines."""

    spec: TrainingSpec
    folder: Path
    device: str
    processes: int
    threads: int
    bf16_gain: float
    level: int
    record: Path


class Observation(Facts):
    """The values of some curves at one step."""

    message: Literal["point"] = "point"
    step: int
    values: dict[str, float]


class LogLine(Facts):
    """A log record of the leader."""

    message: Literal["log"] = "log"
    name: str
    level: int
    text: str


class Failure(Facts):
    """How a rank failed. ``cause``: a UserError, an OSError (with ``errno`` and ``file``), or anything else."""

    message: Literal["failure"] = "failure"
    rank: int
    cause: Literal["user", "system", "other"]
    text: str
    errno: int | None = None
    file: str | None = None


class ExitCodes(Facts):
    """The exit codes of ranks that did not end well, from the launcher: rank -> code."""

    message: Literal["exit codes"] = "exit codes"
    codes: dict[int, int]


Message = Annotated[Observation | LogLine | Failure | ExitCodes, Field(discriminator="message")]
_READER: TypeAdapter[Message] = TypeAdapter(Message)


def send(message: Message, pipe: int) -> None:
    """Write the message as a line of JSON, in one piece, to the file descriptor ``pipe``."""
    os.write(pipe, message.model_dump_json().encode() + b"\n")


def run_on(spec: TrainingSpec, folder: Path, place: Placement) -> TrainingRecord:
    """Train on ``place.processes`` processes, over gloo on ``cpu``, over NCCL with a GPU each on ``cuda``.

    UserError and OSError of a rank are raised here too; RunFailed where a rank ends in another way. Then all have ended, and a
    second call continues from the last checkpoint, with this number of processes or another.
    """
    check_devices(place.processes, place.device)
    with tempfile.TemporaryDirectory(prefix="ulmfit-") as scratch:
        file, errors = Path(scratch) / "job.json", Path(scratch) / "errors.txt"
        job = Job(
            spec=spec,
            folder=folder.resolve(),
            device=place.device,
            processes=place.processes,
            threads=max(1, cores() // place.processes),
            bf16_gain=gain() if place.device == "cpu" else 0.0,
            level=logging.getLogger("ulmfit").getEffectiveLevel(),
            record=Path(scratch) / "record.json",
        )
        file.write_text(job.model_dump_json())
        with open(errors, "w") as stream:
            code, ends = _run(file, job.threads, stream, place.observe)
        if code == 0 and job.record.exists():
            return TrainingRecord.model_validate_json(job.record.read_bytes())
        log.debug("what the processes wrote to standard error:\n%s", errors.read_text(errors="replace"))
    raise _failure(job, code, ends)


def _run(job: Path, threads: int, errors: IO[str], observe: Observer | None) -> tuple[int, list[Failure | ExitCodes]]:
    """Start the launcher and follow it to its end; its exit code, and what went wrong, in order of arrival."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ulmfit.training.processes.launcher", str(job)],
        env=_environment(threads),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,  # only this process gets Ctrl-C, and it ends the others
    )
    ends: list[Failure | ExitCodes] = []
    assert process.stdout is not None
    try:
        with INTERRUPTION.awaited(process.terminate):  # torchrun passes the signal on to the ranks, and waits for them
            for line in process.stdout:
                match _READER.validate_json(line):
                    case Observation(step=step, values=values):
                        if observe:
                            observe(step, values)
                    case LogLine(name=name, level=level, text=text):
                        logging.getLogger(name).log(level, "%s", text)
                    case end:
                        ends.append(end)
            return process.wait(), ends
    finally:
        process.kill()  # the ranks go with it
        process.stdout.read()  # to the end, when the last of them has let go
        process.stdout.close()
        process.wait()


def _environment(threads: int) -> dict[str, str]:
    """This process's environment, with the same package to import, and nothing from the current folder."""
    home = str(Path(ulmfit.__file__).parents[1])
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    own = {PARENT: str(os.getpid()), "OMP_NUM_THREADS": str(threads), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    local = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}  # else the host's name has to lead to it
    return {**local, **os.environ, **own}


def _failure(job: Job, code: int, ends: list[Failure | ExitCodes]) -> Exception:
    """The one error that says why the processes ended."""
    failures = [end for end in ends if isinstance(end, Failure)]
    for failure in failures:
        if failure.cause == "user":
            return UserError(failure.text)
        if failure.cause == "system":
            return OSError(failure.errno, failure.text, failure.file)
    codes = [pair for end in ends if isinstance(end, ExitCodes) for pair in end.codes.items()]
    found = Checkpoints(job.folder / FOLDER).latest()
    remedy = f"it goes on from step {found.step}" if found else "it starts from the beginning, as there is no checkpoint yet"
    name = f"{NAMES[job.spec.training]} {job.spec.direction}"
    return RunFailed(f"{name}: {_cause(job.processes, code, failures, codes)}; run the same command again, {remedy}")


def _cause(processes: int, code: int, failures: list[Failure], codes: list[tuple[int, int]]) -> str:
    """A killed rank sends no message, and its partners fail too; otherwise the first failure is the cause. ``codes``: of each rank."""
    codes = sorted(codes, key=lambda end: -end[1] not in FATAL)
    if failures and not (codes and -codes[0][1] in FATAL):
        return f"process {failures[0].rank + 1} of {processes} failed ({failures[0].text})"
    rank, ended = codes[0] if codes else (None, code)
    how = f"died (signal {-ended})" if ended < 0 else f"ended with exit code {ended}"
    return f"torchrun {how}" if rank is None else f"process {rank + 1} of {processes} {how}"


def main(path: str) -> int:
    """The launcher: torchrun for the job in the file at ``path``; it sends the exit codes of processes that failed."""
    die_with_parent()
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    processes = Job.model_validate_json(Path(path).read_bytes()).processes
    options = ["--standalone", "--local-addr=localhost", f"--nproc-per-node={processes}", "-m", "ulmfit.training.processes.rank", path]
    os.environ[PARENT] = str(os.getpid())
    try:
        torchrun.run(torchrun.parse_args(options))
    except ChildFailedError as error:
        send(ExitCodes(codes={rank: failure.exitcode for rank, failure in error.failures.items()}), pipe=1)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
