"""The pages of lineage: ``/lineage?name=&version=``, and the other way ``/readers?file=``."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dashboard.pages.model import Number
from dashboard.queries.lineage import Lineage, lineage
from dashboard.queries.readers import Readers, readers
from dashboard.site import Site, missing

Name = Annotated[str, Query(max_length=300)]


def routes(site: Site) -> APIRouter:
    """The pages, and their JSON."""
    router = APIRouter()

    @router.get("/lineage", response_class=HTMLResponse, include_in_schema=False)
    def graph(request: Request, name: str | None = None, number: Number = None) -> HTMLResponse:
        with site.reading() as reading:
            found = lineage(reading, name, number)
            if found is None and name is not None:
                raise missing("there is no such model or version")
            return site.page(request, "lineage.html", reading, found=found)

    @router.get("/readers", response_class=HTMLResponse, include_in_schema=False)
    def who(request: Request, file: Name = "") -> HTMLResponse:
        with site.reading() as reading:
            return site.page(request, "readers.html", reading, found=readers(reading, file.strip()))

    @router.get("/api/v1/lineage")
    def facts(name: str, number: Number = None) -> Lineage:
        """A version, the newest where none is named, and all behind it: files, artifacts, aliases."""
        with site.reading() as reading:
            found = lineage(reading, name, number)
        if found is None:
            raise missing("there is no such model or version")
        return found

    @router.get("/api/v1/readers")
    def read_by(file: Name) -> Readers:
        """Which versions read a file, by a part of its name or the beginning of its digest; a key or digest of an artifact does as well."""
        with site.reading() as reading:
            return readers(reading, file.strip())

    return router
