"""``ulmfit serve``: a model behind HTTP, until it is stopped."""

from __future__ import annotations

import logging
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from pydantic import BaseModel, Field

from cli.options import WORKSPACE, options_of
from ulmfit.errors import UserError

log = logging.getLogger(__name__)

LOCAL = ("127.0.0.1", "::1", "localhost")
GRACE = 30  # seconds for requests that are being answered when the server is stopped
LEAST_TOKEN = 16  # characters


class ServeRequest(BaseModel):
    """The options of ``ulmfit serve``."""

    host: str = Field("127.0.0.1", description="address to listen at; 0.0.0.0: every one of this machine")
    port: int = Field(8000, ge=0, le=65535, description="port to listen at; 0: a free one")
    token_file: str | None = Field(None, description="file that holds the token which clients have to send (Authorization: Bearer TOKEN)")
    workspace: str | None = Field(None, description=WORKSPACE)


@options_of(ServeRequest)
def serve(
    model: Annotated[str, typer.Argument(help="a model's folder, or models:/NAME@ALIAS, or models:/NAME/VERSION")], **fields: object
) -> None:
    """Predictions over HTTP: POST /predict, MLflow's /invocations, /docs. Another champion is put in use without a stop. Ctrl-C ends it."""
    request = ServeRequest.model_validate(fields)
    token = read_token(request.token_file)
    if not token and request.host not in LOCAL:
        log.warning("--host %s without --token-file: whoever reaches this machine may ask", request.host)
    with listening(request.host, request.port) as bound:
        answer(bound, model, request.workspace, token)


def read_token(file: str | None) -> str | None:
    """The token in ``file``. UserError where it holds none that a header can carry, or that is too short."""
    if file is None:
        return None
    try:
        token = Path(file).read_text(encoding="ascii").strip()
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not plain ASCII text"
        raise UserError(f"--token-file {file}: cannot be read ({reason}); name a file that holds the token") from error
    if len(token) < LEAST_TOKEN or not token.isprintable() or " " in token:
        raise UserError(
            f"--token-file {file}: holds no token of {LEAST_TOKEN} or more letters, digits and marks in one line; write one into it"
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


def answer(bound: socket.socket, model: str, workspace: str | None, token: str | None) -> None:
    """Load the model and answer until a signal comes; then answer what was asked, and return. UserError where it cannot be loaded."""
    from uvicorn import Config, Server

    from serving.app import create_app
    from serving.models import Models, source_of

    models = Models(source_of(model, workspace))
    app = create_app(models, token)
    config = Config(app, lifespan="on", timeout_graceful_shutdown=GRACE, log_config=None, access_log=False, server_header=False)
    for number in (signal.SIGINT, signal.SIGTERM):  # uvicorn raises them again when it has ended
        signal.signal(number, lambda *_: None)
    host, port = bound.getsockname()[:2]
    log.info("%s is served at http://%s:%s (how to ask: /docs)", models.now.name, f"[{host}]" if ":" in host else host, port)
    Server(config).run([bound])
    log.info("stopped")
