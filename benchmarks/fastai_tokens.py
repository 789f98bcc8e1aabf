"""The tokenizer beside fastai's: whether the `fastai` rules give its tokens, and how fast the `default` rules are on one core.

    ULMFIT_DATA=FOLDER PYTHONPATH=FASTAI python benchmarks/fastai_tokens.py --agree [--documents N] [--out FILE]
    ULMFIT_DATA=FOLDER PYTHONPATH=FASTAI python benchmarks/fastai_tokens.py --speed [--part 1500] [--rounds 3] [--out FILE]

`--agree` compares token lists over IMDB's train split, AG News, TREC and the edge cases of the tests; it prints every document that
differs with the reason, and ends with code 1 where fewer than 99.9% of a corpus are the same. `--speed` measures in turn, each in a
fresh process on one core: our tokenizer over all of IMDB's train split, its memory of chunks empty at the start, and fastai's over a
part of it. fastai is needed for this file alone: FASTAI is a folder of its own (see INSTALL), so that nothing here changes for it.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import platform
import re
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

ROOT = Path(__file__).parent.parent
INSTALL = (
    "pip install --target FASTAI --no-deps fastai==2.8.12 fastcore==2.2.39 fastprogress==1.0.3 fasttransform==0.0.5 "
    "fastdownload==0.0.7 plum-dispatch==2.9.0 beartype==0.23.1 cloudpickle==3.1.2"
)
LEAST_AGREEMENT = 0.999
BATCH = 500  # documents that are compared at once

Tokenize = Callable[[list[str]], list[list[str]]]


def imdb() -> list[str]:
    return pq.read_table(_data() / "imdb" / "train.parquet", columns=["text"])["text"].to_pylist()


def corpora() -> Iterator[tuple[str, list[str]]]:
    yield "edge cases", edge_cases()
    questions = (_data() / "trec" / "train_5500.label").read_text(encoding="latin-1").splitlines()
    yield "TREC", [question.partition(" ")[2] for question in questions]
    yield "AG News", pq.read_table(_data() / "ag_news" / "train.parquet", columns=["text"])["text"].to_pylist()
    yield "IMDB train", imdb()


def _data() -> Path:
    return Path(os.environ["ULMFIT_DATA"])


def edge_cases() -> list[str]:
    """The texts of both rule sets' tables, but for halves of surrogate pairs, on which fastai raises UnicodeEncodeError."""
    spec = importlib.util.spec_from_file_location("edge_cases", ROOT / "tests" / "text" / "edge_cases.py")
    assert spec and spec.loader
    tables = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tables)
    texts = [text for rules in (tables.DEFAULT, tables.FASTAI) for table in rules.values() for text, _ in table]
    return [text for text in texts if not re.search("[\ud800-\udfff]", text)]


def ours(rules: str) -> Tokenize:
    from ulmfit import Tokenizer

    return Tokenizer(rules=rules)


def theirs() -> Tokenize:
    """fastai's rules and tokenizer as it applies them by default, without its pool of processes."""
    from fastai.text.core import SpacyTokenizer, TokenizeWithRules

    tokenize = TokenizeWithRules(SpacyTokenizer("en"))
    return lambda texts: [list(tokens) for tokens in tokenize(texts)]


# -------------------------------------------------------------------------------------------------------------- agree


def agree(documents: int | None) -> dict[str, Any]:
    """Of each corpus the number of documents, of those that are the same, and of differences by reason."""
    mine, fastai = ours("fastai"), theirs()
    result: dict[str, Any] = {}
    for name, texts in corpora():
        texts = texts[:documents]
        reasons: dict[str, int] = {}
        for start in range(0, len(texts), BATCH):
            part = texts[start : start + BATCH]
            for number, (text, a, b) in enumerate(zip(part, mine(part), fastai(part), strict=True), start):
                if a != b:
                    reason = why(text)
                    reasons[reason] = reasons.get(reason, 0) + 1
                    print(f"{name} {number}: {reason}: ours {_beside(a, b)}, fastai's {_beside(b, a)}")
        same = len(texts) - sum(reasons.values())
        result[name] = {"documents": len(texts), "same": same, "share": same / max(1, len(texts)), "differences": reasons}
        print(f"{name}: {same:,} of {len(texts):,} documents have the same tokens ({same / max(1, len(texts)):.3%})", flush=True)
    return result


def why(text: str) -> str:
    """The one reason that is known, or none."""
    from ulmfit.text.rules import RULES

    *document, cut_long_runs = RULES["fastai"].document
    for rule in document:
        text = rule(text)
    return "a run of more than 512 characters without white space, which is cut here" if cut_long_runs(text) != text else "unexplained"


def _beside(tokens: list[str], others: list[str]) -> list[str]:
    """Some tokens from where they first differ from the others."""
    first = next((i for i, (a, b) in enumerate(zip(tokens, others, strict=False)) if a != b), min(len(tokens), len(others)))
    return tokens[max(0, first - 2) : first + 6]


# -------------------------------------------------------------------------------------------------------------- speed


def speed(part: int, rounds: int) -> dict[str, Any]:
    """Tokens a second of each on one core, medians over the rounds, and their ratio."""
    runs: dict[str, list[dict[str, float]]] = {"ours": [], "fastai": []}
    for _ in range(rounds):
        for name in runs:
            runs[name].append(_measured_apart(name, part))
            print(f"{name}: {_told(runs[name][-1])}", flush=True)
    rates = {name: statistics.median(run["tokens"] / run["seconds"] for run in measured) for name, measured in runs.items()}
    by_cpu = {name: statistics.median(run["tokens"] / run["cpu_seconds"] for run in measured) for name, measured in runs.items()}
    ratio, cpu_ratio = (rate["ours"] / rate["fastai"] for rate in (rates, by_cpu))
    print(f"ours {rates['ours']:,.0f} tokens/s, fastai {rates['fastai']:,.0f} tokens/s: ratio {ratio:.1f} (by CPU time {cpu_ratio:.1f})")
    return {"hardware": hardware(), "part": part, "tokens_per_second": rates, "ratio": ratio, "cpu_ratio": cpu_ratio, "runs": runs}


def _told(run: dict[str, float]) -> str:
    return f"{run['tokens']:,} tokens of {run['documents']:,} documents in {run['seconds']:.2f} s ({run['cpu_seconds']:.2f} s CPU)"


def _measured_apart(name: str, part: int) -> dict[str, float]:
    one_thread = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "ARROW_IO_THREADS"), "1")
    command = [sys.executable, __file__, "--measure", name, "--part", str(part)]
    ended = subprocess.run(command, env=os.environ | one_thread, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(ended.stdout.splitlines()[-1])


def measure(name: str, part: int) -> dict[str, float]:
    """One pass over the texts, in this process, on one core. Loading the texts and the language does not count."""
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, {max(os.sched_getaffinity(0))})
    pa.set_cpu_count(1)
    texts = imdb()
    if name == "fastai":
        texts = texts[:: max(1, len(texts) // part)][:part]
    tokenize = ours("default") if name == "ours" else theirs()
    started, cpu_started = time.perf_counter(), time.process_time()
    tokens = sum(map(len, tokenize(texts)))
    seconds, cpu_seconds = time.perf_counter() - started, time.process_time() - cpu_started
    return {"documents": len(texts), "tokens": tokens, "seconds": seconds, "cpu_seconds": cpu_seconds}


def hardware() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    cpu = next((line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")), platform.processor())
    return f"{cpu}, one core, Python {platform.python_version()}"


def missing() -> str | None:
    """What keeps this from running, as one line."""
    if importlib.util.find_spec("fastai") is None:
        return f"fastai is not here: run {INSTALL}, then this again with PYTHONPATH=FASTAI"
    folder = os.environ.get("ULMFIT_DATA")
    if not folder or not (Path(folder) / "imdb" / "train.parquet").exists():
        return "ULMFIT_DATA names no folder with imdb/train.parquet, ag_news/train.parquet and trec/train_5500.label: set it"
    return None


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--agree", action="store_true", help="compare tokens")
    parser.add_argument("--speed", action="store_true", help="compare speed")
    parser.add_argument("--documents", type=int, help="compare the first N documents of each corpus only")
    parser.add_argument("--part", type=int, default=1500, help="documents that fastai's speed is measured on")
    parser.add_argument("--rounds", type=int, default=3, help="measurements of each")
    parser.add_argument("--out", type=Path, help="write the results there, as JSON")
    parser.add_argument("--measure", choices=["ours", "fastai"], help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if problem := missing():
        print(problem, file=sys.stderr)
        return 2
    if arguments.measure:
        print(json.dumps(measure(arguments.measure, arguments.part)))
        return 0
    if not (arguments.agree or arguments.speed):
        parser.error("give --agree or --speed")
    result: dict[str, Any] = {}
    if arguments.agree:
        result["agree"] = agree(arguments.documents)
    if arguments.speed:
        result["speed"] = speed(arguments.part, arguments.rounds)
    if arguments.out:
        arguments.out.write_text(json.dumps(result, indent=1) + "\n")
    return int(any(corpus["share"] < LEAST_AGREEMENT for corpus in result.get("agree", {}).values()))


if __name__ == "__main__":
    sys.exit(main())
