"""What operators and feed readers ask: ``/healthz``, ``/metrics``, ``/feed.atom``, and the state of the sources."""

from fastapi import APIRouter, Request, Response
from fastapi.responses import PlainTextResponse

from dashboard.feed import feed
from dashboard.metrics import metrics
from dashboard.queries.sources import Source, sources
from dashboard.site import Site

PROMETHEUS = "text/plain; version=0.0.4; charset=utf-8"


def routes(site: Site) -> APIRouter:
    """All of them."""
    router = APIRouter()

    @router.get("/healthz")
    def healthz() -> PlainTextResponse:
        """Whether the dashboard works; it does where MLflow or Prefect is down."""
        with site.reading() as reading:
            reading.execute("select 1 from sources")
        return PlainTextResponse("ready\n")

    @router.get("/metrics")
    def figures() -> Response:
        """Figures for Prometheus."""
        with site.reading() as reading:
            return Response(metrics(reading), media_type=PROMETHEUS)

    @router.get("/feed.atom")
    def atom(request: Request) -> Response:
        """The latest decisions, as an Atom feed."""
        base = str(request.base_url).rstrip("/")
        with site.reading() as reading:
            return Response(feed(reading, base), media_type="application/atom+xml")

    @router.get("/api/v1/sources")
    def state() -> list[Source]:
        """Whether what the pages rest on could be read, and when last."""
        with site.reading() as reading:
            return sources(reading)

    return router
