"""How fast the dashboard's pages are: server time of each, 50 clients at once, first paint in headless Chromium.

    python benchmarks/dashboard_workspace.py /tmp/large
    python benchmarks/dashboard_pages.py /tmp/large [--requests 60] [--clients 50] [--seconds 60] [--no-browser]

The dashboard runs as a process of its own. Server time is taken at this end of the wire, one request after the other, so it holds HTTP, the
query, the page and its way here. The limits are those of the project: 150 ms at the 95th percentile, no error, first paint under 1 s.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import httpx
import numpy as np

LIMIT, PAINT = 0.150, 1.0  # seconds
START = 300.0  # seconds that the dashboard may take to have read all
PAINTS = 5  # first paints of each page
FIRST_PAINT = """new Promise(done => new PerformanceObserver(list => {
  const found = list.getEntriesByName("first-contentful-paint")
  if (found.length) done(found[0].startTime)
}).observe({type: "paint", buffered: true}))"""


@dataclass(frozen=True)
class Timed:
    """Seconds of requests, how many failed, and the seconds of a core that the server took for each, on average."""

    seconds: Sequence[float]
    failed: int = 0
    core: float = 0.0

    def at(self, share: float) -> float:
        """The quantile in milliseconds."""
        return 1000 * float(np.quantile(self.seconds, share))


@contextmanager
def dashboard(workspace: Path) -> Iterator[tuple[str, int]]:
    """The dashboard of a workspace as a process; its address and the process's id, once its read model is filled."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MLFLOW_", "PREFECT_", "ULMFIT_"))}
    command = [sys.executable, "-m", "ulmfit", "dashboard", "--workspace", str(workspace), "--port", str(port)]
    process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        address = f"http://127.0.0.1:{port}"
        _wait(address)
        yield address, process.pid
    finally:
        process.terminate()
        process.wait()


def _wait(address: str) -> None:
    """Until every source was read once."""
    until = time.monotonic() + START
    while time.monotonic() < until:
        time.sleep(1)
        try:
            known = {source["name"]: source["state"] for source in httpx.get(f"{address}/api/v1/sources").json()}
        except httpx.HTTPError:
            continue
        if len(known) >= 7 and "down" not in known.values():
            return
    raise SystemExit("the dashboard has not read the workspace in time")


def addresses(base: str) -> dict[str, str]:
    """Each page by its name, of the largest things there are."""
    ask = lambda path, **query: httpx.get(base + path, params=query, timeout=60).json()
    runs = [run["id"] for run in ask("/api/v1/runs")["runs"]]
    arrival = ask("/api/v1/data", name="tickets")["arrivals"]["arrivals"][0]["id"]
    study = ask("/api/v1/studies")[0]["name"]
    return {
        "Now": "/", "Models": "/models", "Model": "/model?name=tickets", "Data": "/data?name=tickets", "Files": "/files?name=tickets",
        "Quarantine": f"/quarantine?name=tickets&arrival={arrival}", "Lineage": "/lineage?name=tickets", "Readers": "/readers?file=mail",
        "Studies": "/studies", "Study": f"/study?name={study}", "Runs": "/runs?parts=true", "Run": f"/run?id={runs[1]}",
        "Compare": f"/compare?run={runs[1]}&run={runs[2]}", "Cost": "/cost?rate=1.2", "Metrics": "/metrics", "Feed": "/feed.atom",
    }  # fmt: skip


def core_seconds(process: int) -> float:
    """The seconds of a core that a process has taken so far."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def one_by_one(base: str, process: int, pages: Mapping[str, str], requests: int) -> dict[str, Timed]:
    """Each page so many times, after a first time that does not count."""
    found = {}
    with httpx.Client(base_url=base, timeout=60) as client:
        for name, path in pages.items():
            client.get(path).raise_for_status()
            seconds, before = [], core_seconds(process)
            for _ in range(requests):
                started = time.perf_counter()
                client.get(path).raise_for_status()
                seconds.append(time.perf_counter() - started)
            found[name] = Timed(seconds, core=(core_seconds(process) - before) / requests)
    return found


async def together(base: str, pages: Mapping[str, str], clients: int, seconds: float) -> Timed:
    """So many clients, each of which asks for one page after the other, without a pause, for so long."""
    taken: list[float] = []
    failed, until = 0, time.monotonic() + seconds

    async def look(number: int, client: httpx.AsyncClient) -> None:
        nonlocal failed
        paths = list(pages.values())
        while time.monotonic() < until:
            started = time.perf_counter()
            try:
                answer = await client.get(paths[number % len(paths)])
                failed += answer.status_code != 200
            except httpx.HTTPError:
                failed += 1
            taken.append(time.perf_counter() - started)
            number += 1

    async with httpx.AsyncClient(base_url=base, timeout=60, limits=httpx.Limits(max_connections=clients)) as client:
        await asyncio.gather(*(look(number, client) for number in range(clients)))
    return Timed(taken, failed)


def first_paints(base: str, pages: Mapping[str, str]) -> dict[str, Timed]:
    """First contentful paint of each page in headless Chromium, in a new context each time, so with nothing kept from before."""
    from playwright.sync_api import sync_playwright

    program = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
    found = {}
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=["--no-sandbox"])
        for name, path in pages.items():
            seconds = []
            for _ in range(PAINTS):
                context = browser.new_context(viewport={"width": 1280, "height": 900})
                page = context.new_page()
                page.goto(base + path)
                seconds.append(page.evaluate(FIRST_PAINT) / 1000)
                context.close()
            found[name] = Timed(seconds)
        browser.close()
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("workspace", type=Path)
    parser.add_argument("--requests", type=int, default=60)
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--no-browser", action="store_true")
    options = parser.parse_args()
    with dashboard(options.workspace) as (base, process):
        pages = addresses(base)
        alone = one_by_one(base, process, pages, options.requests)
        shown = {name: path for name, path in pages.items() if name not in ("Metrics", "Feed")}
        paints = {} if options.no_browser else first_paints(base, shown)
        print("| page | server, median ms | 95% | of a core | first paint, median ms | slowest |\n|---|---:|---:|---:|---:|---:|")
        for name, timed in alone.items():
            paint = f"{paints[name].at(0.5):.0f} | {paints[name].at(1.0):.0f}" if name in paints else " | "
            print(f"| {name} | {timed.at(0.5):.1f} | {timed.at(0.95):.1f} | {1000 * timed.core:.1f} | {paint} |")
        load = asyncio.run(together(base, pages, options.clients, options.seconds))
    slowest, painted = max(each.at(0.95) for each in alone.values()), max((each.at(0.5) for each in paints.values()), default=0.0)
    print(
        f"\nslowest page at 95%: {slowest:.0f} ms, {slowest / 1000 / LIMIT:.2f} of the limit; first paint: {painted:.0f} ms, {painted / 1000 / PAINT:.2f}\n"
        f"{options.clients} clients for {options.seconds:.0f} s: {len(load.seconds):,} requests, {load.failed} errors, "
        f"median {load.at(0.5):.0f} ms, 95% {load.at(0.95):.0f} ms"
    )


if __name__ == "__main__":
    main()
