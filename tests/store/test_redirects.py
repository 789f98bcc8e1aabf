"""Redirects that are not followed, with real servers."""

from __future__ import annotations

import threading
import urllib.error
import urllib.request
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from ulmfit.errors import UserError
from ulmfit.pretrained.transport import pretrained
from ulmfit.store import redirects
from ulmfit.store.download import Unreachable, download
from ulmfit.store.redirects import GuardedRedirects, is_public


@pytest.fixture
def server() -> Iterator[tuple[str, dict[str, str]]]:
    """Its address, and where it sends whom: path -> address."""
    sends: dict[str, str] = {}

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(302 if self.path in sends else 200)
            if self.path in sends:
                self.send_header("Location", sends[self.path])
            self.end_headers()
            self.wfile.write(b"secret")

        def log_message(self, *_: object) -> None:
            pass

    found = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=found.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{found.server_port}", sends
    found.shutdown()
    found.server_close()


@pytest.mark.parametrize(
    ("host", "public"),
    [
        ("127.0.0.1", False),
        ("localhost", False),
        ("169.254.169.254", False),
        ("10.1.2.3", False),
        ("192.168.0.1", False),
        ("100.64.0.1", False),
        ("0.0.0.0", False),
        ("2130706433", False),
        ("0x7f000001", False),
        ("::1", False),
        ("fe80::1", False),
        ("::ffff:127.0.0.1", False),
        ("93.184.216.34", True),
        ("2606:2800:220:1::1", True),
        ("", False),
        ("no.such.host.invalid", False),
        ("a" * 300, False),
    ],
)
def test_hosts_of_the_open_network(host: str, public: bool) -> None:
    assert is_public(host) is public


def ask(url: str) -> bytes:
    with urllib.request.build_opener(urllib.request.ProxyHandler({}), GuardedRedirects).open(url, timeout=5) as answer:
        return answer.read()


def test_an_open_host_may_not_send_us_inside(server: tuple[str, dict[str, str]], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    address, sends = server
    inside = address.replace("127.0.0.1", "localhost") + "/metadata"
    sends["/lm/manifest.json"] = sends["/file"] = inside
    assert ask(f"{address}/file") == b"secret", "from one host inside to another"
    monkeypatch.setattr(redirects, "is_public", lambda host: host == "127.0.0.1")
    with pytest.raises(urllib.error.HTTPError, match="not followed"):
        ask(f"{address}/file")
    with pytest.raises(UserError, match="not followed"):
        pretrained(f"{address}/lm", tmp_path)
    with pytest.raises(Unreachable, match="not followed"):
        download(f"{address}/file", tmp_path / "file", "sha256:" + "0" * 64)
    assert not any(path.is_file() and b"secret" in path.read_bytes() for path in tmp_path.rglob("*"))


@pytest.mark.parametrize("to", ["file:///etc/passwd", "ftp://127.0.0.1/x", "data:text/plain,x"])
def test_another_scheme_is_not_followed(server: tuple[str, dict[str, str]], to: str) -> None:
    address, sends = server
    sends["/file"] = to
    with pytest.raises(urllib.error.HTTPError):
        ask(f"{address}/file")


def test_https_is_not_left_for_http() -> None:
    request = urllib.request.Request("https://open.example/x")
    with pytest.raises(urllib.error.HTTPError, match="not followed"):
        GuardedRedirects().redirect_request(request, None, 302, "", {}, "http://open.example/x")
