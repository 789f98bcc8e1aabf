"""``python -m infra.local.launch FOLDER NAME``: becomes the service, once what it needs answers. So the order holds at every restart."""

import os
import pwd
import signal
import sys
import time
from pathlib import Path

from infra.local.credentials import Credentials
from infra.local.services import MARK, Service, base_environment, services
from infra.local.stack import Stack

LOOK_EVERY, TELL_EVERY = 0.5, 30.0  # seconds


def launch(folder: Path, name: str) -> None:
    """Wait, then run the service in place of this process: its secrets are in no file of the supervisor's and on no command line."""
    stack = Stack.open(folder)
    known = {service.name: service for service in services(stack, Credentials.read(stack))}
    service = known[name]
    for needed in service.needs:
        if needed in known:
            _wait(known[needed])
    environment = {**base_environment(), **service.environment, MARK: str(stack.folder)}
    os.chdir(stack.scratch if service.user is None else "/")
    if service.user:
        _become(service.user)
    # A shell that starts something in the background lets it ignore SIGINT, which would be inherited; a worker of Prefect's then never ends.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    os.execve(service.command[0], [str(argument) for argument in service.command], environment)


def _wait(service: Service) -> None:
    told = -TELL_EVERY
    while True:
        try:
            return service.check()
        except Exception as error:
            if time.monotonic() - told > TELL_EVERY:
                print(f"waits for {service.name}: {error}", flush=True)
                told = time.monotonic()
            time.sleep(LOOK_EVERY)


def _become(user: str) -> None:
    found = pwd.getpwnam(user)
    os.setgroups([])
    os.setgid(found.pw_gid)
    os.setuid(found.pw_uid)


if __name__ == "__main__":
    launch(Path(sys.argv[1]), sys.argv[2])
