"""Few labels beside fastai 2.8: the wall time of fine-tuning and classifiers, both directions, against fastai doing the same steps.

    ULMFIT_DATA=DIR PYTHONPATH=.fastai python benchmarks/fastai_low_shot.py [--labels 500] [--documents 10500] [--work DIR]

Ours is ``ulmfit train`` in full: the shipped language model fine-tuned on ``--documents`` reviews (the labelled among them), and a classifier a
direction. fastai trains models of the same sizes, on all cores, in fp32, for a while in the same run, at the same batch sizes; its time is calculated from
its speed and the tokens and documents that ours has read. Ingest, tokenising, prediction, baseline and report are left out on its side, and are in our
wall time.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

from measuring import Task, hardware

SIZES = {"emb_sz": 256, "n_hid": 512, "n_layers": 2}
WORDS = 24_000


def fastai_speeds() -> dict[str, float]:
    """Tokens a second of its language model, documents per second of its classifier with all layers learning."""
    import fastai_side
    from fastai.text.all import awd_lstm_clas_config, awd_lstm_lm_config

    awd_lstm_lm_config.update(SIZES)
    awd_lstm_clas_config.update(SIZES)
    task = Task(batch=64, tokens=100_000, documents=384, calls=0, words=WORDS, steps=0, precision="fp32", seed=0)
    lm, classifier = fastai_side.lm(task), fastai_side.classifier(replace(task, batch=32))
    return {"tokens": lm["tokens"] / lm["seconds"], "documents": classifier["documents"] / classifier["seconds"]}


def ours(labels: int, documents: int, work: Path) -> dict[str, Any]:
    """Wall seconds of the whole, and what was read."""
    sizes = {"max_train": labels, "max_unlabelled": documents - labels, "max_test": 5_000}
    options = [word for name, size in sizes.items() for word in ("--set", f"corpus.{name}={size}")]
    command = [sys.executable, "-m", "ulmfit", "train", "--corpus", "imdb", "--preset", "small", "--device", "cpu", "--json", *options]
    started = time.perf_counter()
    out = subprocess.run([*command, "--workspace", str(work)], check=True, stdout=subprocess.PIPE, text=True).stdout
    seconds = time.perf_counter() - started
    stages = json.loads(out.strip().splitlines()[-1])["stages"]
    tuned, classified = ([stage["record"] for stage in stages if stage["stage"] == kind] for kind in ("finetune", "classify"))
    return {
        "seconds": seconds,
        "tokens": sum(record["trained_tokens"] for record in tuned),
        "documents": labels * sum(round(record["steps"] / -(-labels // 32)) for record in classified),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--labels", type=int, default=500)
    parser.add_argument("--documents", type=int, default=10_500)
    parser.add_argument("--work", type=Path, help="workspace of ours; what is there already is not timed")
    parser.add_argument("--fastai", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.fastai:
        print(json.dumps(fastai_speeds()))
        return
    print(hardware())
    with tempfile.TemporaryDirectory() as work:
        mine = ours(options.labels, options.documents, options.work or Path(work))
    out = subprocess.run([sys.executable, __file__, "--fastai"], check=True, stdout=subprocess.PIPE, text=True, env=os.environ).stdout
    theirs = json.loads(out.strip().splitlines()[-1])
    seconds = mine["tokens"] / theirs["tokens"] + mine["documents"] / theirs["documents"]
    print(f"ours: {mine['seconds'] / 60:.1f} min for {mine['tokens']:,} tokens and {mine['documents']:,} documents, both directions")
    print(
        f"fastai: {theirs['tokens']:,.0f} tokens/s, {theirs['documents']:.1f} documents/s, so {seconds / 60:.1f} min; ratio {seconds / mine['seconds']:.2f}"
    )


if __name__ == "__main__":
    main()
