"""Answers to those who may not look: one line for programs, a form for browsers. They need no other file of the site."""

import base64
import hashlib
import json
from collections.abc import Mapping
from html import escape
from importlib import resources

from starlette.responses import Response
from starlette.types import Send

STYLE = """
:root { color-scheme: light dark; --page: #fbfbfa; --ink: #1a1c21; --accent: #2b3f99; --bad: #b3261e; }
@media (prefers-color-scheme: dark) { :root { --page: #121418; --ink: #e8eaee; --accent: #a9b8ff; --bad: #ff938a; } }
body { margin: 0; background: var(--page); color: var(--ink); font: 1rem/1.55 system-ui, sans-serif; }
main { max-width: 24rem; margin: 18vh auto 0; padding: 0 1.25rem; }
label, input, button { display: block; width: 100%; box-sizing: border-box; font: inherit; }
input, button { margin-top: .4rem; padding: .6rem .8rem; border-radius: 8px; border: 1px solid currentColor; background: var(--page); color: inherit; }
button { margin-top: 1rem; background: var(--accent); color: var(--page); border-color: var(--accent); cursor: pointer; }
:focus-visible { outline: 3px solid var(--accent); outline-offset: 2px; }
.bad { color: var(--bad); }
"""
POLICY = (
    f"default-src 'none'; style-src 'sha256-{base64.b64encode(hashlib.sha256(STYLE.encode()).digest()).decode()}'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)


async def refuse(send: Send, status: int, says: str, headers: Mapping[str, str] | None = None) -> None:
    """One line as JSON; nothing of the request is in it."""
    body = json.dumps({"detail": says}).encode() if says else b""
    await _send(send, Response(body, status, dict(headers or {}), "application/json"))


async def refuse_browser(send: Send, action: str, wrong: bool) -> None:
    """The form that asks for the token. ``action``: where it goes; ``wrong``: the one before was."""
    page = resources.files("dashboard").joinpath("templates/login.html").read_text()
    said = '<p class="bad" role="alert">This is not the token.</p>' if wrong else ""
    body = page.replace("{style}", STYLE).replace("{action}", escape(action)).replace("{said}", said)
    headers = {"content-security-policy": POLICY, "www-authenticate": "Bearer"}
    await _send(send, Response(body, 401, headers, "text/html"))


async def _send(send: Send, response: Response) -> None:
    await send({"type": "http.response.start", "status": response.status_code, "headers": response.raw_headers})
    await send({"type": "http.response.body", "body": response.body})
