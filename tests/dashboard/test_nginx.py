"""nginx with TLS before the dashboard, below a path, with the configuration that docs/dashboard.md gives."""

from __future__ import annotations

import re
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from xml.etree import ElementTree

import httpx
import pytest

from cli.prefect_server import free_port
from dashboard.feed import ATOM
from infra.local.credentials import make_certificate
from tests.conftest import ROOT
from tests.dashboard.home import MODEL, Home
from tests.dashboard.test_away import Dashboard
from tests.report.example import Page

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

NGINX = shutil.which("nginx", path="/usr/sbin:/usr/local/sbin:/usr/bin:/usr/local/bin")
TOKEN = "a-token-for-those-who-look"
BELOW = "/ulmfit"
PAGES = ("/", "/models", f"/model?name={MODEL}", "/data", f"/lineage?name={MODEL}", "/studies", "/runs?parts=true", "/cost")


def documented() -> str:
    """The server block of the documentation."""
    found = re.search(r"^    server \{\n.*?^    \}\n", (ROOT / "docs/dashboard.md").read_text(), re.MULTILINE | re.DOTALL)
    assert found
    return found.group()


@contextmanager
def nginx(folder: Path, behind: str) -> Iterator[str]:
    """nginx before the site at ``behind``; its address."""
    port = free_port()
    make_certificate(folder / "team.pem", folder / "team-key.pem")
    block = documented()
    for said, here in (
        ("listen 443", f"listen 127.0.0.1:{port}"),
        ("/etc/ssl/team-key.pem", str(folder / "team-key.pem")),
        ("/etc/ssl/team.pem", str(folder / "team.pem")),
        ("http://127.0.0.1:8050", behind),
    ):
        assert said in block
        block = block.replace(said, here)
    own = "".join(f"    {kind}_temp_path {folder / kind};\n" for kind in ("client_body", "proxy", "fastcgi", "uwsgi", "scgi"))
    (folder / "nginx.conf").write_text(f"pid {folder / 'pid'};\ndaemon off;\nevents {{}}\nhttp {{\n    access_log off;\n{own}{block}}}\n")
    (folder / "client_body").mkdir()
    command = [str(NGINX), "-p", str(folder), "-e", str(folder / "error.log"), "-c", str(folder / "nginx.conf")]
    with open(folder / "said", "wb") as said:
        process = subprocess.Popen(command, stdout=said, stderr=said)
    try:
        _wait(port)
        yield f"https://127.0.0.1:{port}"
    finally:
        process.terminate()
        process.wait(20)


def _wait(port: int) -> None:
    """Until somebody listens there."""
    deadline = time.monotonic() + 60
    while True:
        try:
            return socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            assert time.monotonic() < deadline, "nobody listens"
            time.sleep(0.05)


@pytest.fixture
def proxy(lived: Home, tmp_path: Path) -> Iterator[str]:
    if NGINX is None:
        pytest.skip("nginx is not installed (Debian: apt-get install nginx-light)")
    (tmp_path / "token").write_text(TOKEN)
    (tmp_path / "nginx").mkdir()
    site = Dashboard(tmp_path, options=("--read-only-token", str(tmp_path / "token")))
    try:
        _wait(int(site.url.rpartition(":")[2]))
        with nginx(tmp_path / "nginx", site.url) as address:
            yield address
    finally:
        site.end()


def test_all_of_the_site_is_below_the_path(proxy: str) -> None:
    base = f"{proxy}{BELOW}"
    with httpx.Client(verify=False, timeout=60) as client:
        assert client.get(base).headers["location"] == f"{base}/"
        assert client.get(f"{proxy}/elsewhere").status_code in (403, 404), "nginx answers what is not below the path"
        assert client.get(f"{base}/api/v1/models").status_code == 401
        assert client.get(f"{base}/healthz").text == "ready\n"

        asked = client.get(f"{base}/", headers={"accept": "text/html"})
        assert asked.status_code == 401 and f'action="{BELOW}/login"' in asked.text
        assert client.post(f"{base}/login", data={"token": "wrong" * 5}).status_code == 401
        logged_in = client.post(f"{base}/login", data={"token": TOKEN})
        assert (logged_in.status_code, logged_in.headers["location"]) == (303, f"{BELOW}/")
        cookie = logged_in.headers["set-cookie"]
        assert f"Path={BELOW};" in cookie and "Secure" in cookie and TOKEN not in cookie

        links: set[str] = set()
        for page in PAGES:
            answer = client.get(f"{base}{page}")
            assert answer.status_code == 200, page
            links |= {target for _, target in Page(answer.text).targets if target and not target.startswith("#")}
        assert len(links) > 20 and not [link for link in links if not link.startswith((f"{BELOW}/", "?"))]
        for link in sorted(links):
            answer = client.get(f"{proxy}{link}" if link.startswith("/") else f"{base}/runs{link}")
            assert answer.status_code == 200, link
        assert any(".css" in link for link in links) and any(".js" in link for link in links)

        away = client.get(f"{base}/runs/")
        assert away.status_code == 404 or away.headers["location"] == f"{base}/runs"
        assert [model["name"] for model in client.get(f"{base}/api/v1/models").json()] == [MODEL]
        feed = ElementTree.fromstring(client.get(f"{base}/feed.atom").content)
        targets = [link.get("href", "") for link in feed.iter(f"{{{ATOM}}}link")]
        assert len(targets) > 3 and all(target.startswith(f"{base}/") for target in targets)
        assert {client.get(target).status_code for target in targets} == {200}


def test_a_program_gives_the_token_as_a_header(proxy: str) -> None:
    with httpx.Client(verify=False, timeout=60, headers={"Authorization": f"Bearer {TOKEN}"}) as client:
        for path in ("/api/v1/models", "/metrics", "/feed.atom", "/"):
            assert client.get(f"{proxy}{BELOW}{path}").status_code == 200, path
