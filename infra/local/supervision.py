"""The supervisor (``supervisord``), which starts the services and starts again what dies."""

import os
import shlex
import subprocess
import sys
import time
import xmlrpc.client
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import psutil
from supervisor.xmlrpc import SupervisorTransport

from infra.local.files import write_private
from infra.local.services import MARK, Service, base_environment
from infra.local.stack import Stack
from ulmfit.errors import RunFailed

START_SECONDS = 20.0  # for the supervisor itself
LEFT_SECONDS = 15.0  # for processes without a supervisor, from the signal to the end
LOG_BYTES, LOGS = "10MB", 3  # of each service


@dataclass(frozen=True)
class Running:
    """What the supervisor says of a service. ``since``: seconds since 1970, of its last start."""

    state: str
    pid: int
    since: int


def write_configuration(stack: Stack, known: Sequence[Service]) -> Path:
    """The supervisor's file. It holds no secret."""
    file = stack.supervisor / "supervisord.conf"
    head = f"""[supervisord]
logfile={_plain(stack.logs / "supervisor.log")}
logfile_maxbytes={LOG_BYTES}
logfile_backups={LOGS}
pidfile={_plain(stack.supervisor / "pid")}
directory={_plain(stack.scratch)}
childlogdir={_plain(stack.logs)}
umask=077

[unix_http_server]
file={_plain(_socket(stack))}
chmod=0700

[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
"""
    write_private(file, "\n".join([head, *(_program(stack, number, service) for number, service in enumerate(known))]))
    return file


def _program(stack: Stack, number: int, service: Service) -> str:
    """Services are stopped in the opposite order of their numbers."""
    command = shlex.join([sys.executable, "-P", "-m", "infra.local.launch", str(stack.folder), service.name])
    return f"""[program:{service.name}]
command={_plain(command)}
priority={number + 1}
autorestart=true
startsecs=3
startretries=1000
stopsignal={service.signal}
stopwaitsecs={service.patience:.0f}
killasgroup=true
redirect_stderr=true
stdout_logfile={_plain(stack.logs / f"{service.name}.log")}
stdout_logfile_maxbytes={LOG_BYTES}
stdout_logfile_backups={LOGS}
"""


def _plain(text: object) -> str:
    """Text in the supervisor's file, which expands what follows a %."""
    return str(text).replace("%", "%%")


def _socket(stack: Stack) -> Path:
    return stack.supervisor / "socket"


def ask(stack: Stack) -> "xmlrpc.client.ServerProxy":
    """The supervisor, to be asked."""
    return xmlrpc.client.ServerProxy("http://stack", SupervisorTransport(serverurl=f"unix://{_socket(stack)}"))


def supervised(stack: Stack) -> bool:
    """Whether the supervisor runs."""
    try:
        ask(stack).supervisor.getState()
    except (OSError, xmlrpc.client.Error):
        return False
    return True


def start(stack: Stack, known: Sequence[Service]) -> None:
    """Start the supervisor, which then starts the services."""
    file = write_configuration(stack, known)
    environment = base_environment() | {MARK: str(stack.folder)}
    done = subprocess.run(
        [sys.executable, "-P", "-m", "supervisor.supervisord", "-c", file],
        env=environment,
        cwd=stack.scratch,
        capture_output=True,
        text=True,
    )
    deadline = time.monotonic() + START_SECONDS
    while not supervised(stack):
        if done.returncode or time.monotonic() > deadline:
            raise RunFailed(f"the supervisor does not start ({' '.join(done.stderr.split())[-300:]}); see {stack.logs / 'supervisor.log'}")
        time.sleep(0.1)


def running(stack: Stack) -> dict[str, Running]:
    """The services by name; none where the supervisor does not run."""
    try:
        told = ask(stack).supervisor.getAllProcessInfo()
    except (OSError, xmlrpc.client.Error):
        return {}
    return {one["name"]: Running(one["statename"], one["pid"], one["start"]) for one in cast(list[dict[str, Any]], told)}


def processes(stack: Stack) -> list[psutil.Process]:
    """All processes of the stack: supervisor, services, and what they have started."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.pid != os.getpid() and process.environ().get(MARK) == str(stack.folder):
                found.append(process)
        except psutil.Error:
            continue
    return found


def stop(stack: Stack, patience: float) -> int:
    """Stop everything, and end what has not stopped after so many seconds; how many processes had to be ended so."""
    supervisor = _supervisor(stack)
    if supervisor:
        ask(stack).supervisor.shutdown()  # services one after the other, the last one first
        psutil.wait_procs([supervisor], patience)
    else:
        for process in processes(stack):  # of a supervisor that was killed
            _signalled(process)
    deadline = time.monotonic() + LEFT_SECONDS  # for what services have started and left behind
    while (left := processes(stack)) and time.monotonic() < deadline:
        time.sleep(0.2)
    for process in left:
        try:
            process.kill()
        except psutil.Error:
            continue
    psutil.wait_procs(left, 10)
    return len(left)


def _supervisor(stack: Stack) -> psutil.Process | None:
    """Its process; None where it does not run."""
    if not supervised(stack):
        return None
    return psutil.Process(ask(stack).supervisor.getPID())


def _signalled(process: psutil.Process) -> None:
    try:
        process.terminate()
    except psutil.Error:
        return
