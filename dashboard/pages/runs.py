"""The pages of runs: ``/runs``, ``/run?id=``, ``/compare?run=&run=``."""

from typing import Annotated, Literal

from fastapi import APIRouter, Depends, Query, Request
from fastapi.responses import HTMLResponse

from dashboard.queries.runs import Compared, Filter, RunFacts, Runs, Status, compared, run, runs
from dashboard.site import Site, missing

Ids = Annotated[list[str], Query(max_length=20)]
Page = Annotated[int, Query(ge=1, le=1_000_000)]
Text = Annotated[str, Query(max_length=200)]


def wanted(text: Text = "", status: Status | Literal[""] = "", experiment: Text = "", flow: Text = "", parts: bool = False) -> Filter:
    """The filter in an address. An empty choice in a form is none."""
    return Filter.model_validate({"text": text.strip(), "status": status or None, "experiment": experiment, "flow": flow, "parts": parts})


Wanted = Annotated[Filter, Depends(wanted)]


def routes(site: Site) -> APIRouter:
    """The pages, and their JSON."""
    router = APIRouter()

    @router.get("/runs", response_class=HTMLResponse, include_in_schema=False)
    def table(request: Request, filter_: Wanted, page: Page = 1) -> HTMLResponse:
        with site.reading() as reading:
            found = runs(reading, filter_, page)
            query = filter_.model_dump(exclude_defaults=True) | ({"parts": "true"} if filter_.parts else {})
            address = lambda number: site.link(request, "runs", **query, page=number)
            return site.page(request, "runs.html", reading, found=found, address=address)

    @router.get("/run", response_class=HTMLResponse, include_in_schema=False)
    def one(request: Request, id: str) -> HTMLResponse:
        with site.reading() as reading:
            return site.page(request, "run.html", reading, found=_found(run(reading, id)), mlflow=site.mlflow)

    @router.get("/compare", response_class=HTMLResponse, include_in_schema=False)
    def side_by_side(request: Request, run: Ids = []) -> HTMLResponse:  # noqa: B006 - FastAPI copies it
        with site.reading() as reading:
            return site.page(request, "compare.html", reading, found=compared(reading, run))

    _add_facts(router, site)
    return router


def _add_facts(router: APIRouter, site: Site) -> None:
    """The JSON behind them."""

    @router.get("/api/v1/runs")
    def table(filter_: Wanted, page: Page = 1) -> Runs:
        """Runs that fit, 50 per page, the newest first."""
        with site.reading() as reading:
            return runs(reading, filter_, page)

    @router.get("/api/v1/run")
    def one(id: str) -> RunFacts:
        """One run, and the runs that are parts of it."""
        with site.reading() as reading:
            return _found(run(reading, id))

    @router.get("/api/v1/compare")
    def side_by_side(run: Ids = []) -> Compared:  # noqa: B006
        """Runs side by side, what differs first."""
        with site.reading() as reading:
            return compared(reading, run)


def _found(facts: RunFacts | None) -> RunFacts:
    if facts is None:
        raise missing("there is no such run")
    return facts
