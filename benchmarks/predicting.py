"""A large csv through ``ulmfit predict``: memory at 10% of the rows and at the end, rows per second, beside fastai's ``get_preds``.

    PYTHONPATH=.fastai python benchmarks/predicting.py MODEL --texts FILE [--rows 1000000] [--part 20000] [--workspace DIR]

MODEL: a folder, or models:/NAME@ALIAS. FILE: real texts, a line each, of which the rows are drawn, seed 0. The command is a process of
its own and does all of its work: it reads the csv twice, predicts in both directions, writes Parquet. Then fastai 2.8 (if it is there,
``make .fastai``) predicts the first rows with a classifier of the same sizes, vocabulary and labels in one direction, weights by chance
(they have no say in the time): the data frame's ``test_dl``, which tokenises, and ``get_preds``. Rates are by processor time, of all
processes that work, for others share the machine; the command's counts its start.
"""

from __future__ import annotations

import argparse
import csv
import os
import random
import subprocess
import sys
import tempfile
import time
from itertools import islice
from pathlib import Path

import psutil
from measuring import hardware

from cli.predict import load_predictor
from ulmfit.prediction.answers import PIECE_RECORDS
from ulmfit.prediction.predictor import Predictor

ROOT = Path(__file__).parent.parent
EVERY = 0.5  # seconds between two looks at the process


def write_rows(file: Path, texts: list[str], rows: int) -> None:
    rng = random.Random(0)
    with open(file, "w", newline="") as opened:
        writer = csv.writer(opened)
        writer.writerow(["no", "text", "day"])
        writer.writerows((number, rng.choice(texts), "2026-01-01") for number in range(rows))


def command(model: str, given: Path, output: Path, workspace: str | None) -> list[str]:
    elsewhere = ["--workspace", workspace] if workspace else []
    return [sys.executable, "-m", "ulmfit", "predict", model, str(given), "--output", str(output), *elsewhere]


def watched(line: list[str], unfinished: Path, rows: int) -> tuple[float, float, dict[str, int]]:
    """Wall seconds and processor seconds of the command, and its resident memory in MB at 10% of the pieces and last."""
    started, pieces, memory = time.perf_counter(), rows // PIECE_RECORDS, dict[str, int]()
    process = subprocess.Popen(line, cwd=ROOT, stderr=subprocess.DEVNULL)
    seen = psutil.Process(process.pid)
    work = 0.0
    while process.poll() is None:
        try:
            resident, times = seen.memory_info().rss // 1_000_000, seen.cpu_times()
        except psutil.Error:
            break
        work = times.user + times.system
        done = sum(1 for _ in os.scandir(unfinished)) if unfinished.is_dir() else 0
        if pieces and done >= pieces // 10:
            memory.setdefault("at 10%", resident)
        memory["last"] = resident or memory.get("last", 0)
        memory["greatest"] = max(resident, memory.get("greatest", 0))
        time.sleep(EVERY)
    if process.wait():
        sys.exit(f"the command ended with {process.returncode}")
    return time.perf_counter() - started, work, memory


def large(model: str, given: Path, work: Path, rows: int, workspace: str | None) -> float:
    """Rows a second of processor."""
    seconds, busy, memory = watched(command(model, given, work / "out.parquet", workspace), work / ".out.parquet.unfinished", rows)
    grown = memory["last"] / memory["at 10%"] - 1
    print(
        f"ulmfit predict, {rows:,} rows: {seconds:.0f} s, {busy:.0f} s of processor, {rows / seconds:,.0f} rows/s, {rows / busy:,.0f} a second "
        f"of processor; memory {memory['at 10%']} MB at 10%, {memory['last']} MB at the end ({grown:+.1%}), {memory['greatest']} MB at most",
        flush=True,
    )
    return rows / busy


def part_in_process(predictor: Predictor, texts: list[str]) -> float:
    """Rows a second of processor of the model alone, tokens and both directions."""
    predictor.probabilities(texts[:500], shown=False)
    started = time.process_time()
    predictor.probabilities(texts, shown=False)
    return len(texts) / (time.process_time() - started)


def part_by_fastai(predictor: Predictor, texts: list[str]) -> float:
    """Rows a second of processor: ``test_dl`` and ``get_preds``, after once on a few rows."""
    import pandas as pd
    from fastai.text.all import AWD_LSTM, TextDataLoaders, awd_lstm_clas_config, text_classifier_learner

    sizes = predictor.bundle.parts["forward"].model
    labels = (predictor.labels * len(texts))[:200]
    table = pd.DataFrame({"text": texts[:200], "label": labels})
    loaders = TextDataLoaders.from_df(table, text_col="text", label_col="label", text_vocab=predictor.vocab.tokens, bs=64)
    config = {**awd_lstm_clas_config, "emb_sz": sizes.embedding, "n_hid": sizes.hidden, "n_layers": sizes.layers}
    learner = text_classifier_learner(loaders, AWD_LSTM, config=config, pretrained=False)
    rates = []
    with learner.no_bar():
        for rows in (texts[:500], texts):
            started, children = time.process_time(), os.times().children_user + os.times().children_system
            learner.get_preds(dl=learner.dls.test_dl(pd.DataFrame({"text": rows})))
            after = os.times().children_user + os.times().children_system
            rates.append(len(rows) / (time.process_time() - started + after - children))
    print(f"fastai get_preds, {len(texts):,} rows, one direction: {rates[-1]:,.0f} rows per second of processor", flush=True)
    return rates[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model")
    parser.add_argument("--texts", required=True)
    parser.add_argument("--encoding", default="utf-8")
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--part", type=int, default=20_000)
    parser.add_argument("--workspace")
    arguments = parser.parse_args()
    predictor = load_predictor(arguments.model, arguments.workspace)
    sizes = predictor.bundle.parts["forward"].model
    print(f"{hardware()}; load average {os.getloadavg()[0]:.1f}; OMP_NUM_THREADS={os.environ.get('OMP_NUM_THREADS', '')}")
    print(
        f"{arguments.model}: {sizes.embedding}/{sizes.hidden}/{sizes.layers}, {len(predictor.vocab)} words, {len(predictor.labels)} labels"
    )
    texts = [line.strip() for line in Path(arguments.texts).read_text(encoding=arguments.encoding).splitlines() if line.strip()]
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        write_rows(work / "in.csv", texts, arguments.rows)
        with open(work / "in.csv", newline="") as opened:
            rows = [row["text"] for row in islice(csv.DictReader(opened), arguments.part)]
        whole = large(arguments.model, work / "in.csv", work, arguments.rows, arguments.workspace)
        before = part_in_process(predictor, rows)
        try:
            theirs = part_by_fastai(predictor, rows)
        except ModuleNotFoundError:
            sys.exit("fastai is not there: make .fastai, and PYTHONPATH=.fastai")
        alone = (before + part_in_process(predictor, rows)) / 2
    print(f"texts to probabilities in one process, {len(rows):,} rows: {alone:,.0f} rows per second of processor; fastai: {theirs:,.0f}")
    print(f"command beside fastai {whole / theirs:.1f} times, in one process {alone / theirs:.1f} times; ours in both directions")


if __name__ == "__main__":
    main()
