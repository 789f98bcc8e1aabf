"""What every request passes before the application sees it: who may ask, how much may be sent, how long it took."""

import asyncio
import hmac
import json
import time
from collections.abc import Collection
from dataclasses import dataclass
from typing import cast

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from serving.metrics import Metrics

MOST_BYTES = 4_000_000  # of a request's body
DRAINED = 64_000_000  # bytes of a body that is too large, read and forgotten: most clients send all of it before they read an answer

CODES = {400: "BAD_REQUEST", 401: "UNAUTHENTICATED", 404: "ENDPOINT_NOT_FOUND", 503: "TEMPORARILY_UNAVAILABLE", 500: "INTERNAL_ERROR"}


def fault(status: int, message: str) -> bytes:
    """An answer of one line, in the form of MLflow's server."""
    return json.dumps({"error_code": CODES.get(status, "INVALID_PARAMETER_VALUE"), "message": message}).encode()


@dataclass(frozen=True)
class Guard:
    """The application ``app`` behind its guard. ``token``: who sends it may ask; None: everybody. ``open``: paths that need none."""

    app: ASGIApp
    metrics: Metrics
    token: str | None
    open: Collection[str]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        started, status = time.perf_counter(), cast(int | None, None)

        async def noted(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._guarded(scope, receive, noted)
        except asyncio.CancelledError:  # the server is stopped, and its grace is over
            if status is None:
                await _refuse(noted, 503, "the server is being stopped; ask again later")
        finally:
            self.metrics.answered(scope["path"], status or 500, time.perf_counter() - started)

    async def _guarded(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        if self.token and scope["path"] not in self.open and not _knows(headers.get(b"authorization", b""), self.token):
            await _refuse(send, 401, "the token is missing or wrong; send it as Authorization: Bearer TOKEN")
            return
        body = await _body(receive)
        if body is None:
            await _refuse(send, 413, f"the request has more than {MOST_BYTES:,} bytes; send fewer texts at a time")
            return
        await self.app(scope, _replay(body, receive), send)


def _knows(header: bytes, token: str) -> bool:
    """Compared in a time that does not depend on how much of it is right."""
    kind, _, given = header.partition(b" ")
    return hmac.compare_digest(given.strip(), token.encode()) and kind.lower() == b"bearer"


async def _body(receive: Receive) -> bytes | None:
    """The body; None where it is too large, when the client has sent it or it is hopeless."""
    parts: list[bytes] = []
    read, more = 0, True
    while more and read <= DRAINED:
        message = await receive()
        part = message.get("body", b"")
        read, more = read + len(part), message.get("more_body", False) and message["type"] == "http.request"
        if read <= MOST_BYTES:
            parts.append(part)
        else:
            parts.clear()
    return b"".join(parts) if read <= MOST_BYTES else None


def _replay(body: bytes, receive: Receive) -> Receive:
    given = False

    async def replayed() -> Message:
        nonlocal given
        if given:
            return await receive()
        given = True
        return {"type": "http.request", "body": body, "more_body": False}

    return replayed


async def _refuse(send: Send, status: int, message: str) -> None:
    headers = [(b"content-type", b"application/json"), *([(b"www-authenticate", b"Bearer")] if status == 401 else [])]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": fault(status, message)})
