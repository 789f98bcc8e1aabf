"""``ulmfit dashboard``: the site that a team looks at, until it is stopped."""

from __future__ import annotations

import logging
import re
import socket

from pydantic import BaseModel, Field

from cli.http_server import HOSTS, LOCAL, address, answer, listening, read_token
from cli.options import WORKSPACE, options_of
from ulmfit.errors import UserError

log = logging.getLogger(__name__)

TOKEN = "--read-only-token"


class DashboardRequest(BaseModel):
    """The options of ``ulmfit dashboard``."""

    workspace: str | None = Field(None, description=WORKSPACE)
    host: str = Field("127.0.0.1", description="address to listen on; 0.0.0.0: all addresses of this machine")
    port: int = Field(8050, ge=0, le=65535, description="port to listen on; 0: a free one")
    root_path: str = Field(
        "", description="path of the site behind a proxy, as /ulmfit; the proxy may send it as X-Forwarded-Prefix instead"
    )
    read_only_token: str | None = Field(None, description="file with the token that readers have to give")
    allowed_host: list[str] = Field([], description=HOSTS)
    rate: float | None = Field(None, ge=0, le=1e6, description="what an hour of a machine costs, for the page Cost")
    currency: str = Field("€", max_length=8, description="of --rate")


@options_of(DashboardRequest)
def dashboard(**fields: object) -> None:
    """A site over the workspace: champions, versions, runs, data, cost. It changes nothing but its own file there. Ctrl-C ends it."""
    request = DashboardRequest.model_validate(fields)
    token = read_token(request.read_only_token, TOKEN)
    root_path = request.root_path.rstrip("/")
    if not re.fullmatch(r"(/[A-Za-z0-9._~-]+)*", root_path):
        raise UserError(f"--root-path {request.root_path!r}: give a path of letters, digits, - and _, as /ulmfit")
    if not token and request.host not in LOCAL:
        log.warning("--host %s without %s: whoever reaches this machine may look", request.host, TOKEN)
    with listening(request.host, request.port) as bound:
        _serve(request, root_path, token, bound)


def _serve(request: DashboardRequest, root_path: str, token: str | None, bound: socket.socket) -> None:
    from dashboard.app import create_app
    from dashboard.read_model.database import FILE, Database
    from dashboard.read_model.refreshing import Refreshing
    from dashboard.site import Site
    from tasks.workspace import Workspace

    workspace = Workspace.open(request.workspace)
    database = Database(workspace.root / FILE)
    database.set_up()
    app = create_app(Site(workspace, database, request.rate, request.currency), token, root_path)
    with Refreshing(workspace, database):
        log.info("the dashboard of %s is at %s%s/", workspace.root, address(bound), root_path)
        answer(app, bound, None if token else [*request.allowed_host, request.host])
    log.info("stopped")
