"""Files that pages load, by name."""

from fastapi import APIRouter, Response

from dashboard.site import Site, missing

FOR_EVER = {"cache-control": "private, max-age=31536000, immutable"}  # the address changes with the content


def routes(site: Site) -> APIRouter:
    """``/static/NAME``."""
    router = APIRouter(include_in_schema=False)

    @router.get("/static/{name}")
    def file(name: str) -> Response:
        if name not in site.static.contents:
            raise missing("there is no such file")
        return Response(site.static.contents[name], 200, FOR_EVER, site.static.kind(name))

    return router
