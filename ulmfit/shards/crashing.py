"""Which document of a part kills the process that tokenises it.

A worker that dies takes what it knew with it. So the documents of its part are tokenised again one at a time by a child process
(``python -m ulmfit.shards.crashing SPEC``), which says before each which it is about to take up, and after each that it is alive.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import IO

from ulmfit.shards.columns import part_documents
from ulmfit.shards.tokenise import TokenizeSpec
from ulmfit.text.tokenizer import FEW, Tokenizer

PATIENCE = 120.0  # seconds without a word, at the start or over one piece of a document
LOOK_EVERY = 0.2  # seconds, at the child's memory
FILLER = "here there " * (FEW // 10)  # with which a short document takes the way through Arrow, as it did among others
MEMORY_KILLS = 0.95  # of a worker's limit is where Dask kills it


@dataclass(frozen=True)
class Poison:
    """A document that kills: ``number`` counts the documents of ``part`` from 0, ``id`` is its name, ``death`` how the process ended."""

    part: str
    number: int
    id: str
    death: str


def find_poison(spec: TokenizeSpec, memory: int | None = None, patience: float = PATIENCE) -> Poison | None:
    """The first document of the part, ``spec.exclude`` aside, at which a process dies; None where it lives through all of them.

    More than ``memory`` bytes (a worker's limit) is a death, and so are ``patience`` seconds without a word.
    RuntimeError where it dies with no document in its hands, as over a part that cannot be read.
    """
    with tempfile.TemporaryFile() as errors:
        command = [sys.executable, "-m", "ulmfit.shards.crashing", json.dumps(asdict(spec))]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as child:
            try:
                line, death = _watch(child, memory, patience)
            finally:
                child.kill()
        death = death or _death(child.returncode, errors)
    if death is None:
        return None
    part, at = os.path.basename(spec.source).removesuffix(".parquet"), json.loads(line)
    if at is None:
        raise RuntimeError(f"{part}: the search for the document that kills a worker ended, with none in its hands, by {death}")
    number, name = at
    return Poison(part, number, name, death)


def _watch(child: subprocess.Popen[bytes], memory: int | None, patience: float) -> tuple[bytes, str | None]:
    """The child's last line, and what it was killed for here; None where it ended by itself."""
    assert child.stdout is not None
    last, rest, heard, limit = b"null", b"", time.monotonic(), max(patience, PATIENCE)
    while True:
        ready, _, _ = select.select([child.stdout], [], [], LOOK_EVERY)
        if ready:
            data = os.read(child.stdout.fileno(), 1 << 16)
            if not data:
                child.wait()
                return last, None
            *lines, rest = (rest + data).split(b"\n")
            last, heard, limit = (lines or [last])[-1], time.monotonic(), patience
        elif time.monotonic() - heard > limit:
            return last, f"no end after {limit:.0f} s"
        if memory and _resident(child.pid) > MEMORY_KILLS * memory:
            return last, f"more than {MEMORY_KILLS * memory / 1e9:.2f} GB of memory"


def _resident(pid: int) -> int:
    import psutil  # only a cluster sets a limit, and Dask brings psutil

    try:
        return psutil.Process(pid).memory_info().rss
    except psutil.Error:  # it has just ended
        return 0


def _death(code: int, errors: IO[bytes]) -> str | None:
    if code == 0:
        return None
    errors.seek(0)
    said = errors.read().decode(errors="replace").split("\n")
    return f"signal {-code}" if code < 0 else ": ".join([f"exit code {code}", *[line for line in said if line.strip()][-1:]])


def documents(spec: TokenizeSpec) -> Iterator[tuple[int, str, Iterator[str]]]:
    """Number, id and pieces of each document of a part that is not excluded. Rows of one id that follow each other are one document."""
    for number, (name, rows) in enumerate(groupby(part_documents(spec.source), key=lambda row: row[0])):
        if number not in spec.exclude:
            yield number, name, (text for _, text in rows)


def main(argument: str) -> None:
    """Tokenise the documents one by one. A line of JSON for each step: [number, id] at a document, null between two of them."""
    fields = json.loads(argument)
    spec = TokenizeSpec(**{**fields, "exclude": tuple(fields["exclude"])})
    tokenizer = Tokenizer(spec.lang, spec.rules)
    print("null", flush=True)  # it has started
    for number, name, pieces in documents(spec):
        for piece in pieces:
            print(json.dumps([number, name]), flush=True)
            tokenizer.columns([piece, FILLER])
        print("null", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
