"""Up, status and down."""

import fcntl
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from infra.local import postgres, supervision
from infra.local.credentials import Credentials
from infra.local.services import Service, base_environment, client_environment, services, write_files
from infra.local.stack import PORTS, ROOT, Settings, Stack
from ulmfit.errors import RunFailed, UserError

PATIENCE = 240.0  # seconds for a service to answer: the first start makes the tables of MLflow and Prefect
LOOK_EVERY = 0.5  # seconds
TOLD = 300  # letters of a reason

Say = Callable[[str], None]


@dataclass(frozen=True)
class State:
    """A service as it is now. ``fault``: why it does not answer; None where it does."""

    name: str
    state: str
    pid: int
    seconds: int
    port: int | None
    fault: str | None


def up(folder: Path, settings: Settings, postgres_password: str | None, say: Say) -> Stack:
    """Start everything that does not run, and wait until it answers. Settings count at the first start; then those of the folder do."""
    with _alone(folder.absolute()):
        return _up(folder.absolute(), settings, postgres_password, say)


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """One start or stop at a time; another waits."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / "lock", "a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _up(folder: Path, settings: Settings, postgres_password: str | None, say: Say) -> Stack:
    stack = Stack(folder, settings)
    if (folder / "settings.json").exists():
        stack = Stack.open(folder)
    if supervision.supervised(stack):
        known = services(stack, Credentials.read(stack))
        say(f"the stack in {stack.folder} runs already")
        _start_stopped(stack)
    else:
        if left := supervision.processes(stack):
            say(f"ends {len(left)} processes that a supervisor which was killed has left")
            supervision.stop(stack, 30)
        _check_ports(stack)
        stack.save()
        known = services(stack, Credentials.make(stack, postgres_password))
        write_files(stack, Credentials.read(stack))
        postgres.set_up(stack, Credentials.read(stack))
        supervision.start(stack, known)
    credentials = Credentials.read(stack)
    _wait_for_databases(stack, credentials, known)
    for service in known:
        _wait(stack, service, say)
    deploy(stack, credentials)
    return stack


def _start_stopped(stack: Stack) -> None:
    for name, found in supervision.running(stack).items():
        if found.state in ("STOPPED", "EXITED", "FATAL"):
            supervision.ask(stack).supervisor.startProcess(name, False)


def _check_ports(stack: Stack) -> None:
    """UserError where another program listens on a port of ours."""
    for name in PORTS:
        if name == "postgres" and stack.settings.postgres:
            continue
        family = socket.AF_INET6 if ":" in stack.host else socket.AF_INET
        with socket.socket(family) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((stack.host, stack.port(name)))
            except OSError as error:
                raise UserError(
                    f"{stack.host}:{stack.port(name)}, the port of {name}, cannot be used ({error.strerror}); "
                    f"end what listens there, or choose others: make stack PORT=8300 takes {len(PORTS)} ports from 8300 on"
                ) from error


def _wait_for_databases(stack: Stack, credentials: Credentials, known: Sequence[Service]) -> None:
    for service in known:
        if service.name == "postgres":
            _wait(stack, service, lambda _: None)
    postgres.make_databases(stack, credentials)


def _wait(stack: Stack, service: Service, say: Say) -> None:
    deadline, reason = time.monotonic() + PATIENCE, ""
    while time.monotonic() < deadline:
        if not (reason := fault(service) or ""):
            return say(f"{service.name} answers")
        time.sleep(LOOK_EVERY)
    log = stack.logs / f"{service.name}.log"
    raise RunFailed(f"{service.name} does not answer within {PATIENCE:.0f} s ({reason}); it says: {last_line(log)}; see {log}")


def fault(service: Service) -> str | None:
    """Why a service does not answer."""
    try:
        service.check()
    except Exception as error:
        return " ".join(f"{error or type(error).__name__}".split())[:TOLD]
    return None


def last_line(log: Path) -> str:
    """What a service said last."""
    lines = [line for line in log.read_text(errors="replace").splitlines() if line.strip()] if log.exists() else []
    return lines[-1].strip()[:TOLD] if lines else "nothing"


def deploy(stack: Stack, credentials: Credentials) -> None:
    """Our deployments and automations on the Prefect server."""
    environment = base_environment() | client_environment(stack, credentials)
    done = subprocess.run(
        [sys.executable, "-P", "-m", "ulmfit", "deploy"], env=environment, cwd=ROOT, capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RunFailed(f"the deployments cannot be made: {' '.join(done.stderr.split())[-TOLD:]}")


def status(stack: Stack) -> list[State]:
    """Each service as the supervisor sees it, and whether it answers."""
    found, now = supervision.running(stack), int(time.time())
    states = []
    for service in services(stack, Credentials.read(stack)):
        seen = found.get(service.name)
        why = "the supervisor does not run" if not found else "it is not known to the supervisor; start again: make stack-down stack"
        if seen:
            why = fault(service) or ""
            states.append(State(service.name, seen.state, seen.pid, now - seen.since if seen.pid else 0, service.port, why or None))
        else:
            states.append(State(service.name, "STOPPED", 0, 0, service.port, why))
    return states


def down(stack: Stack) -> int:
    """Stop everything; how many processes did not stop by themselves."""
    patience = sum(service.patience for service in services(stack, Credentials.read(stack)))
    with _alone(stack.folder):
        return supervision.stop(stack, patience)
