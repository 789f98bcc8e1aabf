"""Preprocessing at scale: Parquet to id shards on one and two workers, the memory of every process, and reading back.

    ULMFIT_DATA=FOLDER python benchmarks/preprocess_scale.py [--folder FOLDER/wikipedia] [--sample 1500] [--out results.json]

In one run, on one machine:

- ``ulmfit preprocess`` as a command of its own, on all files with two workers, on half of them with two, on half with one, each in a
  fresh workspace: seconds from the flow's beginning to its end, the start of the workers included, and the greatest resident memory (VmHWM) of each process;
- fastai's tokenizer with two processes on ``--sample`` of the same documents, extrapolated by characters to all of them;
- what opening the shards costs in resident memory, and how many ids a second a language model's batches come at, on one core.

fastai is needed for the comparison alone; without it (or with ``--no-fastai``) the rest is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import psutil
import pyarrow.parquet as pq

WORK = ("ingest", "tokenise", "vocabulary", "encode")


def run(files: list[Path], workers: int) -> dict[str, Any]:
    """One ``ulmfit preprocess`` in a fresh workspace, with the memory of its processes watched."""
    folder = Path(tempfile.mkdtemp(prefix="ulmfit-scale-"))
    command = [sys.executable, "-m", "ulmfit", "preprocess", *map(str, files), "--dask", str(workers), "--workspace", str(folder), "--json"]
    started = time.perf_counter()
    try:
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        peaks = watch(process)
        out = process.stdout.read() if process.stdout else ""
        if process.wait():
            raise SystemExit(f"{' '.join(command)} failed")
        summary = json.loads(out.strip().splitlines()[-1])
        stages = {stage["name"]: stage for stage in summary["stages"]}
        return {
            "files": len(files),
            "workers": workers,
            "seconds": summary["run"]["seconds"],
            "seconds_by_stage": {name: stages[name]["seconds"] for name in WORK},
            "command_seconds": round(time.perf_counter() - started, 1),
            "documents": stages["encode"]["record"]["documents"],
            "tokens": stages["encode"]["record"]["tokens"],
            "characters": summary["quality"]["measured"]["characters"],
            "peak_mb": peaks,
            **read_back(Path(stages["encode"]["path"])),
        }
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def watch(process: subprocess.Popen[str]) -> dict[str, int]:
    """The highest VmHWM of each kind of process in the tree, in MB, until the first ends."""
    peaks: dict[str, int] = {}
    root = psutil.Process(process.pid)
    while process.poll() is None:
        for child in [root, *_children(root)]:
            try:
                kind = kind_of(child, root)
                status = Path(f"/proc/{child.pid}/status").read_text()
            except (OSError, psutil.Error):
                continue
            high = next((int(line.split()[1]) // 1024 for line in status.splitlines() if line.startswith("VmHWM")), 0)
            peaks[kind] = max(peaks.get(kind, 0), high)
        time.sleep(0.25)
    return peaks


def _children(root: psutil.Process) -> list[psutil.Process]:
    try:
        return root.children(recursive=True)
    except psutil.Error:
        return []


def kind_of(process: psutil.Process, root: psutil.Process) -> str:
    command = " ".join(process.cmdline())
    if process.pid == root.pid:
        return "driver"
    if "prefect" in command:
        return "prefect server"
    return "dask worker" if "spawn_main" in command or "forkserver" in command else "helper"


def read_back(ids: Path) -> dict[str, Any]:
    """In a process of its own: what opening the shards costs, and the rate of a language model's batches."""
    code = (
        "import json, sys, time, psutil, numpy as np\n"
        "from pathlib import Path\n"
        "from ulmfit.shards.batches import Windows, lm_batches\n"
        "from ulmfit.shards.documents import Documents\n"
        "before = psutil.Process().memory_info().rss\n"
        "started = time.perf_counter()\n"
        "documents = Documents.open(Path(sys.argv[1]), ['train'])\n"
        "opened = time.perf_counter() - started\n"
        "grown = psutil.Process().memory_info().rss - before\n"
        "windows = Windows.plan(documents.tokens, 64, 70, 1, None, 0)\n"
        "rates = {}\n"
        "for direction in ('forward', 'backward'):\n"
        "    started = time.perf_counter()\n"
        "    ids = sum(window.ids.numel() for window in lm_batches(documents, windows, direction, 0))\n"
        "    rates[direction] = round(ids / (time.perf_counter() - started) / 1e6, 1)\n"
        "print(json.dumps({'open_seconds': round(opened, 3), 'open_mb': round(grown / 1e6, 1), 'bytes_per_token_resident': "
        "round(grown / documents.tokens, 3), 'stream_million_ids_per_second': rates}))\n"
    )
    pinned = ["taskset", "-c", "0"] if shutil.which("taskset") else []
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    out = subprocess.run(
        [*pinned, sys.executable, "-c", code, str(ids)], capture_output=True, text=True, check=True, env=environment
    ).stdout
    return json.loads(out)


def fastai_rate(files: list[Path], sample: int, processes: int) -> dict[str, float] | None:
    """fastai's tokenizer on a sample: characters and tokens per second with some processes. None where fastai is not there."""
    try:
        from fastai.text.core import parallel_tokenize
    except ImportError:
        return None
    texts = [
        text
        for file in files
        for text in pq.read_table(file, columns=["text"])["text"].to_pylist()[:: max(1, 30000 * len(files) // sample)]
    ]
    texts = texts[:sample]
    list(parallel_tokenize(texts[:50], n_workers=processes))  # the first use imports spaCy
    started = time.perf_counter()
    tokens = sum(len(tokens) for _, tokens in parallel_tokenize(texts, n_workers=processes))
    seconds = time.perf_counter() - started
    return {
        "processes": processes,
        "documents": len(texts),
        "characters_per_second": round(sum(map(len, texts)) / seconds),
        "tokens_per_second": round(tokens / seconds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, default=Path(os.environ.get("ULMFIT_DATA", ".")) / "wikipedia")
    parser.add_argument("--sample", type=int, default=1500)
    parser.add_argument("--no-fastai", action="store_true")
    parser.add_argument("--out", type=Path)
    options = parser.parse_args()
    files = sorted(options.folder.glob("train*.parquet"))
    if not files:
        raise SystemExit(f"{options.folder}: there is no train*.parquet; name a folder with --folder")
    half = files[: (len(files) + 1) // 2]
    peer = None if options.no_fastai else fastai_rate(files, options.sample, 2)
    runs = [run(half, 1), run(half, 2), run(files, 2)]
    one, two, whole = runs
    results: dict[str, Any] = {
        "machine": {"cores": os.cpu_count(), "processor": platform.processor() or platform.machine(), "python": platform.python_version()},
        "runs": runs,
        "fastai": peer,
        "two workers over one": round(one["seconds"] / two["seconds"], 2),
        "worker memory, whole over half": round(whole["peak_mb"]["dask worker"] / two["peak_mb"]["dask worker"], 3),
        "driver memory, whole over half": round(whole["peak_mb"]["driver"] / two["peak_mb"]["driver"], 3),
    }
    if peer:
        results["times as fast as fastai's two processes"] = round(
            whole["characters"] / peer["characters_per_second"] / whole["seconds"], 1
        )
    text = json.dumps(results, indent=1)
    print(text)
    if options.out:
        options.out.write_text(text + "\n")


if __name__ == "__main__":
    main()
