"""What the tests share: a corpus written here, one Prefect server a session, and the command line as a process."""

from __future__ import annotations

import csv
import json
import os
import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.flows.life import Life

ROOT = Path(__file__).parent.parent

# In the background of a shell SIGINT is ignored, which all processes inherit; a worker of Prefect's then never ends.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

TOPICS = {
    "account": "password login email profile locked reset",
    "billing": "invoice charge refund payment card fee",
    "delivery": "parcel courier late address tracking box",
    "network": "router wifi signal outage cable speed",
}
FILL = "the customer says that it was on monday and we could not help them with this because our team is away please"


def ticket(rng: random.Random, topic: str) -> str:
    """A made-up support ticket; about one word in four belongs to its topic."""
    words, fill = TOPICS[topic].split(), FILL.split()
    return " ".join(rng.choice(words) if rng.random() < 0.25 else rng.choice(fill) for _ in range(rng.randint(8, 40))).capitalize() + "."


def write_tickets(path: Path, rows: int, seed: int = 1) -> Path:
    """A csv with columns of its own names: ``no``, ``body``, ``topic``."""
    rng = random.Random(seed)
    with open(path, "w", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["no", "body", "topic"])
        for number in range(rows):
            topic = rng.choice(sorted(TOPICS))
            writer.writerow([number, ticket(rng, topic), topic])
    return path


def write_general(path: Path, documents: int = 400, seed: int = 2) -> Path:
    """General text, a document per line."""
    rng = random.Random(seed)
    words = FILL.split() + [word for topic in TOPICS.values() for word in topic.split()]
    path.write_text("".join(" ".join(rng.choice(words) for _ in range(60)) + ".\n" for _ in range(documents)))
    return path


@dataclass(frozen=True)
class Finished:
    """A command that has ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        return json.loads(self.out.strip().splitlines()[-1])


class CommandLine:
    """``ulmfit`` as users run it: a process of its own."""

    def __init__(self, folder: Path, environment: dict[str, str], patience: float = 200):
        self.folder, self.environment, self.patience = folder, environment, patience

    def start(self, *arguments: str, **extra: str) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-m", "ulmfit", *arguments],
            cwd=self.folder,
            env={**self.environment, **extra},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def __call__(self, *arguments: str, **extra: str) -> Finished:
        process = self.start(*arguments, **extra)
        try:
            out, err = process.communicate(timeout=self.patience)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            out, err = process.communicate()
            pytest.fail(f"ulmfit {' '.join(arguments)} did not end; it said: {err[-2000:]}")
        return Finished(process.returncode, out, err)


@pytest.fixture
def one_thread() -> Iterator[None]:
    """Torch works on one core, for the same bits and times on all machines."""
    import torch  # here, as most tests need none

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="session")
def prefect_api(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """One real Prefect server for the session."""
    from cli.prefect_server import prefect_server
    from tasks.workspace import Workspace

    before = dict(os.environ)
    os.environ.pop("PREFECT_API_URL", None)
    try:
        with prefect_server(Workspace.open(tmp_path_factory.mktemp("prefect"))) as url:
            yield url
    finally:
        os.environ.clear()
        os.environ.update(before)


@pytest.fixture(scope="session")
def tracked(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A workspace whose MLflow database is set up, which takes seconds. Tests copy it: a workspace can be copied."""
    from tasks.tracking import Tracker
    from tasks.workspace import Workspace

    workspace = Workspace.open(tmp_path_factory.mktemp("tracked") / "workspace")
    Tracker.open(workspace, "ulmfit-first")
    return workspace.root


@pytest.fixture(scope="session")
def ulmfit(prefect_api: str, tmp_path_factory: pytest.TempPathFactory) -> CommandLine:
    """The command line, with that server and nothing of the user's own surroundings."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("ULMFIT_", "MLFLOW_", "PREFECT_"))}
    environment = kept | {"PREFECT_API_URL": prefect_api, "PYTHONPATH": str(ROOT), "PREFECT_HOME": str(tmp_path_factory.mktemp("home"))}
    return CommandLine(tmp_path_factory.mktemp("cwd"), environment)


@pytest.fixture
def life(tracked: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """A model that nothing has landed for yet."""
    from tests.flows.life import begin

    shutil.copytree(tracked, tmp_path / "home")
    return begin(tmp_path, monkeypatch)


@pytest.fixture(scope="session")
def grown(tracked: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with a first version, and new files that are not looked at yet."""
    from tests.flows.life import begin

    root = tmp_path_factory.mktemp("grown")
    shutil.copytree(tracked, root / "home")
    with pytest.MonkeyPatch.context() as patch:
        young = begin(root, patch)
        young.land("a.csv", 150, 1)
        assert young.retrain().outcome == "first version"
    young.land("b.csv", 80, 2)
    return root


@pytest.fixture
def older(grown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Life:
    """A copy of it; the next training is better."""
    from tests.flows.life import begin

    shutil.copytree(grown, tmp_path, dirs_exist_ok=True)
    begun = begin(tmp_path, monkeypatch)
    begun.right = 0.9
    return begun
