"""A training stage on several processes of one machine, started by torchrun.

``run_on`` starts this module as a program, the launcher, and that has torchrun start the ranks (``worker.py``). Launcher and
ranks tell what happens in events, a line of JSON each, on one pipe: its end says that all of them are gone. None outlives
its parent, however that ends.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import torch
from pydantic import BaseModel

import ulmfit
from ulmfit.errors import RunFailed, UserError
from ulmfit.training.checkpoint import Checkpoints
from ulmfit.training.curves import Observer
from ulmfit.training.processes.rank import PARENT, Events, die_with_parent
from ulmfit.training.trainings import CHECKPOINTS

log = logging.getLogger(__name__)

NAMES = {"pretrain": "pretrain", "finetune": "fine-tune", "train_classifier": "classify"}
# What ends a process from outside, or through a fault of its own; of the others some are how processes end that lost a partner.
FATAL = (signal.SIGKILL, signal.SIGSEGV, signal.SIGBUS, signal.SIGILL, signal.SIGFPE)


def check_devices(devices: int, device: str) -> None:
    """UserError where there are fewer GPUs than processes."""
    if device.startswith("cuda") and devices > (found := torch.cuda.device_count()):
        raise UserError(f"--devices {devices}: torch sees {found} CUDA devices; give --devices {max(1, found)}, or --device cpu")


def run_on(
    devices: int, device: str, stage: str, arguments: Mapping[str, Any], folder: Path, observe: Observer | None = None
) -> dict[str, Any]:
    """The record of ``stages.<stage>`` run on ``devices`` processes, over gloo on ``cpu``, over NCCL on ``cuda``, a GPU each.

    ``arguments``: as :func:`ulmfit.training.processes.rank.call` takes them. ``observe`` is told the curves' points as they come.
    UserError and OSError of a rank are raised here as they were there. RunFailed where a rank ends in another way; then all
    have ended, and a second call goes on from the last checkpoint, with this number of processes or another.
    """
    check_devices(devices, device)
    with tempfile.TemporaryDirectory(prefix="ulmfit-") as place:
        record, errors = Path(place) / "record.json", Path(place) / "errors.txt"
        spec = {
            "stage": stage,
            "arguments": plain(arguments),
            "folder": str(folder.resolve()),
            "device": device,
            "devices": devices,
            "threads": max(1, (os.cpu_count() or 1) // devices),
            "level": logging.getLogger("ulmfit").getEffectiveLevel(),
            "record": str(record),
        }
        (Path(place) / "spec.json").write_text(json.dumps(spec))
        with open(errors, "w") as file:
            code, heard = _run(Path(place) / "spec.json", spec["threads"], file, observe)
        if code == 0 and record.exists():
            return json.loads(record.read_text())
        log.debug("what the processes wrote to standard error:\n%s", errors.read_text(errors="replace"))
    raise _failure(f"{NAMES[stage]} {arguments['direction']}", devices, code, heard, folder)


def plain(value: Any) -> Any:
    """``value`` as JSON has it: settings as objects, paths as strings."""
    if isinstance(value, BaseModel):
        return value.model_dump(mode="json")
    if isinstance(value, Mapping):
        return {name: plain(item) for name, item in value.items()}
    return [plain(item) for item in value] if isinstance(value, list | tuple) else str(value) if isinstance(value, Path) else value


@dataclass
class _Heard:
    """What went wrong, in the order in which it was told: errors of ranks, and exit codes (rank -> code) from the launcher."""

    errors: list[dict[str, Any]] = field(default_factory=list)
    codes: dict[int, int] = field(default_factory=dict)


def _run(spec: Path, threads: int, errors: IO[str], observe: Observer | None) -> tuple[int, _Heard]:
    """Start the launcher and follow it to its end; its exit code and what was heard."""
    process = subprocess.Popen(
        [sys.executable, "-m", "ulmfit.training.processes.launcher", str(spec)],
        env=_environment(threads),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=errors,
        start_new_session=True,  # Ctrl-C is for this process alone, which ends the others
    )
    heard = _Heard()
    assert process.stdout is not None
    try:
        for line in process.stdout:
            _take(json.loads(line), heard, observe)
        return process.wait(), heard
    finally:
        process.kill()  # the ranks go with it
        process.stdout.read()  # to the end, when the last of them has let go
        process.stdout.close()
        process.wait()


def _environment(threads: int) -> dict[str, str]:
    """This process's, with the same package to import, and nothing from the folder it happens to be in."""
    home = str(Path(ulmfit.__file__).parents[1])
    path = os.pathsep.join(filter(None, [home, os.environ.get("PYTHONPATH")]))
    own = {PARENT: str(os.getpid()), "OMP_NUM_THREADS": str(threads), "PYTHONPATH": path, "PYTHONSAFEPATH": "1"}
    local = {"GLOO_SOCKET_IFNAME": "lo"} if sys.platform == "linux" else {}  # else the host's name has to lead to it
    return {**local, **os.environ, **own}


def _take(event: dict[str, Any], heard: _Heard, observe: Observer | None) -> None:
    if "values" in event:
        if observe:
            observe(event["step"], event["values"])
    elif "log" in event:
        name, level, message = event["log"]
        logging.getLogger(name).log(level, "%s", message)
    elif "error" in event:
        heard.errors.append(event)
    else:
        heard.codes |= {int(rank): code for rank, code in event["codes"].items()}


def _failure(name: str, devices: int, code: int, heard: _Heard, folder: Path) -> Exception:
    """The one error that says why the processes ended."""
    for error in heard.errors:
        if error["error"] == "user":
            return UserError(error["message"])
        if error["error"] == "system":
            return OSError(error["errno"], error["message"], error["file"])
    found = Checkpoints(folder / CHECKPOINTS).latest()
    remedy = f"it goes on from step {found.step}" if found else "it begins anew, as there is no checkpoint yet"
    return RunFailed(f"{name}: {_cause(devices, code, heard)}; run the same command again, {remedy}")


def _cause(devices: int, code: int, heard: _Heard) -> str:
    """A rank that was killed tells nothing itself, and those that miss it fail too; otherwise the first that told is the cause."""
    ends = sorted(heard.codes.items(), key=lambda end: -end[1] not in FATAL)
    if heard.errors and not (ends and -ends[0][1] in FATAL):
        first = heard.errors[0]
        return f"process {first['rank'] + 1} of {devices} failed ({first['message']})"
    rank, ended = ends[0] if ends else (None, code)
    how = f"died (signal {-ended})" if ended < 0 else f"ended with exit code {ended}"
    return f"torchrun {how}" if rank is None else f"process {rank + 1} of {devices} {how}"


def main(spec: str) -> int:
    """The launcher: torchrun for the processes that the file ``spec`` asks for; it tells how they ended where that was not well."""
    die_with_parent()
    events = Events()
    from torch.distributed import run as torchrun
    from torch.distributed.elastic.multiprocessing.errors import ChildFailedError

    devices = json.loads(Path(spec).read_text())["devices"]
    options = ["--standalone", "--local-addr=localhost", f"--nproc-per-node={devices}", "-m", "ulmfit.training.processes.rank", spec]
    os.environ[PARENT] = str(os.getpid())
    try:
        torchrun.run(torchrun.parse_args(options))
    except ChildFailedError as error:
        events.send(codes={rank: failure.exitcode for rank, failure in error.failures.items()})
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
