"""Every page in a real browser, on a screen, a phone and in the dark: what it looks like, loads and says, and how one gets about without a mouse.

ULMFIT_SCREENSHOTS names a folder that keeps the pictures.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn

from benchmarks.dashboard_workspace import Size, furnish
from dashboard.app import create_app
from dashboard.read_model.database import FILE, Database
from dashboard.read_model.refreshing import Refreshing
from dashboard.site import Site
from tests.dashboard.conftest import VARIABLES

MISSING = [name for name in ("playwright", "axe_core_python") if importlib.util.find_spec(name) is None]
CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(bool(MISSING), reason=f"not installed: {', '.join(MISSING)}"),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium; Debian's package is named chromium"),
]

SCREENS: dict[str, dict[str, Any]] = {
    "desktop": {"viewport": {"width": 1280, "height": 900}},
    "dark": {"viewport": {"width": 1280, "height": 900}, "color_scheme": "dark"},
    "phone": {"viewport": {"width": 390, "height": 844}, "device_scale_factor": 2, "has_touch": True},
}
PAGES = {
    "now": "/",
    "models": "/models",
    "model": "/model?name=tickets",
    "data": "/data?name=tickets",
    "files": "/files?name=tickets",
    "lineage": "/lineage?name=tickets",
    "readers": "/readers?file=mail",
    "studies": "/studies",
    "runs": "/runs",
    "cost": "/cost?rate=1.2",
    "fault": "/nothing",
}
LISTEN = (
    "addEventListener('securitypolicyviolation', event => console.error('policy: ' + event.violatedDirective + ' ' + event.blockedURI))"
)
FOCUSABLE = 'a[href], button, input:not([type=hidden]), select, summary, [tabindex=\\"0\\"]'
OVERFLOW = "document.documentElement.scrollWidth - document.documentElement.clientWidth"


@dataclass
class Seen:
    """What a browser was up to: what it complained of, and where it asked."""

    complaints: list[str] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """A workspace with a long life behind it."""
    with pytest.MonkeyPatch.context() as patch:
        for name in VARIABLES:
            patch.delenv(name, raising=False)
        workspace = furnish(tmp_path_factory.mktemp("large") / "home", Size(runs=60, versions=8, studies=3))
        database = Database(workspace.root / FILE)
        database.set_up()
        Refreshing(workspace, database).read_all()
        yield Site(workspace, database)


@contextmanager
def served(site: Site, root_path: str = "") -> Iterator[str]:
    """The site on a port of this machine; its address."""
    with socket.create_server(("127.0.0.1", 0)) as listening:
        server = uvicorn.Server(uvicorn.Config(create_app(site, root_path=root_path), log_level="error"))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]}, daemon=True)
        thread.start()
        while not server.started:
            time.sleep(0.05)
        yield f"http://127.0.0.1:{listening.getsockname()[1]}{root_path}"
        server.should_exit = True
        thread.join()


@pytest.fixture(scope="module")
def address(site: Site) -> Iterator[str]:
    with served(site) as found:
        yield found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield browser
        browser.close()


@contextmanager
def opened(browser: Any, screen: str, target: str) -> Iterator[tuple[Any, Seen]]:
    """A page that has loaded, and what was seen meanwhile."""
    seen, context = Seen(), browser.new_context(**SCREENS[screen])
    context.add_init_script(LISTEN)
    page = context.new_page()
    page.on("console", lambda message: seen.complaints.append(message.text) if message.type in ("error", "warning") else None)
    page.on("pageerror", lambda error: seen.complaints.append(str(error)))
    page.on("request", lambda request: seen.asked.append(request.url))
    page.goto(target, wait_until="networkidle")
    yield page, seen
    context.close()


def pages(site: Site) -> dict[str, str]:
    """All of them by name: those that need an id of something too."""
    with site.reading() as reading:
        studies = {row["name"].partition("-")[0]: row["name"] for row in reading.execute("select name from studies order by name")}
        runs = [row["id"] for row in reading.execute("select id from runs where parent is null order by started desc limit 3")]
        (arrival,) = reading.execute("select max(id) from landed where folder like 'tickets%'").fetchone()
    more = {f"study-{kind}": f"/study?name={study}" for kind, study in studies.items()}
    more |= {"run": f"/run?id={runs[1]}", "compare": f"/compare?run={runs[1]}&run={runs[2]}"}
    return PAGES | more | {"quarantine": f"/quarantine?name=tickets&arrival={arrival}"}


def violations(page: Any) -> list[str]:
    """What axe-core finds at fault."""
    page.evaluate(resources.files("axe_core_python").joinpath("axe.min.js").read_text(encoding="utf-8"))
    found = page.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [f"{each['id']}: {each['help']}: {node['target']}" for each in found for node in each["nodes"]]


@pytest.mark.timeout(900)
@pytest.mark.parametrize("screen", SCREENS)
def test_pages_load_nothing_from_elsewhere_fit_the_screen_and_can_be_read_by_all(
    screen: str, site: Site, address: str, browser: Any, tmp_path: Path
) -> None:
    kept = Path(os.environ.get("ULMFIT_SCREENSHOTS", tmp_path))
    faults = []
    for name, path in pages(site).items():
        with opened(browser, screen, address + path) as (page, seen):
            page.screenshot(path=kept / f"{name}-{screen}.png", full_page=True, animations="disabled")
            expected = [] if name != "fault" else [text for text in seen.complaints if "404" in text]
            faults += [f"{name}: {text}" for text in seen.complaints if text not in expected]
            faults += [f"{name} asks {url}" for url in seen.asked if not url.startswith((f"{address}/", "data:"))]
            faults += [f"{name} is {page.evaluate(OVERFLOW)} pixels too wide"] if page.evaluate(OVERFLOW) > 0 else []
            faults += [f"{name}: {text}" for text in violations(page)]
    assert faults == []


@pytest.mark.parametrize("name", ["now", "data", "lineage", "studies"])
def test_the_keyboard_reaches_everything_in_the_order_of_the_page(name: str, address: str, browser: Any) -> None:
    with opened(browser, "desktop", address + PAGES[name]) as (page, _):
        wanted = page.evaluate(f"[...document.querySelectorAll('{FOCUSABLE}')].filter(each => each.checkVisibility()).length")
        page.evaluate("window.reached = []; document.addEventListener('focusin', event => window.reached.push(event.target))")
        for _ in range(wanted):
            page.keyboard.press("Tab")
        assert page.evaluate("new Set(window.reached).size") == wanted
        assert page.evaluate("window.reached[0].className") == "skip"
        in_order = (
            "window.reached.every((each, at, all) => !at || all[at - 1].compareDocumentPosition(each) & Node.DOCUMENT_POSITION_FOLLOWING)"
        )
        assert page.evaluate(in_order)


def test_a_box_of_the_lineage_leads_to_its_facts(address: str, browser: Any) -> None:
    with opened(browser, "desktop", address + PAGES["lineage"]) as (page, _):
        boxes = page.locator("svg.lineage a")
        assert boxes.count() == page.locator("ol.nodes > li").count()
        boxes.first.focus()
        page.keyboard.press("Enter")
        assert page.locator("li.node:target").is_visible()


def test_below_the_path_of_a_proxy_all_addresses_stay_there(site: Site, browser: Any) -> None:
    with served(site, "/team/ulmfit") as below:
        for name, path in pages(site).items():
            if name != "fault":
                with opened(browser, "desktop", below + path) as (page, seen):
                    targets = page.evaluate(
                        "[...document.querySelectorAll('[href]')].map(each => new URL(each.getAttribute('href'), location).pathname)"
                    )
                    strange = {
                        path for path in (*targets, *(urlsplit(url).path for url in seen.asked)) if not path.startswith("/team/ulmfit/")
                    }
                    assert (strange, seen.complaints) == (set(), []), name
