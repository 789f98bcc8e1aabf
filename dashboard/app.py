"""The application: all pages, the JSON behind them, what operators ask; read-only."""

import logging

from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException as StarletteHTTPException

from dashboard.guard import Guard
from dashboard.login import Login
from dashboard.pages.every import PAGES
from dashboard.site import Site

log = logging.getLogger(__name__)

API = "/api/v1"  # before the address of the JSON behind a page
VERSION = "1"


def create_app(site: Site, token: str | None = None, root_path: str = "") -> Guard:
    """The site. ``token``: what a client has to send; None: nothing. ``root_path``: where a proxy has it."""
    app = FastAPI(
        title="ULMFiT dashboard", summary="What the pages of the dashboard show, as JSON", version=VERSION, docs_url=None, redoc_url=None,
        openapi_url=f"{API}/openapi.json",
    )  # fmt: skip
    for routes in PAGES:
        app.include_router(routes(site))
    _answer_faults(app, site)
    return Guard(app, Login(token) if token else None, root_path)


def _answer_faults(app: FastAPI, site: Site) -> None:
    """A fault is a page for people and one line for programs; nothing of the request is in it."""

    def answer(request: Request, status: int, says: str) -> Response:
        if request.url.path.removeprefix(request.scope.get("root_path", "")).startswith(API):
            return Response(f'{{"detail": "{says}"}}', status, media_type="application/json")
        with site.reading() as reading:
            return site.page(request, "fault.html", reading, status=status, number=status, says=says)

    @app.exception_handler(StarletteHTTPException)
    def refused(request: Request, error: StarletteHTTPException) -> Response:
        return answer(request, error.status_code, "there is no such page" if error.detail == "Not Found" else str(error.detail))

    @app.exception_handler(RequestValidationError)
    def invalid(request: Request, error: RequestValidationError) -> Response:
        place = error.errors()[0]["loc"][-1]
        return answer(request, 422, f"{place}: a value is missing or cannot be used")

    @app.exception_handler(Exception)
    def failed(request: Request, error: Exception) -> Response:
        return answer(request, 500, "an error in the dashboard; its log has the reason")
