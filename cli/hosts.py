"""Which names a server answers to. Where no token is asked for, being in the same network is what lets somebody in.

A page from elsewhere, in a browser of that network, could share it: its author lets a name of his own point to the server (DNS rebinding),
and the browser then takes the answers for those of his site. The name stands in the request, so requests to unknown names are refused.
Addresses need no list, for they cannot be made to point elsewhere.
"""

import ipaddress
import json
import socket
from collections.abc import Collection
from dataclasses import dataclass
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Receive, Scope, Send

REFUSED = {"detail": "this server is not known by the name in the request; ask by its address, or add the name with --allowed-host"}


@dataclass(frozen=True)
class KnownHosts:
    """The application, for requests to an address, to ``localhost``, to the machine's own name, and to ``names``."""

    app: ASGIApp
    names: Collection[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, or refuse it."""
        if scope["type"] == "http" and not self.knows(Headers(scope=scope).get("host", "")):
            await Response(json.dumps(REFUSED), 400, media_type="application/json")(scope, receive, send)
        else:
            await self.app(scope, receive, send)

    def knows(self, host: str) -> bool:
        """Whether the header ``Host`` names the server."""
        try:
            name = (urlsplit(f"//{host}").hostname or "").rstrip(".")
        except ValueError:
            return False
        return _is_address(name) or name in {"localhost", socket.gethostname().lower(), *(known.lower() for known in self.names)}


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
