"""Documents that kill the worker which tokenises them: found, and set aside or named.

A worker that dies cannot report the document. So a child process (``python -m ulmfit.shards.crashing SPEC``) tokenises the documents
of the part again, one at a time. It reports each document before it starts on it, and after it that it is still alive.
"""

import json
import logging
import os
import select
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from itertools import groupby
from typing import IO

from pydantic import TypeAdapter

from ulmfit.compute.parent import PARENT, die_with_parent
from ulmfit.errors import UserError
from ulmfit.shards.corpus_part import read_documents
from ulmfit.shards.mapping import Mapper, PartKilled, PartWork
from ulmfit.shards.part_record import PartRecord
from ulmfit.shards.tokenise import TokenizeSpec, tokenize_part
from ulmfit.store import filesystem
from ulmfit.text.tokenizer import FEW, Tokenizer

log = logging.getLogger(__name__)

SUFFIX = ".poison.json"  # of the file beside a token shard that lists the documents without tokens in it
PATIENCE = 120.0  # seconds without a report, at the start or over one piece of a document
LOOK_EVERY = 0.2  # seconds, at the child's memory
FILLER = "here there " * (FEW // 10)  # with it a short document goes through Arrow, as it did among others
MEMORY_KILLS = 0.95  # of a worker's limit is where Dask kills it


@dataclass(frozen=True)
class CrashingDocument:
    """Document ``number`` (from 0) of ``part``, named ``id``, kills the process that tokenises it; ``death`` says how it ended."""

    part: str
    number: int
    id: str
    death: str


def tokenise_parts(mapper: Mapper, specs: Sequence[TokenizeSpec], quarantine: bool) -> tuple[list[PartRecord], list[CrashingDocument]]:
    """Token shards of all the parts: their records in the order of ``specs``, and the documents that were set aside.

    A document that kills the worker which tokenises it raises UserError naming it, once all other parts are done; with
    ``quarantine`` it gets no tokens, and the others go on. What an interrupted run set aside in the same folder stays aside.
    PartKilled where a part kills workers through no single document.
    """
    aside = _set_aside(specs) if quarantine else {}

    def mend(spec: TokenizeSpec, killed: PartKilled) -> TokenizeSpec:
        log.warning("%s: workers die while they tokenise it; looking for the document that kills them", killed.part)
        found = find_crashing_document(spec, killed.memory)
        if found is None:
            raise killed
        if not quarantine:
            raise UserError(
                f"document {found.id!r} of {found.part} kills the worker that tokenises it ({found.death}); "
                "set it aside with --quarantine-crashing, or mend it"
            ) from killed
        log.warning("%s: document %r is quarantined: it kills the worker that tokenises it (%s)", found.part, found.id, found.death)
        aside[found.part] = [*aside.get(found.part, []), found]
        # Before the part is made: a run that goes on from here must know that the shard lacks a document.
        listed = json.dumps([asdict(document) for document in aside[found.part]])
        filesystem.write_bytes(filesystem.join(spec.folder, f"{found.part}{SUFFIX}"), listed.encode())
        return _without(spec, aside)

    records = mapper(PartWork("tokenise", tokenize_part, [_without(spec, aside) for spec in specs], lambda spec: spec.part, mend))
    return records, [document for part in sorted(aside) for document in aside[part]]


def _without(spec: TokenizeSpec, aside: dict[str, list[CrashingDocument]]) -> TokenizeSpec:
    numbers = {document.number for document in aside.get(spec.part, [])}
    return replace(spec, exclude=tuple(sorted({*spec.exclude, *numbers}))) if numbers else spec


def _set_aside(specs: Sequence[TokenizeSpec]) -> dict[str, list[CrashingDocument]]:
    """The documents of each part that were set aside before, from the files that list them."""
    listed = [
        filesystem.join(folder, name)
        for folder in {spec.folder for spec in specs}
        for name in filesystem.files(folder)
        if name.endswith(SUFFIX)
    ]
    found = [[CrashingDocument(**item) for item in json.loads(filesystem.read_bytes(file))] for file in listed]
    return {documents[0].part: documents for documents in found}


def find_crashing_document(spec: TokenizeSpec, memory: int | None = None, patience: float = PATIENCE) -> CrashingDocument | None:
    """The first document of the part, except ``spec.exclude``, that kills the child process; None where none does.

    A process that needs more than ``memory`` bytes (a worker's limit), or reports nothing for ``patience`` seconds, counts as dead.
    RuntimeError where it dies outside of any document, as over a part that cannot be read.
    """
    with tempfile.TemporaryFile() as errors:
        command = [sys.executable, "-P", "-m", "ulmfit.shards.crashing", json.dumps(asdict(spec))]
        surroundings = {**os.environ, PARENT: str(os.getpid())}
        with subprocess.Popen(command, env=surroundings, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=errors) as child:
            try:
                line, death = _watch(child, memory, patience)
            finally:
                child.kill()
        death = death or _death(child.returncode, errors)
    if death is None:
        return None
    at = json.loads(line)
    if at is None:
        raise RuntimeError(f"{spec.part}: the search for the document that kills a worker ended outside of any document, by {death}")
    number, name = at
    return CrashingDocument(spec.part, number, name, death)


def _watch(child: subprocess.Popen[bytes], memory: int | None, patience: float) -> tuple[bytes, str | None]:
    """The child's last line, and why it was killed here; None where it ended by itself."""
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
    import psutil  # of the extra `workflow`, as is all that may kill a worker

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
    for number, (name, rows) in enumerate(groupby(read_documents(spec.source), key=lambda row: row[0])):
        if number not in spec.exclude:
            yield number, name, (text for _, text in rows)


def main(argument: str) -> None:
    """Tokenise the documents one by one. A line of JSON for each step: [number, id] at a document, null between two of them."""
    die_with_parent()  # a document may keep it at work for ever
    spec = TypeAdapter(TokenizeSpec).validate_json(argument)
    tokenizer = Tokenizer(spec.lang, spec.rules)
    print("null", flush=True)  # it has started
    for number, name, pieces in documents(spec):
        for piece in pieces:
            print(json.dumps([number, name]), flush=True)
            tokenizer.columns([piece, FILLER])
        print("null", flush=True)


if __name__ == "__main__":
    main(sys.argv[1])
