"""Notices: told to whoever listens, and never in anybody's way."""

from __future__ import annotations

import base64
import json
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from tasks import notices
from tasks.notices import ADDRESS, check_address, event_name, notify
from ulmfit.decisions.decision import Author, Decision
from ulmfit.errors import UserError

DECISION = Decision.new("tickets é", "promoted", Author(kind="person", because="it is better"), version="7", champion="6")


class Listener:
    """A web server that keeps what it is told and gives the answers of a script, the last one for ever. "slow" and "drips" are answers, too."""

    def __init__(self, *script: int | str):
        self.script, self.told = list(script), list[tuple[str, dict[str, str], Any]]()
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                listener.told.append((self.path, dict(self.headers), body))
                answer = listener.script.pop(0) if len(listener.script) > 1 else listener.script[0]
                with suppress(OSError):
                    if answer == "slow":
                        time.sleep(1)
                    if answer == "closes":
                        return
                    self.send_response(answer if isinstance(answer, int) else 200)
                    if answer in (301, 302, 307, 308):
                        self.send_header("Location", listener.elsewhere)
                    if answer == "drips":
                        self.wfile.write(b"HTTP/1.1 200 OK\r\n")
                        for _ in range(30):
                            self.wfile.write(b"X: y\r\n")
                            time.sleep(0.05)
                    self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self.elsewhere = "http://127.0.0.1:9/"
        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, args=(0.01,), daemon=True).start()

    @property
    def host(self) -> str:
        return f"127.0.0.1:{self.server.server_port}"


@pytest.fixture
def listen() -> Iterator[Any]:
    started: list[Listener] = []

    def start(*script: int | str) -> Listener:
        started.append(Listener(*(script or (200,))))
        return started[-1]

    yield start
    for listener in started:
        listener.server.shutdown()
        listener.server.server_close()


@pytest.fixture(autouse=True)
def brief(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "PAUSES", (0.01, 0.01))
    monkeypatch.setattr(notices, "PATIENCE", 0.3)
    for name in (ADDRESS, "PREFECT_API_URL", "PREFECT_API_KEY", "PREFECT_API_AUTH_STRING", "HTTP_PROXY", "http_proxy"):
        monkeypatch.delenv(name, raising=False)


def test_the_decision_is_posted(listen: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    listener = listen(204)
    monkeypatch.setenv(ADDRESS, f"http://me:se%40cret@{listener.host}/hooks/T0KEN?channel=ml")
    notify(DECISION)
    ((path, headers, body),) = listener.told
    assert path == "/hooks/T0KEN?channel=ml" and headers["Idempotency-Key"] == DECISION.id
    assert base64.b64decode(headers["Authorization"].split()[1]) == b"me:se@cret"
    assert Decision.model_validate(body["decision"]) == DECISION and body["event"] == "ulmfit.model.promoted"
    assert body["text"] == "tickets é version 7 promoted: it is better"
    assert caplog.text == ""


def test_prefect_gets_an_event_a_decision(listen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = listen(500, 204)
    monkeypatch.setenv("PREFECT_API_URL", f"http://{listener.host}/api/")
    monkeypatch.setenv("PREFECT_API_AUTH_STRING", "admin:pw")
    notify(DECISION)
    (path, headers, (first,)), (_, _, (second,)) = listener.told
    assert path == "/api/events" and first == second and headers["Authorization"] == "Basic " + base64.b64encode(b"admin:pw").decode()
    assert first["event"] == "ulmfit.model.promoted" and first["resource"]["prefect.resource.id"] == "ulmfit.model.tickets é"


@pytest.mark.parametrize(
    ("script", "tries", "said"),
    [
        ((500, 503, 200), 3, None),
        ((429, 200), 2, None),
        (("slow", 200), 2, None),
        (("closes", 200), 2, None),
        ((500,), 3, "HTTP 500"),
        ((404,), 1, "HTTP 404"),
        ((401,), 1, "HTTP 401"),
        ((302,), 1, "HTTP 302"),
        ((308,), 1, "HTTP 308"),
        (("slow",), 3, "Timeout"),
        (("closes",), 3, "RemoteDisconnected"),
    ],
)
def test_what_may_pass_is_tried_again_and_what_fails_is_logged(
    listen: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    script: tuple[int | str, ...],
    tries: int,
    said: str | None,
) -> None:
    listener, elsewhere = listen(*script), listen()
    listener.elsewhere = f"http://{elsewhere.host}/"
    monkeypatch.setenv(ADDRESS, f"http://{listener.host}/SECRET")
    notify(DECISION)
    assert len(listener.told) == tries and not elsewhere.told
    assert (said in caplog.text if said else caplog.text == "") and "SECRET" not in caplog.text


def test_an_answer_without_end_is_given_up(listen: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(notices, "IN_ALL", 0.2)
    monkeypatch.setenv(ADDRESS, f"http://{listen('drips').host}/")
    notify(DECISION)
    assert "does not come to an end" in caplog.text


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/SECRET",
        "file:///etc/SECRET",
        "host/SECRET",
        "http://",
        "https:///SECRET",
        "http://h:x/SECRET",
        "http://h/SEC RET\n.",
        "http://[::1/SECRET",
    ],
)
def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str) -> None:
    monkeypatch.setenv(ADDRESS, address)
    with pytest.raises(UserError, match=f"{ADDRESS}: no address that a notice can be sent to; give one as https"):
        check_address()
    notify(DECISION)
    assert ADDRESS in caplog.text and "SECRET" not in caplog.text and "RET" not in caplog.text


@pytest.mark.parametrize("address", ["http://127.0.0.1:9/SECRET", "http://nowhere.invalid/SECRET", "https://127.0.0.1:9/SECRET"])
def test_nobody_there(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, address: str) -> None:
    monkeypatch.setenv(ADDRESS, address)
    monkeypatch.setenv("PREFECT_API_URL", "http://127.0.0.1:9/api")
    notify(DECISION)
    assert caplog.text.count("what was decided stands") == 2 and "SECRET" not in caplog.text


def test_variables_that_cannot_be_read_are_a_line(listen: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    for name, value in (
        ("PREFECT_CLIENT_CUSTOM_HEADERS", "{no json"),
        ("PREFECT_API_SSL_CERT_FILE", "/no/such/file"),
        ("PREFECT_API_KEY", "a\nb"),
    ):
        with monkeypatch.context() as patch:
            patch.setenv("PREFECT_API_URL", f"http://{listen().host}/api")
            patch.setenv(name, value)
            caplog.clear()
            notify(DECISION)
            assert len(caplog.records) == 1


def test_what_came_of_a_decision_names_the_event(listen: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    listener = listen()
    monkeypatch.setenv(ADDRESS, f"http://{listener.host}/")
    compared = DECISION.model_copy(update={"what": "compared"})
    for outcome in ("blocked", "held", None):
        notify(compared, outcome)
    assert [body["event"] for _, _, body in listener.told] == ["ulmfit.model.blocked", "ulmfit.model.held", "ulmfit.model.compared"]
    assert listener.told[0][2]["text"] == "tickets é version 7 blocked: it is better"
    assert event_name("nothing to do") == "ulmfit.model.nothing-to-do"
