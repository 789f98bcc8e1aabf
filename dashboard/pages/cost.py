"""The page Cost: ``/cost``; another rate stands in its address."""

from typing import Annotated

from fastapi import APIRouter, Query, Request
from fastapi.responses import HTMLResponse

from dashboard.queries.cost import Cost, cost
from dashboard.site import Site

Rate = Annotated[float | None, Query(ge=0, le=1e6)]


def routes(site: Site) -> APIRouter:
    """The page, and its JSON."""
    router = APIRouter()

    @router.get("/cost", response_class=HTMLResponse, include_in_schema=False)
    def page(request: Request, rate: Rate = None) -> HTMLResponse:
        with site.reading() as reading:
            found = cost(reading, site.rate if rate is None else rate, site.currency)
            return site.page(request, "cost.html", reading, found=found)

    @router.get("/api/v1/cost")
    def facts(rate: Rate = None) -> Cost:
        """Seconds by stage, month and experiment; money at ``rate`` an hour, else at the dashboard's own."""
        with site.reading() as reading:
            return cost(reading, site.rate if rate is None else rate, site.currency)

    return router
