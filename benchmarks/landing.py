"""1% of new text onto 25,000 reviews: how long a retraining prepares its text, and how long it takes to see that nothing is new.

    ULMFIT_DATA=FOLDER python benchmarks/landing.py [--reviews 25000] [--new 250] [--out results.json]

Each step is a process of its own, as a retraining is, and takes all of its text work, one part after the other, on one core: look into the
landing folder, land, corpus, tokens, vocabulary, ids. ``seconds`` count from the look on, ``cpu`` those in which this process had the core
(the rest went to others on the machine), ``process`` from the start of Python on. The reviews are those of ``imdb/train.parquet``, the new ones from ``imdb/test.parquet``.
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

import pyarrow.parquet as pq

from ulmfit.corpora.landing.landing import Landing
from ulmfit.corpora.landing.ledger import Ledger
from ulmfit.presets import preset
from ulmfit.stages.landed import landed
from ulmfit.stages.shards import encode, tokenise, vocabulary
from ulmfit.stages.stage import Context, make
from ulmfit.store.artifacts import Store


def prepare(folder: Path) -> dict[str, Any]:
    """All text work of a retraining in ``folder``, if something is new; seconds by step."""
    settings, store = preset("small"), Store(folder / "artifacts")
    store.set_up()
    context, ledger = Context(store, folder / "downloads"), Ledger(store, "reviews")
    times, cpu = [time.perf_counter()], time.process_time()

    def done() -> None:
        times.append(time.perf_counter())

    landing = Landing(str(folder / "landing"))
    looked = ledger.look(landing, settle_seconds=0)
    done()
    now = ledger.land(landing, looked)
    done()
    if now.arrival is not None:
        corpus = make(landed(ledger.state(), settings.corpus, settings.quality), context)
        done()
        tokens = make(tokenise(corpus, settings.text), context)
        done()
        vocab = make(vocabulary(corpus, tokens, settings.vocab, settings.quality), context)
        done()
        make(encode(corpus, tokens, vocab), context)
        done()
    names = ("look", "land", "corpus", "tokenise", "vocabulary", "encode")
    steps = {name: round(end - start, 2) for name, start, end in zip(names, times, times[1:], strict=False)}
    return {
        "documents": now.counts.documents,
        "seconds": round(times[-1] - times[0], 2),
        "cpu": round(time.process_time() - cpu, 2),
        "steps": steps,
    }


def step(folder: Path) -> dict[str, Any]:
    """``prepare`` in a process of its own."""
    started = time.perf_counter()
    command = [sys.executable, "-W", "ignore", __file__, "--step", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return {**json.loads(done.stdout.splitlines()[-1]), "process": round(time.perf_counter() - started, 2)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--reviews", type=int, default=25_000, help="reviews there are")
    parser.add_argument("--new", type=int, default=250, help="reviews that come")
    parser.add_argument("--out", type=Path, help="write the results here as JSON")
    parser.add_argument("--step", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.step:
        print(json.dumps(prepare(options.step)))
        return
    data = Path(os.environ.get("ULMFIT_DATA") or parser.error("name the folder of the corpora with ULMFIT_DATA")) / "imdb"
    folder = Path(tempfile.mkdtemp(prefix="ulmfit-landing-"))
    try:
        (folder / "landing").mkdir()
        results: dict[str, Any] = {"cores": len(os.sched_getaffinity(0)), "machine": platform.processor() or platform.machine()}
        pq.write_table(pq.read_table(data / "train.parquet").slice(0, options.reviews), folder / "landing" / "first.parquet")
        results["first"] = step(folder)
        pq.write_table(pq.read_table(data / "test.parquet").slice(0, options.new), folder / "landing" / "second.parquet")
        results["new"] = step(folder)
        results["nothing new"] = step(folder)
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    for name in ("first", "new", "nothing new"):
        found = results[name]
        steps = ", ".join(f"{step} {seconds}" for step, seconds in found["steps"].items())
        print(
            f"{name}: {found['documents']:,} documents, {found['seconds']} s (cpu {found['cpu']} s, process {found['process']} s): {steps}"
        )
    if options.out:
        options.out.write_text(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
