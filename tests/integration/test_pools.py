"""``--stages distributed`` with a real Prefect server and two real workers: the same artifacts as in one process, also past a kill."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

from tests.conftest import ROOT, CommandLine, write_general, write_tickets
from tests.e2e.test_retrain import Team, team, whats  # noqa: F401 - a fixture
from tests.integration.s3 import s3, s3_folder  # noqa: F401 - fixtures
from tests.prefect_rest import ask
from ulmfit.store import filesystem

pytestmark = [pytest.mark.slow, pytest.mark.server, pytest.mark.timeout(1500)]


@contextmanager
def worker(ulmfit: CommandLine, pool: str, log: Path, variables: Mapping[str, str]) -> Iterator[None]:
    command = [sys.executable, "-m", "prefect", "worker", "start", "--pool", pool, "--type", "process", "--limit", "2"]
    environment = {**ulmfit.environment, "PREFECT_WORKER_QUERY_SECONDS": "1", **variables}
    with open(log, "wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=environment, stdout=output, stderr=output)
        try:
            yield
        finally:
            process.terminate()
            process.wait(60)


@contextmanager
def workers(ulmfit: CommandLine, prefect_api: str, tmp_path: Path, **variables: str) -> Iterator[None]:
    """One of each pool. With variables, which say where store and MLflow are, each has a folder of its own, as on another machine."""
    assert ulmfit("deploy").code == 0
    own = {pool: {**variables, "ULMFIT_HOME": str(tmp_path / f"home-{pool}")} if variables else {} for pool in ("cpu", "gpu")}
    with worker(ulmfit, "cpu", tmp_path / "cpu.log", own["cpu"]), worker(ulmfit, "gpu", tmp_path / "gpu.log", own["gpu"]):
        deadline = time.monotonic() + 120
        while not all(ask(f"{prefect_api}/work_pools/{pool}/workers/filter", {}) for pool in ("cpu", "gpu")):
            assert time.monotonic() < deadline, "the workers do not start"
            time.sleep(0.5)
        yield


def flow_runs(prefect_api: str, name: str | None = None) -> list[dict[str, Any]]:
    asked = {"flows": {"name": {"any_": ["stage"]}}, **({"flow_runs": {"name": {"any_": [name]}}} if name else {})}
    return ask(f"{prefect_api}/flow_runs/filter", asked)


def kill_once(prefect_api: str, name: str, stopped: threading.Event) -> None:
    """Kill -9 the process of the first run of that name."""
    while not stopped.wait(0.2):
        for run in flow_runs(prefect_api, name):
            for process in psutil.process_iter():
                try:
                    if process.environ().get("PREFECT__FLOW_RUN_ID") == run["id"] and run["state_type"] == "RUNNING":
                        process.send_signal(signal.SIGKILL)
                        return
                except psutil.Error:
                    continue


def digests(store: str) -> dict[str, str]:
    """All files of all artifacts, but for manifests and lineage, which have times and ids of runs."""
    names = [
        name
        for name in filesystem.files(store)
        if not name.startswith(".") and name.rpartition("/")[2] not in ("artifact.json", "lineage.json")
    ]
    return {name: filesystem.sha256(filesystem.join(store, name)) for name in names}


def options(tmp_path: Path, workspace: str) -> list[str]:
    tickets, general = tmp_path / "tickets.csv", tmp_path / "general.txt"
    return [
        *("--corpus", str(tickets), "--text-column", "body", "--label-column", "topic", "--pretrain", str(general)),
        *("--preset", "tiny", "--set", "words=true", "--dask", "1", "--workspace", str(tmp_path / workspace), "--json"),
    ]


def test_the_same_artifacts_on_two_pools_as_in_one_process(
    ulmfit: CommandLine,
    prefect_api: str,
    tmp_path: Path,
    s3: str,  # noqa: F811
) -> None:
    """Stores are on S3; job and workers share nothing else but MLflow."""
    write_tickets(tmp_path / "tickets.csv", 300)
    write_general(tmp_path / "general.txt", 100)
    keys = {name: value for name, value in os.environ.items() if name.startswith("AWS_")}
    embedded = run(ulmfit, tmp_path, "embedded", **keys, ULMFIT_ARTIFACTS=f"{s3}/embedded")
    shared = {**keys, "ULMFIT_ARTIFACTS": f"{s3}/distributed", "MLFLOW_TRACKING_URI": f"sqlite:///{tmp_path / 'mlflow.db'}"}
    stopped = threading.Event()
    killer = threading.Thread(target=kill_once, args=(prefect_api, "pretrain-forward", stopped))
    with workers(ulmfit, prefect_api, tmp_path, **shared):
        killer.start()
        distributed = run(ulmfit, tmp_path, "distributed", "--stages", "distributed", **shared)
        stopped.set()
        killer.join()
        before = flow_runs(prefect_api)
        again = run(ulmfit, tmp_path, "distributed", "--stages", "distributed", **shared)
        known = {run["id"] for run in before}
        more = {run["name"] for run in flow_runs(prefect_api) if run["id"] not in known}
        assert all(stage["cached"] for stage in again["stages"]) and more == {"ingest", "ingest-general"}, "they say what text it is"
    of_embedded, of_distributed = digests(f"{s3}/embedded"), digests(f"{s3}/distributed")
    assert of_embedded == of_distributed and len(of_embedded) > 40
    strip = lambda summary: [(stage["name"], stage["key"]) for stage in summary["stages"]]
    assert strip(embedded) == strip(distributed) and embedded["results"] == distributed["results"]
    assert not any(stage["cached"] for stage in distributed["stages"])

    ended = [(run["name"], run["state_type"], run["work_pool_name"]) for run in before]
    assert ("pretrain-forward", "CRASHED", "gpu") in ended and ("pretrain-forward", "COMPLETED", "gpu") in ended
    pools = {name: pool for name, _, pool in ended}
    assert pools["ingest"] == pools["encode-general"] == "cpu" and pools["classify-backward"] == "gpu"


def run(ulmfit: CommandLine, tmp_path: Path, workspace: str, *more: str, **variables: str) -> dict[str, Any]:
    process = ulmfit.start("train", *options(tmp_path, workspace), *more, **variables)
    out, err = process.communicate(timeout=1200)
    assert process.returncode == 0, err[-3000:]
    return json.loads(out.strip().splitlines()[-1])


def test_what_ends_a_distributed_job_is_one_line(ulmfit: CommandLine, prefect_api: str, tmp_path: Path) -> None:
    """A column of one label, found at fault by a worker; a run that somebody cancels; a signal. Store and MLflow are in one folder."""
    with workers(ulmfit, prefect_api, tmp_path):
        (tmp_path / "tickets.csv").write_text("no,body,topic\n" + "".join(f"{number},word{number} and more,same\n" for number in range(50)))
        write_general(tmp_path / "general.txt", 100)
        process = ulmfit.start("train", *options(tmp_path, "faults"), "--stages", "distributed")
        _, err = process.communicate(timeout=600)
        assert process.returncode == 2 and "holds one class only" in last(err), err[-2000:]

        write_tickets(tmp_path / "tickets.csv", 300)
        before = {run["id"] for run in flow_runs(prefect_api)}
        process = ulmfit.start("train", *options(tmp_path, "cancelled"), "--stages", "distributed")
        victim = first_new(prefect_api, before)
        ask(f"{prefect_api}/flow_runs/{victim}/set_state", {"state": {"type": "CANCELLING", "name": "Cancelling"}})
        _, err = process.communicate(timeout=600)
        assert process.returncode == 1 and "was cancelled" in last(err), err[-2000:]

        before = {run["id"] for run in flow_runs(prefect_api)}
        process = ulmfit.start("train", *options(tmp_path, "interrupted"), "--stages", "distributed")
        victim = first_new(prefect_api, before)
        os.kill(process.pid, signal.SIGTERM)
        _, err = process.communicate(timeout=600)
        assert process.returncode == 143, err[-2000:]
        deadline = time.monotonic() + 120
        while ask(f"{prefect_api}/flow_runs/{victim}")["state_type"] != "CANCELLED":
            assert time.monotonic() < deadline, ask(f"{prefect_api}/flow_runs/{victim}")
            time.sleep(1)


def test_retrainings_on_two_pools(prefect_api: str, ulmfit: CommandLine, tmp_path: Path, team: Team) -> None:  # noqa: F811
    """A first version and a warm training that is promoted; the store is in a folder that job and workers share, their homes are not."""
    distributed = ("--stages=distributed", "--set=words=true")
    team.ulmfit = CommandLine(ulmfit.folder, ulmfit.environment, patience=1200)  # each of some twenty stages is a process
    team.land("a.csv", 400, 1)
    with workers(ulmfit, prefect_api, tmp_path, MLFLOW_TRACKING_URI=team.tracking):
        before = {run["id"] for run in flow_runs(prefect_api)}
        first = team.retrain("lenient", *distributed)
        made = {run["name"]: run["work_pool_name"] for run in flow_runs(prefect_api) if run["id"] not in before}
        before |= {run["id"] for run in flow_runs(prefect_api)}
        team.land("b.csv", 1200, 2)
        second = team.retrain("lenient", *distributed)
        again = {run["name"]: run["work_pool_name"] for run in flow_runs(prefect_api) if run["id"] not in before}
    assert (first["outcome"], second["outcome"]) == ("first version", "promoted"), second["decision"]
    assert second["retraining"]["cycle"]["training"] == "warm"
    assert made["pretrain-forward"] == made["classify-backward"] == "gpu" and made["tokenise"] == made["word-model"] == "cpu"
    assert "ingest" not in {*made, *again}, "what landed is read by the job, which holds the ledger"
    assert again["finetune-forward"] == "gpu" and not [name for name in again if name.startswith("pretrain")]
    assert whats(team.history()) == [("retrain", None), ("first version", "1"), ("retrain", None), ("compared", "2"), ("promoted", "2")]
    asked = ("--text", "my password is locked", "--workspace", str(tmp_path / "workspace"), "--json")
    assert team("predict", "models:/tickets@champion", *asked).code == 0


def first_new(prefect_api: str, before: set[str]) -> str:
    """A run of a stage that was not there, once it runs."""
    deadline = time.monotonic() + 300
    while time.monotonic() < deadline:
        for run in flow_runs(prefect_api):
            if run["id"] not in before and run["state_type"] == "RUNNING":
                return run["id"]
        time.sleep(0.2)
    raise AssertionError("no stage runs")


def last(err: str) -> str:
    """The line with which the command ended."""
    return [line for line in err.splitlines() if line.startswith("ulmfit: ")][-1]
