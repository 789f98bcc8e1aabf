"""Addresses of pages. Names of models are strings of users: they stand in the query, quoted, for a ``/`` or ``..`` in a path would be another page."""

from urllib.parse import urlencode


def link(prefix: str, page: str, /, **query: str | int | None) -> str:
    """The address of a page below ``prefix``, the path at which a proxy has the site."""
    given = {name: value for name, value in query.items() if value is not None}
    return f"{prefix}/{page.lstrip('/')}{f'?{urlencode(given)}' if given else ''}"
