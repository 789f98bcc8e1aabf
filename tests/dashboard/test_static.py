"""What a browser loads: the libraries that lie in the tree are those that their digests name."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path

from fastapi.testclient import TestClient

from dashboard.static_files import StaticFiles

FOLDER = Path(__file__).parents[2] / "dashboard" / "static"
OURS = {"dashboard.css", "dashboard.js", "icon.svg", "README.md", "vendored.sha256"}


def test_vendored_files_have_their_digests_and_licences() -> None:
    listed = dict(reversed(line.split()) for line in (FOLDER / "vendored.sha256").read_text().splitlines())
    assert {name: hashlib.sha256((FOLDER / name).read_bytes()).hexdigest() for name in listed} == listed
    assert {file.name for file in FOLDER.iterdir()} - OURS == listed.keys()
    assert {"htmx.LICENSE", "uPlot.LICENSE"} <= listed.keys()


def test_our_files_load_nothing_from_elsewhere() -> None:
    found = StaticFiles.read().contents
    for name in ("dashboard.css", "report.css", "uPlot.min.css"):
        assert not re.search(rb"url\(|@import|https?:", found[name]), name


def test_files_are_served_by_name_alone(looking: TestClient) -> None:
    answer = looking.get("/static/dashboard.css")
    assert answer.headers["content-type"].startswith("text/css") and "immutable" in answer.headers["cache-control"]
    for name in ("..%2Fapp.py", "%2e%2e/app.py", "vendored.sha256", "%2e%2e", "README.md", "%2Fetc%2Fpasswd"):
        answer = looking.get(f"/static/{name}")
        assert answer.status_code == 404 or answer.url.path == "/", name
