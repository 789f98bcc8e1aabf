"""The command line as a process. Exit code 0: done; 2: the user's input or setting is at fault, in one line; 1: anything else."""

import errno
import io
import logging
import os
import signal
import sys
import warnings
from collections.abc import Sequence
from types import FrameType
from typing import NoReturn

import typer
from typer.exceptions import TyperException

from cli.surroundings import settle
from ulmfit.compute.pages import keep_pages
from ulmfit.errors import RunFailed, UserError
from ulmfit.training.interruption import INTERRUPTION

log = logging.getLogger("ulmfit")

# Errors of the operating system that the user can correct.
SYSTEM_FAULTS = {
    errno.ENOSPC: "no space is left on the disk; free some space and run again (finished stages and parts are kept)",
    errno.EDQUOT: "the disk quota is used up; free some space and run again (finished stages and parts are kept)",
    errno.EROFS: "the file system is read-only; choose another folder with --workspace",
    errno.EACCES: "permission denied; choose another folder, or correct its permissions",
    errno.EPERM: "not permitted; choose another folder, or correct its permissions",
}

LAST_STEP = 8.0  # seconds for a training to end its step and write a checkpoint
TRAINING = ("train", "pretrain", "retrain", "data-quantity", "ablation", "benchmark")  # commands


def main() -> NoReturn:
    """Run the command line and exit."""
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    debug = len(arguments) < len(sys.argv) - 1
    set_up(debug)
    if arguments and arguments[0] in TRAINING:
        keep_pages()  # now: numpy and pyarrow start threads when they are imported, and each thread has an arena of its own
    sys.exit(run(arguments, debug))


def run(arguments: Sequence[str], debug: bool = False) -> int:
    """Run one command; its exit code. An error of a known cause becomes one line on standard error; others, or with ``debug``, are raised."""
    from cli.app import app  # after the process is set up

    try:
        code = app(arguments)(list(arguments), standalone_mode=False)
    except typer.Abort:
        return _interrupted()
    except Exception as error:
        found = _known(error)
        if not found or (debug and not isinstance(error, TyperException)):
            raise
        code, line = found
        sys.stderr.write(f"ulmfit: {line}\n")
    return code if isinstance(code, int) else 0


def _known(error: Exception) -> tuple[int, str] | None:
    """Exit code and line of an error of a known cause."""
    match error:
        case TyperException():  # an unknown option, a missing argument
            return 2, _one_line(error.format_message())
        case UserError():
            return 2, _one_line(str(error))
        case RunFailed():
            return 1, _one_line(str(error))
        case OSError(errno=number) if number in SYSTEM_FAULTS:
            return 2, f"{error.filename or 'writing'}: {SYSTEM_FAULTS[number]}"
        case OSError(errno=errno.EIO, filename=str(place)) if place.startswith("s3://"):
            return 1, _one_line(f"{place}: {error.strerror}")
    return None


def _one_line(message: str) -> str:
    return " ".join(message.split())


def set_up(debug: bool) -> None:
    """Logs to standard error, libraries quiet unless ``debug``, and what Ctrl-C, a service manager's SIGTERM and a closed terminal do."""
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # a path that is no UTF-8, a label beyond the terminal's letters
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(asctime)s %(message)s", datefmt="%H:%M:%S", force=True)
    for name in ("ulmfit", "tasks", "flows", "cli", "dashboard"):
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.INFO)
    for name in ("distributed", "prefect", "mlflow", "alembic"):  # the command reports their failures in one line
        logging.getLogger(name).setLevel(logging.DEBUG if debug else logging.CRITICAL)
    if left_out := settle(os.environ, debug):
        log.warning("not used by ulmfit, and left out: %s", ", ".join(left_out))
    warnings.simplefilter("default" if debug else "ignore")
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, _stop)
    if signal.getsignal(signal.SIGHUP) != signal.SIG_IGN:  # as nohup has it
        signal.signal(signal.SIGHUP, _stop)


def _stop(number: int, frame: FrameType | None) -> None:
    """End within seconds: trainings write a checkpoint after their step; finished work is safe in the store. A second signal ends at once."""
    import psutil

    if not INTERRUPTION.asked:
        INTERRUPTION.ask(LAST_STEP)
    for child in psutil.Process().children(recursive=True):
        child.terminate()
    os._exit(_interrupted(number))


def _interrupted(number: int = signal.SIGINT) -> int:
    sys.stderr.write("\ninterrupted; finished stages and checkpoints are kept, and the same command continues from there\n")
    sys.stderr.flush()
    return 128 + number
