"""Where an HTTP server may send us on to: not from the open network to a host of ours, nor from https to http, nor to another scheme."""

import ipaddress
import socket
import urllib.error
import urllib.request
from typing import Any
from urllib.parse import urlsplit


def is_public(host: str) -> bool:
    """Whether all addresses of a host are of the open network: not loopback, private, link-local or reserved. False where it has none."""
    return _openness(host) == {True}


def is_private(host: str) -> bool:
    """Whether none of its addresses is of the open network. False where it has none, for it may have one a moment later."""
    return _openness(host) == {False}


def _openness(host: str) -> set[bool]:
    """Of each address of a host: whether it is of the open network."""
    try:
        found = {str(info[4][0]).partition("%")[0] for info in socket.getaddrinfo(host, None)}
    except (OSError, UnicodeError):
        return set()
    return {ipaddress.ip_address(address).is_global for address in found}


class GuardedRedirects(urllib.request.HTTPRedirectHandler):
    """Follows a redirect, unless it leads to where a server must not send us."""

    def redirect_request(self, req: urllib.request.Request, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        before, after = urlsplit(req.full_url), urlsplit(newurl)
        allowed = ("https",) if before.scheme == "https" else ("http", "https")
        if after.scheme not in allowed or (is_public(before.hostname or "") and not is_public(after.hostname or "")):
            raise urllib.error.HTTPError(req.full_url, code, "it redirects to an address that is not followed", headers, fp)
        return super().redirect_request(req, fp, code, msg, headers, newurl)
