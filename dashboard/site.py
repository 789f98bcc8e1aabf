"""What all pages share: the workspace, the read model, the templates, and what stands around each page."""

import sqlite3
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from functools import partial
from urllib.parse import urlsplit

from fastapi import HTTPException, Request
from fastapi.responses import HTMLResponse
from jinja2 import Environment

from dashboard.links import link
from dashboard.navigation import NAVIGATION
from dashboard.queries.sources import sources
from dashboard.read_model.database import Database
from dashboard.static_files import StaticFiles
from dashboard.templating import environment
from tasks.workspace import Workspace


@dataclass(frozen=True)
class Site:
    """The site of a workspace. ``rate``: what an hour of a machine costs, in ``currency``; None where nobody said."""

    workspace: Workspace
    database: Database
    rate: float | None = None
    currency: str = "€"
    static: StaticFiles = field(default_factory=StaticFiles.read)
    templates: Environment = field(default_factory=environment)

    @property
    def mlflow(self) -> str | None:
        """The address of MLflow's own pages, where runs are tracked on a server."""
        found = urlsplit(self.workspace.tracking_uri)
        host = found.netloc.rpartition("@")[2]  # a name and a password are nobody's business
        return f"{found.scheme}://{host}{found.path.rstrip('/')}" if found.scheme in ("http", "https") else None

    def reading(self) -> AbstractContextManager[sqlite3.Connection]:
        """A connection to the read model for one request."""
        return self.database.reading()

    def link(self, request: Request, page: str, /, **query: str | int | None) -> str:
        """The address of a page, below the path at which a proxy has the site."""
        return link(request.scope.get("root_path", ""), page, **query)

    def page(self, request: Request, template: str, reading: sqlite3.Connection, status: int = 200, **facts: object) -> HTMLResponse:
        """A page of the site: the template with ``facts``, and around it navigation, the state of sources, and links below the proxy's path."""
        prefix = request.scope.get("root_path", "")
        known = {
            "link": partial(self.link, request),
            "static": lambda name: f"{prefix}/static/{name}?v={self.static.version(name)}",
            "navigation": NAVIGATION,
            "here": request.url.path.removeprefix(prefix),
            "sources": sources(reading),
            "workspace": self.workspace.root.name,
        }
        return HTMLResponse(self.templates.get_template(template).render(known | facts), status)


def missing(what: str) -> HTTPException:
    """What is asked for is not there; ``what`` is ours, not the user's."""
    return HTTPException(404, what)
