"""Fifty retrainings in which processes and servers are killed at random moments, beside the same story in which nothing goes wrong.

``make soak``; the number of cycles, the seed and a file for the table come from ULMFIT_SOAK_CYCLES, ULMFIT_SOAK_SEED, ULMFIT_SOAK_TABLE; how late a kill may come, from ULMFIT_SOAK_MOMENT.
"""

from __future__ import annotations

import json
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pyarrow.dataset as ds
import pytest

from tests.conftest import ROOT, write_general
from tests.soak.services import Service, services
from tests.soak.story import Story
from ulmfit.store.artifacts import Store

pytestmark = [pytest.mark.soak, pytest.mark.timeout(3 * 3600)]

CYCLES, SEED = int(os.environ.get("ULMFIT_SOAK_CYCLES", "50")), int(os.environ.get("ULMFIT_SOAK_SEED", "0"))
TRIES = 4  # of one cycle: it is killed in the first one at most
PATIENCE = 300.0  # seconds of a retraining
MOMENT = float(os.environ.get("ULMFIT_SOAK_MOMENT", "20"))  # kills come within so many seconds of its beginning
MODEL = "tickets"
POLICY = """min_documents: 30
min_labels: 10
cold_every: 4
settle_seconds: 0.2
gate: {mode: not-worse, margin: 0.3, min_rows: 20, min_slice_rows: 1000, max_latency_factor: null}
"""
GROWTH = 1.25  # of a server's memory from the second quarter of the cycles to the last one; what is more is a leak


@dataclass
class Life:
    """A story lived in a folder, with servers of its own. ``chaos``: whether things are killed."""

    folder: Path
    chaos: bool
    rows: list[str] = field(default_factory=list)
    memory: dict[str, list[float]] = field(default_factory=dict)
    sides: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.folder.mkdir(parents=True)
        (self.folder / "landing").mkdir()
        (self.folder / "policy.yaml").write_text(POLICY)
        write_general(self.folder / "general.txt", 100)
        self.story = Story(self.folder / "landing", SEED)
        self.rng = random.Random(SEED)
        self.servers, named = services(self.folder / "servers")
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("ULMFIT_", "MLFLOW_", "PREFECT_"))}
        self.environment = clean | named | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", "HOME": str(self.folder)}

    def live(self) -> None:
        """All cycles. AssertionError where one does not come to an end."""
        for server in self.servers.values():
            server.start()
        for cycle in range(CYCLES):
            landed, started = self.story.land(cycle), time.monotonic()
            hit, (code, out) = self._hurt(cycle) if self.chaos and cycle % 2 else ("-", self.run("retrain", *self._request()))
            tries = 1
            while code != 0:
                assert tries < TRIES, f"cycle {cycle} of {self.folder}: {out[-2000:]}"
                code, out = self.run("retrain", *self._request())
                tries += 1
            self._look(cycle)
            self.rows.append(f"| {cycle} | {landed} | {hit} | {tries} | {time.monotonic() - started:.0f} |")

    def end(self) -> None:
        """Stop the servers."""
        for server in self.servers.values():
            server.kill()

    def _request(self) -> list[str]:
        columns = ["--text-column", "body", "--label-column", "topic", "--id-column", "no"]
        options = ["--preset", "tiny", "--set", "classifier.epochs=2", "--set", "pretrain.max_tokens=4000", "--device", "cpu"]
        return ["--landing", "landing", "--model", MODEL, *columns, "--policy", "policy.yaml", *options, "--pretrain", "general.txt"]

    def _start(self, *arguments: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "ulmfit", *arguments, "--workspace", "workspace"],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )

    def run(self, *arguments: str) -> tuple[int, str]:
        process = self._start(*arguments)
        try:
            out, _ = process.communicate(timeout=PATIENCE)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, _ = process.communicate()
            raise AssertionError(f"{arguments[0]} in {self.folder} did not end: {out[-2000:]}") from None
        return process.returncode, out

    def _hurt(self, cycle: int) -> tuple[str, tuple[int, str]]:
        """Kill one random process at a random moment of a retraining, every fourth time a server: what was killed and when, and how it ended."""
        seconds, process = self.rng.uniform(1.0, MOMENT), self._start("retrain", *self._request())
        with ThreadPoolExecutor(1) as pool:
            reading = pool.submit(process.communicate)
            try:
                out = reading.result(seconds)[0]
                return "nothing: it had ended", (process.returncode, out)
            except TimeoutError:
                hit = self._kill_server() if cycle % 8 == 7 else self._kill_process(process.pid)
            out = reading.result(PATIENCE)[0]
        return f"{hit} after {seconds:.0f} s", (process.returncode, out)

    def _kill_server(self) -> str:
        server: Service = self.servers[self.rng.choice(sorted(self.servers))]
        server.kill()
        time.sleep(1.0)
        server.start()
        return f"{server.name} server, started again,"

    def _kill_process(self, pid: int) -> str:
        try:
            driver = psutil.Process(pid)
            chosen = self.rng.choice(sorted([driver, *driver.children(recursive=True)], key=lambda process: process.pid))
            kind = "the command" if chosen.pid == pid else "a child"
            chosen.kill()
        except psutil.NoSuchProcess:
            return "nothing, it had ended,"
        return kind

    def _look(self, cycle: int) -> None:
        """What must be true after each cycle: no text has changed its side."""
        for name, server in self.servers.items():
            self.memory.setdefault(name, []).append(server.megabytes)
        for text, split in self.corpus():
            side = "train" if split == "unlabelled" else split
            assert self.sides.setdefault(text, side) == side, f"cycle {cycle}: {text[:60]} changed from {self.sides[text]} to {side}"

    def corpus(self) -> list[tuple[str, str]]:
        """Text and split of every document of the latest corpus."""
        found = [each for each in self.store.all() if each.kind == "corpus" and each.manifest.record.get("name") == MODEL]
        latest = max(found, key=lambda each: sum(split["documents"] for split in each.manifest.record["splits"].values()))
        files = sorted(Path(latest.location).glob("part-*.parquet"))
        table = ds.dataset(files).to_table(columns=["text", "split"])
        return list(zip(table["text"].to_pylist(), table["split"].to_pylist(), strict=True))

    @property
    def store(self) -> Store:
        return Store(self.folder / "workspace" / "artifacts", self.folder / "workspace" / "artifacts")

    def history(self) -> dict[str, Any]:
        """What ``ulmfit history --json`` says."""
        code, out = self.run("history", MODEL, "--json")
        assert code == 0, out
        return json.loads(out.strip().splitlines()[-1])


def told(history: dict[str, Any]) -> list[tuple[Any, ...]]:
    """The decisions without times, names and measured seconds."""
    lines = []
    for decision in history["decisions"]:
        cycle, verdict = decision.get("cycle") or {}, decision.get("verdict") or {}
        figures = verdict.get("figures") or {}
        facts = (cycle.get("number"), cycle.get("new"), cycle.get("training"), verdict.get("outcome"), figures.get("accuracy"))
        lines.append((decision["what"], decision.get("version"), decision.get("champion"), *facts))
    return lines


@pytest.fixture(scope="module")
def lives(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """The quiet life and the hard one, lived side by side."""
    folder = tmp_path_factory.mktemp("soak")
    both = Life(folder / "quiet", chaos=False), Life(folder / "hard", chaos=True)
    with ThreadPoolExecutor(2) as pool:
        try:
            for done in [pool.submit(life.live) for life in both]:
                done.result()
            yield both
        finally:
            for life in both:
                life.end()
            if table := os.environ.get("ULMFIT_SOAK_TABLE"):
                heading = ["| cycle | what landed | what was killed | tries | s |", "|---|---|---|---|---|"]
                Path(table).write_text(
                    "\n".join([*heading, *both[1].rows, "", *(f"{name}: {sizes}" for name, sizes in both[0].memory.items()), ""])
                )


def test_every_document_is_counted_once_and_on_one_side(lives: tuple[Life, Life]) -> None:
    for life in lives:
        texts = Counter(text for text, _ in life.corpus())
        assert set(texts) == {text for _, text, _ in life.story.rows.values()}
        assert set(texts.values()) == {1}


def test_the_decisions_are_those_of_the_quiet_life(lives: tuple[Life, Life]) -> None:
    quiet, hard = (told(life.history()) for life in lives)
    assert hard == quiet


def test_there_is_one_champion_and_it_predicts(lives: tuple[Life, Life]) -> None:
    for life in lives:
        (life.folder / "some.csv").write_text("body\nthe parcel is late again\n")
        code, out = life.run("predict", f"models:/{MODEL}@champion", "some.csv", "--text-column", "body")
        assert code == 0 and life.history()["champion"], out


def test_no_process_and_no_half_artifact_is_left(lives: tuple[Life, Life]) -> None:
    for life in lives:
        servers = {server.process.pid for server in life.servers.values() if server.process}
        family = {child.pid for pid in servers for child in psutil.Process(pid).children(recursive=True)} | servers
        left = [process for process in psutil.process_iter(["pid", "cmdline", "cwd"]) if str(life.folder) in str(process.info)]
        assert [process.info for process in left if process.pid not in family] == []
        code, out = life.run("gc", "--keep", "0h", "--json")
        assert code == 0, out
        whats = Counter(item["what"] for item in json.loads(out.strip().splitlines()[-1])["garbage"])
        assert set(whats) <= {"artifact", "note of a source"}, whats


def test_memory_of_the_servers_is_flat(lives: tuple[Life, Life]) -> None:
    for name, sizes in lives[0].memory.items():
        quarter = len(sizes) // 4
        early, late = sorted(sizes[quarter : 2 * quarter]), sorted(sizes[-quarter:])
        assert late[len(late) // 2] <= GROWTH * early[len(early) // 2], (name, sizes)
