"""Training and prediction beside fastai 2.8: speed, memory and loss, on the same IMDB ids, 400/1152/3, on all cores of a CPU.

    ULMFIT_DATA=FOLDER PYTHONPATH=FASTAI python benchmarks/fastai_training.py [lm] [lm-loss] [classifier] [inference] [single]
        [--rounds 3] [--tokens 30000] [--documents 512] [--words 27000] [--out FILE] [--ours-alone] ...

- ``lm``: training of the language model, tokens/s, each side at several batch sizes, and the share of what the machine's matrix products
  allow; fastai: ``language_model_learner``, its dropouts, Adam and loop, windows of 72, fp32.
- ``lm-loss``: our loss after ``--steps`` steps in bf16 and in fp32, from the same seed.
- ``classifier``: documents/s of one epoch with all layers learning; fastai: ``text_classifier_learner`` with its sorted loader.
- ``inference``: documents/s of ``Learner.get_preds`` and of ``predict_logits``, both from ids.
- ``single``: milliseconds for one text of 200 words, tokenised: ``Learner.predict``, and ours with one direction and with both.

Every measurement is a process of its own, sides and batch sizes in turn; the table has medians over the rounds, and a ratio compares each
side's best batch size. Memory is the greatest resident memory (VmHWM) of the process, imports and all. FASTAI is a folder of its own, made
by ``make .fastai``; it needs nothing beyond that (``fastai.text`` imports no torchvision), and no pretrained weights.
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import imdb
import psutil
import torch
from measuring import Task, flops_per_token, hardware, matrix_rates

WHATS = ("lm", "lm-loss", "classifier", "inference", "single")
UNITS = {"lm": "tokens", "classifier": "documents", "inference": "documents"}
TARGETS = {"lm": "6, floor 4", "classifier": "4", "inference": "6"}
INSTALL = "fastai is not here: run make .fastai, then this again with PYTHONPATH=.fastai (or with --ours-alone)"
NO_DATA = "ULMFIT_DATA names no folder with imdb/train.parquet: set it"

Runs = dict[tuple[str, int], list[dict[str, Any]]]  # of one measurement, by side and batch size; a run a round


# ------------------------------------------------------------------------------------------------------------ measure


def measure(side: str, what: str, task: Task) -> dict[str, Any]:
    """One measurement in a fresh process. ``others``: the share of the cores that went to other processes meanwhile."""
    command = [sys.executable, __file__, "--side", side, "--task", json.dumps(asdict(task)), what]
    ours = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    busy, own, started = _busy_seconds(), _children_seconds(), time.perf_counter()
    ended = subprocess.run(command, env=ours if side == "ours" else None, stdout=subprocess.PIPE, text=True)
    if ended.returncode:
        raise SystemExit(f"{side} {what}, batch {task.batch}: failed")
    capacity = (time.perf_counter() - started) * (os.cpu_count() or 1)
    others = max(0.0, _busy_seconds() - busy - (_children_seconds() - own)) / capacity
    return {**json.loads(ended.stdout.splitlines()[-1]), "others": round(others, 3)}


def _busy_seconds() -> float:
    times = psutil.cpu_times()
    return times.user + times.system + times.nice


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def work(side: str, what: str, task: Task) -> dict[str, Any]:
    """What the fresh process does."""
    torch.set_num_threads(os.cpu_count() or 1)
    if side == "limit":
        return matrix_rates()
    import_of = {"ours": "our_side", "fastai": "fastai_side"}
    return importlib.import_module(import_of[side]).WORKS[what](task)


def in_rounds(what: str, plan: list[tuple[str, int]], task: Task, rounds: int) -> Runs:
    """All of the plan, then all of it again: so that a slow minute of the machine meets both sides."""
    runs: Runs = {place: [] for place in plan}
    for number in range(rounds):
        for side, batch in plan:
            calls = task.calls if side == "ours" else max(1, task.calls // 3)
            found = measure(side, what, replace(task, batch=batch, calls=calls))
            runs[side, batch].append(found)
            print(f"  round {number + 1}: {side}, batch {batch}: {told(what, found)}", file=sys.stderr, flush=True)
    return runs


def told(what: str, run: dict[str, Any]) -> str:
    speed = f"{rate(run, UNITS[what]):,.1f} {UNITS[what]}/s" if what in UNITS else "done"
    return f"{speed}, {run['peak_mb']:,} MB, other processes had {run['others']:.0%} of the cores"


def rate(run: dict[str, Any], unit: str) -> float:
    return run[unit] / run["seconds"]


# --------------------------------------------------------------------------------------------------------------- tell


def compared(what: str, runs: Runs, limit: dict[str, float] | None, words: int) -> dict[str, Any]:
    """The table of a measurement by speed; returns its medians and ratios."""
    unit = UNITS[what]
    medians = {
        place: {name: statistics.median(rate(run, name) for run in found) for name in {unit, "tokens"}} for place, found in runs.items()
    }
    peaks = {place: max(run["peak_mb"] for run in found) for place, found in runs.items()}
    best: dict[str, tuple[str, int]] = {}
    for place in runs:
        best[place[0]] = max((place, best.get(place[0], place)), key=lambda at: medians[at][unit])
    print(f"\n{what}: medians of {max(map(len, runs.values()))} rounds; others: the most of the cores that other processes had meanwhile")
    print(
        f"| side | batch | {unit}/s | {'' if unit == 'tokens' else 'tokens/s | '}peak MB | others |\n|{'---|' * (5 if unit == 'tokens' else 6)}"
    )
    for (side, batch), median in medians.items():
        also = "" if unit == "tokens" else f" {median['tokens']:,.0f} |"
        others = max(run["others"] for run in runs[side, batch])
        print(f"| {side} | {batch} | {median[unit]:,.{0 if unit == 'tokens' else 1}f} |{also} {peaks[side, batch]:,} | {others:.0%} |")
    for line in (*_shares(medians, best, limit, words), *_ratios(what, medians, peaks, best)):
        print(line)
    rows = [{"side": s, "batch": b, **medians[s, b], "peak_mb": peaks[s, b], "runs": runs[s, b]} for s, b in runs]
    return {"rows": rows, "best": {side: batch for side, batch in best.values()}, **_ratio_figures(unit, medians, peaks, best)}


def _ratio_figures(unit: str, medians: dict[Any, Any], peaks: dict[Any, int], best: dict[str, Any]) -> dict[str, float]:
    if len(best) < 2:
        return {}
    ours, fastai = best["ours"], best["fastai"]
    return {"ratio": medians[ours][unit] / medians[fastai][unit], "memory_ratio": peaks[ours] / peaks[fastai]}


def _ratios(what: str, medians: dict[Any, Any], peaks: dict[Any, int], best: dict[str, Any]) -> Iterator[str]:
    figures = _ratio_figures(UNITS[what], medians, peaks, best)
    if figures:
        yield f"ratio to fastai, each at its best batch size: {figures['ratio']:.2f} (target {TARGETS[what]}); of peak memory {figures['memory_ratio']:.2f}"
        least = min(peak for (side, _), peak in peaks.items() if side == "fastai")
        yield f"peak memory of ours at its best {peaks[best['ours']]:,} MB; the least of fastai's {least:,} MB"


def _shares(medians: dict[Any, Any], best: dict[str, Any], limit: dict[str, float] | None, words: int) -> Iterator[str]:
    """Of what the matrix products alone would allow, how much each side reaches."""
    for side, place in best.items() if limit else ():
        assert limit
        reached = medians[place]["tokens"] * flops_per_token(words)
        yield f"{side}: {reached / limit['bf16']:.1%} of the measured bf16 matrix rate, {reached / limit['fp32']:.1%} of the fp32 one"


def singles(runs: Runs) -> dict[str, Any]:
    """Medians of single predictions; the ratio is to fastai's, which knows one direction alone."""
    taken: dict[tuple[str, str], list[float]] = {}
    for (side, _), found in runs.items():
        for run in found:
            for way, milliseconds in run["milliseconds"].items():
                taken.setdefault((side, way), []).extend(milliseconds)
    medians = {place: statistics.median(milliseconds) for place, milliseconds in taken.items()}
    print("\nsingle: one text of 200 words, tokenised\n| side | | calls | median ms |\n|---|---|---|---|")
    for (side, way), median in medians.items():
        print(f"| {side} | {way} | {len(taken[side, way])} | {median:.1f} |")
    theirs = medians.get(("fastai", "one direction"))
    ratios = {way: theirs / median for (side, way), median in medians.items() if side == "ours"} if theirs else {}
    for way, ratio in ratios.items():
        print(f"ratio to fastai's predict, {way}: {ratio:.1f}")
    return {"median_ms": {f"{side}, {way}": median for (side, way), median in medians.items()}, "ratios": ratios}


def losses(task: Task, rounds: int) -> dict[str, Any]:
    """Our loss in bf16 against our fp32. It is exact for a seed, so one run of each will do whatever the ``rounds``."""
    found = {precision: measure("ours", "lm-loss", replace(task, precision=precision)) for precision in ("fp32", "bf16")}
    print(
        f"\nlm-loss: batch {task.batch}, seed {task.seed}\n| precision | step | training loss | validation loss | tokens/s |\n|---|---|---|---|---|"
    )
    for precision, run in found.items():
        print(f"| {precision} | {run['step']} | {run['train_loss']:.4f} | {run['valid_loss']:.4f} | {rate(run, 'tokens'):,.0f} |")
    off = {name: found["bf16"][name] / found["fp32"][name] - 1 for name in ("train_loss", "valid_loss")}
    print(f"bf16 against fp32: training loss {off['train_loss']:+.3%}, validation loss {off['valid_loss']:+.3%} (target within 1%)")
    return {"runs": found, "relative": off}


# --------------------------------------------------------------------------------------------------------------- main


def plan(batches: dict[str, list[int]], sides: list[str]) -> list[tuple[str, int]]:
    """Sides in turn, as far as both have batch sizes left."""
    longest = max(len(batches[side]) for side in sides)
    return [(side, batches[side][number]) for number in range(longest) for side in sides if number < len(batches[side])]


def benchmark(what: str, arguments: argparse.Namespace, limit: dict[str, float]) -> dict[str, Any]:
    fields = {name: getattr(arguments, name) for name in ("tokens", "documents", "calls", "words", "steps", "precision", "seed")}
    task = Task(batch=arguments.loss_batch, **fields)
    sides = ["ours"] if arguments.ours_alone else ["fastai", "ours"]
    if what == "lm-loss":
        return losses(task, arguments.rounds)
    if what == "single":
        return singles(in_rounds(what, [(side, 1) for side in sides], task, arguments.rounds))
    kind = "lm" if what == "lm" else "classifier"
    batches = {side: getattr(arguments, f"{side}_{kind}_batches") for side in sides}
    if what == "inference":  # ours makes its own batches
        batches["ours"] = batches["ours"][:1]
    runs = in_rounds(what, plan(batches, sides), task, arguments.rounds)
    if what != "lm":
        return compared(what, runs, None, task.words)
    again = measure("limit", what, task)  # the better one: a busy minute makes no limit
    return compared(what, runs, {name: max(rate, again[name]) for name, rate in limit.items()}, task.words)


def arguments_of() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", nargs="*", metavar="|".join(WHATS), help="all of them by default")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tokens", type=int, default=30_000, help="of language-model training, timed a run")
    parser.add_argument("--documents", type=int, default=512, help="of the classifier and of inference, a run")
    parser.add_argument("--calls", type=int, default=30, help="single predictions a run; fastai makes a third of them")
    parser.add_argument("--words", type=int, default=27_000, help="of the vocabulary")
    parser.add_argument("--steps", type=int, default=200, help="of lm-loss")
    parser.add_argument("--loss-batch", type=int, default=32, help="streams of lm-loss")
    parser.add_argument("--precision", default="auto", choices=["auto", "fp32", "bf16"], help="of our side")
    parser.add_argument("--seed", type=int, default=0)
    for side, kind, sizes in (
        ("fastai", "lm", [32, 64, 128]),
        ("ours", "lm", [64, 128, 256]),
        ("fastai", "classifier", [32, 64]),
        ("ours", "classifier", [64, 128]),
    ):
        parser.add_argument(f"--{side}-{kind}-batches", type=int, nargs="+", default=sizes, metavar="N")
    parser.add_argument("--ours-alone", action="store_true", help="without fastai")
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    parser.add_argument("--side", choices=["ours", "fastai", "limit"], help=argparse.SUPPRESS)
    parser.add_argument("--task", type=json.loads, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if strange := set(arguments.what) - set(WHATS):
        parser.error(f"there is no measurement {min(strange)!r}; choose among {', '.join(WHATS)}")
    return arguments


def main() -> int:
    arguments = arguments_of()
    if arguments.side:
        print(json.dumps(work(arguments.side, arguments.what[0] if arguments.what else "", Task(**arguments.task))))
        return 0
    if not imdb.train_file().exists() or not (arguments.ours_alone or importlib.util.find_spec("fastai")):
        print(INSTALL if imdb.train_file().exists() else NO_DATA, file=sys.stderr)
        return 2
    imdb.load(arguments.words)
    limit = measure("limit", "lm", Task(0, 0, 0, 0, arguments.words, 0, "auto", 0))
    flops = flops_per_token(arguments.words)
    print(f"{hardware()}; 400/1152/3, {arguments.words:,} words, seed {arguments.seed}")
    print(
        f"matrix products: fp32 {limit['fp32'] / 1e12:.2f}, bf16 {limit['bf16'] / 1e12:.2f} TFLOP/s; {flops / 1e6:.0f} MFLOP a token, ",
        end="",
    )
    print(f"so {limit['fp32'] / flops:,.0f} and {limit['bf16'] / flops:,.0f} tokens/s at most", flush=True)
    results: dict[str, Any] = {
        "hardware": hardware(),
        "limit": limit,
        "flops_per_token": flops,
        "settings": vars(arguments) | {"out": None},
    }
    for what in arguments.what or WHATS:
        results[what] = benchmark(what, arguments, limit)
        if arguments.out:
            arguments.out.write_text(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
