"""``ulmfit serve``: a model behind HTTP, until it is stopped."""

from __future__ import annotations

import logging
import socket
from typing import Annotated

import typer
from pydantic import BaseModel, Field

from cli.http_server import HOSTS, LOCAL, address, answer, listening, read_token
from cli.options import WORKSPACE, options_of

log = logging.getLogger(__name__)


class ServeRequest(BaseModel):
    """The options of ``ulmfit serve``."""

    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0: all addresses of this machine")
    port: int = Field(8000, ge=0, le=65535, description="port to listen on; 0: a free one")
    token_file: str | None = Field(None, description="file with the token that clients have to send (Authorization: Bearer TOKEN)")
    allowed_host: list[str] = Field([], description=HOSTS)
    workspace: str | None = Field(None, description=WORKSPACE)


@options_of(ServeRequest)
def serve(
    model: Annotated[str, typer.Argument(help="a model's folder, or models:/NAME@ALIAS, or models:/NAME/VERSION")], **fields: object
) -> None:
    """Predictions over HTTP: POST /predict, MLflow's /invocations, /docs. Another champion is put in use without a stop. Ctrl-C ends it."""
    request = ServeRequest.model_validate(fields)
    token = read_token(request.token_file, "--token-file")
    if not token and request.host not in LOCAL:
        log.warning("--host %s without --token-file: whoever reaches this machine may ask", request.host)
    with listening(request.host, request.port) as bound:
        _serve(bound, model, request.workspace, token, [*request.allowed_host, request.host])


def _serve(bound: socket.socket, model: str, workspace: str | None, token: str | None, hosts: list[str]) -> None:
    """Load the model and answer until a signal comes. UserError where it cannot be loaded."""
    from serving.app import create_app
    from serving.models import Models, source_of

    models = Models(source_of(model, workspace))
    app = create_app(models, token)
    log.info("%s is served at %s (how to ask: /docs)", models.now.name, address(bound))
    answer(app, bound, None if token else hosts)
    log.info("stopped")
