"""What the commands that serve over HTTP share: the token's file, the socket, and answering until a signal comes."""

from __future__ import annotations

import signal
import socket
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from ulmfit.errors import UserError

if TYPE_CHECKING:
    from starlette.types import ASGIApp

LOCAL = ("127.0.0.1", "::1", "localhost")
GRACE = 30  # seconds for requests that are being answered when the server is stopped
KEEP_ALIVE = 75  # seconds for which an idle connection stays: longer than proxies keep theirs, which would meet a closed one
LEAST_TOKEN = 16  # characters
HOSTS = "name by which the server is asked, where no token is: a proxy's, or of this machine in the network"


def read_token(file: str | None, option: str) -> str | None:
    """The token in ``file``, which ``option`` names. UserError where it holds none that a header can carry, or that is too short."""
    if file is None:
        return None
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not plain ASCII text"
        raise UserError(f"{option} {file}: cannot be read ({reason}); name a file that holds the token") from error
    if len(token) < LEAST_TOKEN or not token.isprintable() or " " in token:
        raise UserError(
            f"{option} {file}: holds no token of {LEAST_TOKEN} or more letters, digits and marks in one line; write one into it"
        )
    return token


@contextmanager
def listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket that listens there. UserError where it cannot."""
    try:
        family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
        bound = socket.socket(family, kind, protocol)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind(address)
    except (OSError, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or "no such address"
        raise UserError(f"--host {host} --port {port}: cannot listen there ({reason}); name another") from error
    with bound:
        yield bound


def address(bound: socket.socket) -> str:
    """The URL of what listens there."""
    host, port = bound.getsockname()[:2]
    return f"http://{f'[{host}]' if ':' in host else host}:{port}"


def answer(app: ASGIApp, bound: socket.socket, names: Collection[str] | None) -> None:
    """Answer until a signal comes; then answer what was asked, and return. ``names``: to which requests may be; None: to any."""
    from uvicorn import Config, Server

    from cli.hosts import KnownHosts

    config = Config(
        app if names is None else KnownHosts(app, names),
        lifespan="on",
        timeout_keep_alive=KEEP_ALIVE,
        timeout_graceful_shutdown=GRACE,
        log_config=None,
        access_log=False,
        server_header=False,
    )
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them again when it has ended
        signal.signal(number, lambda *_: None)
    Server(config).run([bound])
