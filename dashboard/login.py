"""Who may look: whoever sends the token, as a header, or as a browser does after the form, by a cookie that holds a proof and not the token."""

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http.cookies import CookieError, SimpleCookie

COOKIE = "ulmfit_dashboard"
LASTS = 12 * 3600  # seconds


@dataclass(frozen=True)
class Login:
    """The token that opens the site. A cookie is a time and its HMAC by the token: another token ends all cookies."""

    token: str

    def knows(self, headers: Mapping[str, str]) -> bool:
        """Whether a request with these headers may look."""
        kind, _, given = headers.get("authorization", "").partition(" ")
        return (kind.lower() == "bearer" and self.is_token(given.strip())) or self._is_proof(_cookie(headers.get("cookie", "")))

    def is_token(self, given: str) -> bool:
        """Whether that is the token; the answer takes as long for any other of its length."""
        return hmac.compare_digest(given.encode(errors="replace"), self.token.encode())

    def cookie(self, path: str, secure: bool) -> str:
        """The header that gives a browser its cookie. ``secure``: it is sent over https alone."""
        until = str(int(time.time()) + LASTS)
        kept = f"{COOKIE}={until}.{self._proof(until)}; Path={path}; Max-Age={LASTS}; HttpOnly; SameSite=Strict"
        return f"{kept}; Secure" if secure else kept

    def _is_proof(self, given: str) -> bool:
        until, _, proof = given.partition(".")
        if not (until.isascii() and until.isdigit() and len(until) < 12):
            return False
        return hmac.compare_digest(proof.encode(errors="replace"), self._proof(until).encode()) and int(until) > time.time()

    def _proof(self, until: str) -> str:
        return hmac.new(self.token.encode(), f"dashboard until {until}".encode(), hashlib.sha256).hexdigest()


def _cookie(header: str) -> str:
    try:
        found = SimpleCookie(header).get(COOKIE)
    except CookieError:
        return ""
    return found.value if found else ""
