"""The server under many clients: answers checked, throughput beside one request at a time, latency at four rates, beside MLflow's server.

    python benchmarks/serving.py [--clients 50] [--each 10] [--words 200] [--peer]

The model is that of ``benchmarks/latency.py``: the sizes of the preset ``small``, weights by chance. Server and clients share the
machine. ``--peer``: the same requests to ``mlflow models serve``, by its own command.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import psutil
from latency import make_model, texts_of
from measuring import hardware
from mlflow.pyfunc import scoring_server

from tasks.registry import save_pyfunc
from ulmfit.prediction.predictor import Predictor
from ulmfit.text.vocab import Vocab

ROOT = Path(__file__).parent.parent
SHARES = (0.25, 0.5, 0.75, 0.9)  # of the greatest throughput: the four rates
SAME = 1e-6  # how far an answer may be from the model's own


@dataclass(frozen=True)
class Server:
    """How a server is asked, and where its answer has the probabilities."""

    name: str
    path: str
    body: Callable[[str], dict[str, Any]]
    found: Callable[[Any], list[float]]


OURS = Server(
    "ulmfit serve", "/predict", lambda text: {"texts": [text]}, lambda answer: list(answer["predictions"][0]["probabilities"].values())
)
PEER = Server(
    "mlflow models serve",
    "/invocations",
    lambda text: {"inputs": [text]},
    lambda answer: [value for name, value in answer["predictions"][0].items() if name.startswith("probability_")],
)


@contextmanager
def running(command: Sequence[str], port: int, ready: str, **extra: str) -> Iterator[tuple[str, psutil.Process]]:
    """A server process; its address, and the process. It is asked to stop at the end."""
    process = subprocess.Popen(command, cwd=ROOT, env={**os.environ, **extra}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    address = f"http://127.0.0.1:{port}"
    try:
        while True:
            try:
                if httpx.get(address + ready).status_code == 200:
                    break
            except httpx.TransportError:
                time.sleep(0.2)
            if process.poll() is not None:
                sys.exit(f"the server ended with {process.returncode}")
        yield address, psutil.Process(process.pid)
    finally:
        process.terminate()
        process.wait()


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


class Asking:
    """Sends texts to a server and checks each answer."""

    def __init__(self, server: Server, running: tuple[str, psutil.Process], expected: dict[str, np.ndarray]):
        self.server, self.expected = server, expected
        address, self.process = running
        limits = httpx.Limits(max_connections=None, max_keepalive_connections=None)
        self.client = httpx.AsyncClient(base_url=address, timeout=120, limits=limits, trust_env=False)
        self.wrong = 0

    async def ask(self, text: str) -> float:
        """Seconds until the answer."""
        started = time.perf_counter()
        answer = await self.client.post(self.server.path, json=self.server.body(text))
        seconds = time.perf_counter() - started
        right = answer.status_code == 200 and np.abs(np.array(self.server.found(answer.json())) - self.expected[text]).max() <= SAME
        self.wrong += not right
        return seconds

    def busy(self) -> float:
        """Seconds of processor time that the server has had."""
        used = self.process.cpu_times()
        return used.user + used.system

    async def clients(self, texts: Sequence[str], number: int) -> tuple[float, float, list[float]]:
        """Requests a second, the server's processor time for each, and seconds of each: so many clients, each of which asks again when it
        has its answer."""
        waiting = iter(texts)

        async def client() -> list[float]:
            return [await self.ask(text) for text in waiting]

        started, busy = time.perf_counter(), self.busy()
        seconds = await asyncio.gather(*(client() for _ in range(number)))
        took, busy = time.perf_counter() - started, self.busy() - busy
        return len(texts) / took, busy / len(texts), [one for each in seconds for one in each]

    async def rate(self, texts: Sequence[str], each_second: float) -> list[float]:
        """Seconds of each request: they come by chance, so many a second, whether those before are answered or not."""
        rng = np.random.default_rng(0)
        asked = []
        for text in texts:
            asked.append(asyncio.create_task(self.ask(text)))
            await asyncio.sleep(rng.exponential(1 / each_second))
        return list(await asyncio.gather(*asked))


async def measure(
    server: Server, running: tuple[str, psutil.Process], texts: Sequence[str], expected: dict[str, np.ndarray], clients: int
) -> None:
    asking = Asking(server, running, expected)
    async with asking.client:
        await asking.clients(texts[:5], 1)
        few = texts[: max(20, len(texts) // 10)]
        alone, work, seconds = await asking.clients(few, 1)
        print(f"{server.name}: one at a time {alone:.1f} requests/s, {1000 * work:.1f} ms of processor each; {said(seconds)}", flush=True)
        together, shared, seconds = await asking.clients(texts, clients)
        print(
            f"{server.name}: {clients} clients, {len(texts)} requests {together:.1f} requests/s, {together / alone:.1f} times; "
            f"{1000 * shared:.1f} ms of processor each, {work / shared:.1f} times less; {said(seconds)}",
            flush=True,
        )
        for share in SHARES:
            some = texts[: max(50, len(texts) // 3)]
            print(f"{server.name}: {share * together:6.1f} requests/s, {said(await asking.rate(some, share * together))}", flush=True)
    print(f"{server.name}: {asking.wrong} answers wrong or without success", flush=True)


def said(seconds: Sequence[float]) -> str:
    p50, p95, p99 = (1000 * value for value in np.percentile(seconds, (50, 95, 99)))
    return f"p50 {p50:.0f} ms, p95 {p95:.0f} ms, p99 {p99:.0f} ms"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--clients", type=int, default=50)
    parser.add_argument("--each", type=int, default=10, help="requests of a client")
    parser.add_argument("--words", type=int, default=200)
    parser.add_argument("--peer", action="store_true")
    arguments = parser.parse_args()
    print(f"{hardware()}; load average {os.getloadavg()[0]:.1f}; {arguments.words} words per text")
    with tempfile.TemporaryDirectory() as work:
        folder = make_model(Path(work))
        texts = texts_of(Vocab.load(folder / "vocab.json"), arguments.clients * arguments.each, arguments.words)
        expected = dict(zip(texts, Predictor(folder).probabilities(texts, shown=False), strict=True))
        port = free_port()
        with running([sys.executable, "-m", "ulmfit", "serve", str(folder), "--port", str(port)], port, "/readyz") as server:
            asyncio.run(measure(OURS, server, texts, expected, arguments.clients))
        if arguments.peer:
            save_pyfunc(folder, Path(work) / "pyfunc")
            command, environment = scoring_server.get_cmd(f"{work}/pyfunc", port, "127.0.0.1")
            path = {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
            with running(command.split(), port, "/ping", **environment | path) as server:
                asyncio.run(measure(PEER, server, texts[: 4 * arguments.clients], expected, arguments.clients))


if __name__ == "__main__":
    main()
