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
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import ulmfit
from ulmfit.compute.devices import check_devices
from ulmfit.errors import RunFailed, UserError
from ulmfit.training.checkpoint import Checkpoints
from ulmfit.training.curves import Observer
from ulmfit.training.method import CHECKPOINTS
from ulmfit.training.placement import Placement
from ulmfit.training.processes.messages import (
    PARENT,
    ExitCodes,
    Failure,
    Job,
    LogLine,
    Message,
    Observation,
    Pipe,
    die_with_parent,
    read_message,
)
from ulmfit.training.record import TrainingRecord
from ulmfit.training.specs import TrainingSpec

log = logging.getLogger(__name__)

NAMES = {"pretrain": "pretrain", "finetune": "fine-tune", "classify": "classify"}
# Signals that end a process from outside or through its own fault; other signals may only mean that its partners are gone.
FATAL = (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)


def run_on(spec: TrainingSpec, folder: Path, place: Placement) -> TrainingRecord:
    """Train on ``place.processes`` processes, over gloo on ``cpu``, over NCCL with a GPU each on ``cuda``.

    ``place.observe`` receives the curves' points as they come. UserError and OSError of a rank are raised here as they were
    there. RunFailed where a rank ends in another way; then all have ended, and a second call continues from the last
    checkpoint, with this number of processes or another.
    """
    check_devices(place.processes, place.device)
    with tempfile.TemporaryDirectory(prefix="ulmfit-") as scratch:
        file, errors = Path(scratch) / "job.json", Path(scratch) / "errors.txt"
        job = Job(
            spec=spec,
            folder=folder.resolve(),
            device=place.device,
            processes=place.processes,
            threads=max(1, (os.cpu_count() or 1) // place.processes),
            level=logging.getLogger("ulmfit").getEffectiveLevel(),
            record=Path(scratch) / "record.json",
        )
        file.write_text(job.model_dump_json())
        with open(errors, "w") as stream:
            code, heard = _run(file, job.threads, stream, place.observe)
        if code == 0 and job.record.exists():
            return TrainingRecord.model_validate_json(job.record.read_bytes())
        log.debug("what the processes wrote to standard error:\n%s", errors.read_text(errors="replace"))
    raise _failure(job, code, heard)


@dataclass
class _Heard:
    """What went wrong, in order of arrival: failures of ranks, and exit codes (rank -> code) from the launcher."""

    failures: list[Failure] = field(default_factory=list)
    codes: dict[int, int] = field(default_factory=dict)


def _run(job: Path, threads: int, errors: IO[str], observe: Observer | None) -> tuple[int, _Heard]:
    """Start the launcher and follow it to its end; its exit code and what was heard."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ulmfit.training.processes.launcher", str(job)],
        env=_environment(threads),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,  # only this process gets Ctrl-C, and it ends the others
    )
    heard = _Heard()
    assert process.stdout is not None
    try:
        for line in process.stdout:
            _take(read_message(line), heard, observe)
        return process.wait(), heard
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


def _take(message: Message, heard: _Heard, observe: Observer | None) -> None:
    match message:
        case Observation():
            if observe:
                observe(message.step, message.values)
        case LogLine():
            logging.getLogger(message.name).log(message.level, "%s", message.text)
        case Failure():
            heard.failures.append(message)
        case ExitCodes():
            heard.codes |= message.codes


def _failure(job: Job, code: int, heard: _Heard) -> Exception:
    """The one error that says why the processes ended."""
    for failure in heard.failures:
        if failure.cause == "user":
            return UserError(failure.text)
        if failure.cause == "system":
            return OSError(failure.errno, failure.text, failure.file)
    found = Checkpoints(job.folder / CHECKPOINTS).latest()
    remedy = f"it goes on from step {found.step}" if found else "it starts from the beginning, as there is no checkpoint yet"
    name = f"{NAMES[job.spec.training]} {job.spec.direction}"
    return RunFailed(f"{name}: {_cause(job.processes, code, heard)}; run the same command again, {remedy}")


def _cause(processes: int, code: int, heard: _Heard) -> str:
    """A killed rank sends no message, and its partners fail too; otherwise the first failure is the cause."""
    ends = sorted(heard.codes.items(), key=lambda end: -end[1] not in FATAL)
    if heard.failures and not (ends and -ends[0][1] in FATAL):
        first = heard.failures[0]
        return f"process {first.rank + 1} of {processes} failed ({first.text})"
    rank, ended = ends[0] if ends else (None, code)
    how = f"died (signal {-ended})" if ended < 0 else f"ended with exit code {ended}"
    return f"torchrun {how}" if rank is None else f"process {rank + 1} of {processes} {how}"


def main(path: str) -> int:
    """The launcher: torchrun for the job in the file at ``path``; it sends the exit codes of processes that failed."""
    die_with_parent()
    pipe = Pipe()
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    processes = Job.model_validate_json(Path(path).read_bytes()).processes
    options = ["--standalone", "--local-addr=localhost", f"--nproc-per-node={processes}", "-m", "ulmfit.training.processes.rank", path]
    os.environ[PARENT] = str(os.getpid())
    try:
        torchrun.run(torchrun.parse_args(options))
    except ChildFailedError as error:
        pipe.send(ExitCodes(codes={rank: failure.exitcode for rank, failure in error.failures.items()}))
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
