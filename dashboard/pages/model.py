"""The pages of models: ``/models``, ``/model?name=``, and what a run wrote about a version."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from sqlite3 import Connection
from typing import Annotated

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import HTMLResponse

from dashboard.queries.mistakes import mistakes
from dashboard.queries.model import Model, model
from dashboard.queries.now import ModelNow, models
from dashboard.queries.training_curves import Chart, charts
from dashboard.read_model.reports import CARD, REPORT
from dashboard.site import Site, missing
from ulmfit.evaluation.results import Mistake

Number = Annotated[str | None, Query(alias="version", pattern="^[1-9][0-9]{0,8}$")]
WRITTEN_POLICY = (
    "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; sandbox"
)


Found = Callable[[str, str | None], AbstractContextManager[tuple[Connection, Model]]]  # of a name and a version


def routes(site: Site) -> APIRouter:
    """The pages, and their JSON."""
    router = APIRouter()

    @contextmanager
    def found(name: str, number: str | None) -> Iterator[tuple[Connection, Model]]:
        with site.reading() as reading:
            known = model(reading, name, number, str(site.workspace.root))
            if known is None:
                raise missing("there is no such model or version")
            yield reading, known

    @router.get("/models", response_class=HTMLResponse, include_in_schema=False)
    def all_models(request: Request) -> HTMLResponse:
        with site.reading() as reading:
            return site.page(request, "models.html", reading, models=models(reading))

    @router.get("/model", response_class=HTMLResponse, include_in_schema=False)
    def page(request: Request, name: str, number: Number = None) -> HTMLResponse:
        with found(name, number) as (reading, known):
            wrong = mistakes(site.workspace.store, known.shown.evaluation if known.shown else None)
            address = lambda number: site.link(request, "model", name=name, version=number)
            return site.page(request, "model.html", reading, model=known, mistakes=wrong, address=address)

    _add_written(router, site, found)
    _add_facts(router, site, found)
    return router


def _add_written(router: APIRouter, site: Site, found: Found) -> None:
    """The pages that the run of a version wrote."""

    def written(name: str, number: str | None, page: str) -> Response:
        """Such a page; it may load and run nothing."""
        with found(name, number) as (_, known):
            folder = known.shown.reports if known.shown else None
        file = site.workspace.reports / folder / page if folder else None
        if file is None or not file.is_file():
            raise missing("the workspace has no such page of this version")
        return Response(file.read_bytes(), 200, {"content-security-policy": WRITTEN_POLICY}, "text/html")

    @router.get("/report", include_in_schema=False)
    def report(name: str, number: Number = None) -> Response:
        """The report of a version."""
        return written(name, number, REPORT)

    @router.get("/card", include_in_schema=False)
    def card(name: str, number: Number = None) -> Response:
        """Its model card."""
        return written(name, number, CARD)


def _add_facts(router: APIRouter, site: Site, found: Found) -> None:
    """The JSON behind them."""

    @router.get("/api/v1/models")
    def all_models() -> list[ModelNow]:
        """All models and their champions."""
        with site.reading() as reading:
            return models(reading)

    @router.get("/api/v1/model")
    def facts(name: str, number: Number = None) -> Model:
        """A model: versions, decisions, and one version beside the champion that it was compared with; the newest where none is named."""
        with found(name, number) as (_, known):
            return known

    @router.get("/api/v1/model/curves")
    def curves(name: str, number: Number = None) -> list[Chart]:
        """The curves of the trainings behind a version, as far as they are in the store."""
        with found(name, number) as (reading, known):
            return charts(reading, site.workspace.store, known.shown.key if known.shown else None)

    @router.get("/api/v1/model/mistakes")
    def confident(name: str, number: Number = None) -> list[Mistake]:
        """Its most confident mistakes, with their texts."""
        with found(name, number) as (_, known):
            return mistakes(site.workspace.store, known.shown.evaluation if known.shown else None)
