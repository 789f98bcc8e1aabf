"""Notices of decisions: an event on the Prefect server that is known, and an HTTP POST to an address that a team sets.

Whoever is told can do nothing about the decision, so a notice that fails is a line in the log and nothing else. Addresses are secrets of
many services: of one, the log shows the host alone.
"""

import base64
import json
import logging
import os
import ssl
import threading
import time
import uuid
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPException
from typing import Self
from urllib.error import HTTPError
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import HTTPRedirectHandler, HTTPSHandler, Request, build_opener

from tasks.servers import ORCHESTRATOR
from ulmfit.decisions.decision import Decision
from ulmfit.errors import UserError
from ulmfit.store.json import JsonObject

log = logging.getLogger(__name__)

ADDRESS = "ULMFIT_NOTICE_URL"
PAUSES = (1.0, 3.0)  # seconds between the tries
PATIENCE = 10.0  # seconds for one answer
IN_ALL = 30.0  # seconds for all tries together, also where an answer comes byte by byte
AGAIN = (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS)


class Failed(Exception):
    """A notice was not taken. ``passing``: another try may help."""

    def __init__(self, reason: str, passing: bool):
        super().__init__(reason)
        self.passing = passing


@dataclass(frozen=True)
class Receiver:
    """Where a notice goes. ``context``: for TLS."""

    url: SplitResult
    headers: dict[str, str] = field(default_factory=dict)
    context: ssl.SSLContext | None = None

    @classmethod
    def named(
        cls, variable: str, path: str = "", headers: dict[str, str] | None = None, context: ssl.SSLContext | None = None
    ) -> Self | None:
        """The address in a variable, None where it is not set. UserError where that is none of HTTP; the value is not shown, for it may be a secret."""
        value = os.environ.get(variable, "").strip()
        if not value:
            return None
        try:
            url = urlsplit(value)
            fits = url.scheme in ("http", "https") and bool(url.hostname) and url.port != 0
        except ValueError:
            fits = False
        if not fits or any(letter.isspace() or not letter.isprintable() for letter in value):
            raise UserError(f"{variable}: no address that a notice can be sent to; give one as https://HOST/PATH, or unset it")
        if url.username is not None:
            credentials = base64.b64encode(f"{unquote(url.username)}:{unquote(url.password or '')}".encode()).decode()
            headers = {"Authorization": f"Basic {credentials}", **(headers or {})}
        host = url.netloc.rpartition("@")[2]
        return cls(url._replace(netloc=host, path=url.path.rstrip("/") + path if path else url.path, fragment=""), headers or {}, context)

    @property
    def host(self) -> str:
        """What may be shown of it."""
        return f"{self.url.scheme}://{self.url.netloc}"

    def send(self, body: bytes) -> None:
        """One try. Raises Failed."""
        request = Request(self.url.geturl(), body, {"Content-Type": "application/json", "User-Agent": "ulmfit", **self.headers})
        opener = build_opener(_NoRedirect, *([HTTPSHandler(context=self.context)] if self.context else []))
        try:
            opener.open(request, timeout=PATIENCE).close()
        except HTTPError as error:
            error.close()
            raise Failed(f"it answers with HTTP {error.code}", error.code >= 500 or error.code in AGAIN) from error
        except (OSError, HTTPException, ValueError) as error:  # ValueError: a header or a path that HTTP cannot hold
            reason = getattr(error, "reason", None) or error
            raise Failed(getattr(reason, "strerror", None) or type(reason).__name__, not isinstance(error, ValueError)) from error


class _NoRedirect(HTTPRedirectHandler):
    """A redirection is not followed: what is told is for the host that was named."""

    def redirect_request(self, *_: object) -> None:
        return None


def notify(decision: Decision, outcome: str | None = None) -> None:
    """Tell of a decision. Never raises; what could not be told is in the log. Takes at most ``IN_ALL`` seconds an address.

    ``outcome``: what came of it, where that is not what was decided, as "blocked" of a comparison.
    """
    outcome = outcome or decision.what
    posted = lambda: Receiver.named(ADDRESS, headers={"Idempotency-Key": decision.id})
    for find, tell in ((posted, notice), (_prefect, lambda *told: [event(*told)])):
        try:
            if receiver := find():
                _in_time(receiver, json.dumps(tell(decision, outcome)).encode())
        except Exception as error:  # a notice never undoes anything
            log.warning("no notice of decision %s: %s", decision.id, error if isinstance(error, UserError) else type(error).__name__)


def check_address() -> None:
    """UserError where the address for notices is none."""
    Receiver.named(ADDRESS)


def notice(decision: Decision, outcome: str) -> JsonObject:
    """What is posted: the decision as ``ulmfit history --json`` has it, the name of the event, and a line for people (``text``, as chats read it)."""
    version = f" version {decision.version}" if decision.version else ""
    why = f": {decision.why}" if decision.why else ""
    return {"event": event_name(outcome), "text": f"{decision.model}{version} {outcome}{why}", "decision": decision.model_dump(mode="json")}


def event(decision: Decision, outcome: str) -> JsonObject:
    """The same as an event of Prefect. The resource is the model, so that an automation can be about one."""
    resource = {"prefect.resource.id": f"ulmfit.model.{decision.model}", "prefect.resource.name": decision.model}
    if decision.version:
        resource["ulmfit.version"] = decision.version
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, f"{decision.id} {outcome}")),  # the same for each try
        "occurred": decision.time.isoformat(),
        "event": event_name(outcome),
        "resource": resource,
        "payload": notice(decision, outcome),
    }


def event_name(outcome: str) -> str:
    """As ``ulmfit.model.rolled-back``."""
    return f"ulmfit.model.{outcome.replace(' ', '-')}"


def _prefect() -> Receiver | None:
    """The events of the Prefect server that is known. It is asked directly: Prefect's own client takes seconds to import."""
    headers = json.loads(os.environ.get("PREFECT_CLIENT_CUSTOM_HEADERS") or "{}")
    if key := os.environ.get("PREFECT_API_KEY"):
        headers["Authorization"] = f"Bearer {key}"
    elif login := os.environ.get("PREFECT_API_AUTH_STRING"):
        headers["Authorization"] = f"Basic {base64.b64encode(login.encode()).decode()}"
    return Receiver.named(ORCHESTRATOR, "/events", headers, _tls())


def _tls() -> ssl.SSLContext | None:
    if os.environ.get("PREFECT_API_TLS_INSECURE_SKIP_VERIFY", "").lower() in ("1", "true", "yes", "on"):
        return ssl._create_unverified_context()
    file = os.environ.get("PREFECT_API_SSL_CERT_FILE")
    return ssl.create_default_context(cafile=file) if file else None


def _in_time(receiver: Receiver, body: bytes) -> None:
    """Try in a thread, for a server that sends a byte now and then passes every timeout."""
    failures: list[str] = []
    thread = threading.Thread(target=_try, args=(receiver, body, failures), daemon=True)
    thread.start()
    thread.join(IN_ALL)
    if thread.is_alive():
        failures.append("its answer does not come to an end")
    if failures:
        log.warning("no notice to %s: %s; what was decided stands", receiver.host, failures[-1])


def _try(receiver: Receiver, body: bytes, failures: list[str]) -> None:
    for pause in (*PAUSES, None):
        try:
            receiver.send(body)
        except Failed as error:
            if pause is None or not error.passing:
                failures.append(str(error))
                return
            time.sleep(pause)
        else:
            return
