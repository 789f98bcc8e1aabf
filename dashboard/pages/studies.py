"""The pages of studies: ``/studies``, ``/study?name=``, and the report of a study."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import HTMLResponse

from dashboard.pages.model import WRITTEN_POLICY
from dashboard.queries.studies import StudyRow, is_study, studies, study
from dashboard.read_model.reports import REPORT
from dashboard.read_model.studies import Study
from dashboard.site import Site, missing


def routes(site: Site) -> APIRouter:
    """The pages, and their JSON."""
    router = APIRouter()

    @router.get("/studies", response_class=HTMLResponse, include_in_schema=False)
    def table(request: Request) -> HTMLResponse:
        with site.reading() as reading:
            return site.page(request, "studies.html", reading, studies=studies(reading))

    @router.get("/study", response_class=HTMLResponse, include_in_schema=False)
    def one(request: Request, name: str) -> HTMLResponse:
        with site.reading() as reading:
            return site.page(request, "study.html", reading, study=_found(study(reading, name)))

    @router.get("/study/report", include_in_schema=False)
    def report(name: str) -> Response:
        """The report of a study, as its run wrote it: a page that may load and run nothing."""
        with site.reading() as reading:
            known = is_study(reading, name)
        file = site.workspace.reports / name / REPORT if known else None
        if file is None or not file.is_file():
            raise missing("there is no report of this study in the workspace")
        return Response(file.read_bytes(), 200, {"content-security-policy": WRITTEN_POLICY}, "text/html")

    @router.get("/api/v1/studies")
    def rows() -> list[StudyRow]:
        """All studies, the newest first."""
        with site.reading() as reading:
            return studies(reading)

    @router.get("/api/v1/study")
    def facts(name: str) -> Study:
        """A study: answers, forecasts, curves, ablations."""
        with site.reading() as reading:
            return _found(study(reading, name))

    return router


def _found(found: Study | None) -> Study:
    if found is None:
        raise missing("there is no such study")
    return found
