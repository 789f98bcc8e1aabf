"""The pages of data: ``/data?name=``, ``/files?name=``, ``/quarantine?name=&arrival=``."""

from collections.abc import Iterator
from contextlib import contextmanager
from sqlite3 import Connection
from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dashboard.queries.data import Data, data
from dashboard.queries.histories import model_names
from dashboard.queries.landed import Files, arrival, files
from dashboard.queries.quarantine import Quarantined, quarantined
from dashboard.site import Site, missing

Page = Annotated[int, Query(ge=1, le=1_000_000)]
Text = Annotated[str, Query(max_length=200)]
Arrival = Annotated[str, Query(max_length=100)]


def routes(site: Site) -> APIRouter:
    """The pages, and their JSON."""
    router = APIRouter()

    @router.get("/data", response_class=HTMLResponse, include_in_schema=False)
    def page(request: Request, name: str | None = None, page: Page = 1) -> HTMLResponse:
        with site.reading() as reading:
            found = data(reading, name, page)
            if found is None and name is not None:
                raise missing("there is no such model")
            address = lambda number: site.link(request, "data", name=found.name if found else None, page=number)
            return site.page(request, "data.html", reading, found=found, address=address)

    @router.get("/files", response_class=HTMLResponse, include_in_schema=False)
    def table(request: Request, name: str, text: Text = "", arrival: Arrival | None = None, page: Page = 1) -> HTMLResponse:
        with _model(site, name) as reading:
            found = files(reading, name, text.strip(), arrival or None, page)
            address = lambda number: site.link(request, "files", name=name, text=found.text or None, arrival=found.arrival, page=number)
            return site.page(request, "files.html", reading, name=name, found=found, address=address)

    @router.get("/quarantine", response_class=HTMLResponse, include_in_schema=False)
    def aside(request: Request, name: str, arrival: Arrival, page: Page = 1) -> HTMLResponse:
        with _model(site, name) as reading:
            found = _quarantined(site, reading, name, arrival, page)
            address = lambda number: site.link(request, "quarantine", name=name, arrival=arrival, page=number)
            return site.page(request, "quarantine.html", reading, name=name, found=found, address=address)

    _add_facts(router, site)
    return router


def _add_facts(router: APIRouter, site: Site) -> None:
    """The JSON behind them."""

    @router.get("/api/v1/data")
    def facts(name: str | None = None, page: Page = 1) -> Data:
        """What landed for a model, its quality, drift, and what waits; arrivals 50 per page. Without a name: the model with the most text."""
        with site.reading() as reading:
            found = data(reading, name, page)
        if found is None:
            raise missing("there is no such model")
        return found

    @router.get("/api/v1/files")
    def table(name: str, text: Text = "", arrival: Arrival | None = None, page: Page = 1) -> Files:
        """Files that landed, 50 per page, the newest first."""
        with _model(site, name) as reading:
            return files(reading, name, text.strip(), arrival or None, page)

    @router.get("/api/v1/quarantine")
    def aside(name: str, arrival: Arrival, page: Page = 1) -> Quarantined:
        """Rows of an arrival that were set aside, 50 per page, with the beginnings of their texts."""
        with _model(site, name) as reading:
            return _quarantined(site, reading, name, arrival, page)


@contextmanager
def _model(site: Site, name: str) -> Iterator[Connection]:
    """A connection, once it is known that there is such a model."""
    with site.reading() as reading:
        if name not in model_names(reading):
            raise missing("there is no such model")
        yield reading


def _quarantined(site: Site, reading: Connection, name: str, id_: str, page: int) -> Quarantined:
    found = arrival(reading, name, id_)
    if found is None:
        raise missing("there is no such arrival")
    return quarantined(site.workspace.store, name, found, page)
