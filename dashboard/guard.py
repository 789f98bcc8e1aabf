"""What every request passes before the application sees it: who may look, below which path a proxy has the site, what a browser may do with it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs

from starlette.datastructures import Headers, MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from dashboard.login import Login
from dashboard.refusing import refuse, refuse_browser

POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "content-security-policy": POLICY,
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "x-frame-options": "DENY",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cache-control": "no-store",
}
OPEN = "/healthz"  # needs no token
PREFIX = re.compile(r"(/[A-Za-z0-9._~-]+)*")
MOST_BYTES = 4096  # of a body: only the login form has one


@dataclass(frozen=True)
class Guard:
    """The application behind its guard. ``root_path``: where a proxy has the site, if it does not say so in X-Forwarded-Prefix."""

    app: ASGIApp
    login: Login | None
    root_path: str = ""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return

        async def with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = MutableHeaders(scope=message)
                for name, value in HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        headers = Headers(scope=scope)
        prefix = prefix_of(headers, self.root_path)
        path = inner_path(scope["path"], prefix)
        if self.login and path == "/login" and scope["method"] == "POST":
            await self._log_in(scope, receive, with_headers, prefix)
        elif scope["method"] not in ("GET", "HEAD"):
            await refuse(with_headers, 405, "this site is to look at; it changes nothing", {"allow": "GET, HEAD"})
        elif self.login and path != OPEN and not self.login.knows(headers):
            await self._refuse(headers, with_headers, prefix)
        else:
            where = {"scheme": scheme_of(scope), "root_path": prefix, "path": prefix + path}
            inner = {**scope, "method": "GET", **where}  # of an answer to HEAD the server sends the head
            await self.app(inner, receive, with_headers)

    async def _refuse(self, headers: Headers, send: Send, prefix: str) -> None:
        """A browser gets the form, programs one line."""
        if "text/html" in headers.get("accept", ""):
            await refuse_browser(send, f"{prefix}/login", wrong=False)
        else:
            await refuse(send, 401, "the token is missing or wrong; send it as Authorization: Bearer TOKEN", {"www-authenticate": "Bearer"})

    async def _log_in(self, scope: Scope, receive: Receive, send: Send, prefix: str) -> None:
        assert self.login, "there is something to log in to"
        body = await _body(receive)
        given = parse_qs(body.decode("latin-1")).get("token", [""])[0] if body is not None else ""
        if not self.login.is_token(given.strip()):
            await refuse_browser(send, f"{prefix}/login", wrong=True)
            return
        headers = {"location": f"{prefix}/", "set-cookie": self.login.cookie(prefix or "/", scheme_of(scope) == "https")}
        await refuse(send, 303, "", headers)


def prefix_of(headers: Mapping[str, str], otherwise: str) -> str:
    """The path at which a proxy has the site: as it says, if that is a plain path, or ``otherwise``. No ``/`` at its end."""
    said = headers.get("x-forwarded-prefix", "").rstrip("/")
    return said if said and PREFIX.fullmatch(said) else otherwise


def scheme_of(scope: Scope) -> str:
    """``https`` or ``http``, as a browser sees the site: a proxy says it."""
    said = Headers(scope=scope).get("x-forwarded-proto", scope.get("scheme", "http"))
    return "https" if said == "https" else "http"


def inner_path(path: str, prefix: str) -> str:
    """The path of a page, whether the proxy has left the prefix before it or not."""
    inner = path.removeprefix(prefix) if path == prefix or path.startswith(f"{prefix}/") else path
    return inner or "/"


async def _body(receive: Receive) -> bytes | None:
    """The body of a request; None where it is too long."""
    body = b""
    while True:
        message = await receive()
        body += message.get("body", b"")
        if len(body) > MOST_BYTES:
            return None
        if not message.get("more_body"):
            return body
