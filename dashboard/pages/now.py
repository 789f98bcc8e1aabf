"""The page Now: ``/``."""

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse

from dashboard.queries.now import Now, now
from dashboard.site import Site


def routes(site: Site) -> APIRouter:
    """The page, and its JSON."""
    router = APIRouter()

    @router.get("/", response_class=HTMLResponse, include_in_schema=False)
    def page(request: Request) -> HTMLResponse:
        with site.reading() as reading:
            return site.page(request, "now.html", reading, found=now(reading))

    @router.get("/api/v1/now")
    def facts() -> Now:
        """Champions, what is running, what needs a person."""
        with site.reading() as reading:
            return now(reading)

    return router
