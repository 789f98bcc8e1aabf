"""Tokenising the parts of a corpus on workers that a document may kill."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, replace

from tasks.cluster import Cluster, PartKilled
from ulmfit.errors import UserError
from ulmfit.shards.crashing import CrashingDocument, find_crashing_document
from ulmfit.shards.part_record import PartRecord
from ulmfit.shards.tokenise import TokenizeSpec, tokenize_part
from ulmfit.store import filesystem

log = logging.getLogger(__name__)

SUFFIX = ".poison.json"  # of the file beside a token shard that lists the documents which have no tokens in it


def tokenise_parts(
    cluster: Cluster, name: str, specs: Sequence[TokenizeSpec], quarantine: bool
) -> tuple[list[PartRecord], list[CrashingDocument]]:
    """Token shards of all the parts: their records in the order of ``specs``, and the documents that were set aside.

    A document that kills the worker which tokenises it raises UserError naming it, once all other parts are done; with
    ``quarantine`` it gets no tokens, and the run goes on. What an interrupted run set aside in the same folder stays aside.
    PartKilled where a part kills workers through no single document.
    """
    aside = _set_aside(specs) if quarantine else {}

    def mend(spec: TokenizeSpec, killed: PartKilled) -> TokenizeSpec:
        log.warning("%s: workers die while they tokenise it; looking for the document that kills them", killed.part)
        poison = find_crashing_document(spec, killed.memory)
        if poison is None:
            raise killed
        if not quarantine:
            raise UserError(
                f"document {poison.id!r} of {poison.part} kills the worker that tokenises it ({poison.death}); "
                "set it aside with --quarantine-crashing, or mend it"
            ) from killed
        log.warning("%s: document %r is set aside: it kills the worker that tokenises it (%s)", poison.part, poison.id, poison.death)
        aside[poison.part] = [*aside.get(poison.part, []), poison]
        # Before the part is made: a run that goes on from here must know that the shard lacks a document.
        filesystem.write_bytes(
            filesystem.join(spec.folder, f"{poison.part}{SUFFIX}"), json.dumps([asdict(item) for item in aside[poison.part]]).encode()
        )
        return _without(spec, aside)

    records = cluster.map(name, tokenize_part, [_without(spec, aside) for spec in specs], _part, mend)
    return records, [poison for part in sorted(aside) for poison in aside[part]]


def _part(spec: TokenizeSpec) -> str:
    return os.path.basename(spec.source).removesuffix(".parquet")


def _without(spec: TokenizeSpec, aside: dict[str, list[CrashingDocument]]) -> TokenizeSpec:
    numbers = {poison.number for poison in aside.get(_part(spec), [])}
    return replace(spec, exclude=tuple(sorted({*spec.exclude, *numbers}))) if numbers else spec


def _set_aside(specs: Sequence[TokenizeSpec]) -> dict[str, list[CrashingDocument]]:
    """The documents of each part that were set aside before, from the files that say so."""
    places = [
        filesystem.join(folder, name)
        for folder in {spec.folder for spec in specs}
        for name in filesystem.files(folder)
        if name.endswith(SUFFIX)
    ]
    found = [[CrashingDocument(**item) for item in json.loads(filesystem.read_bytes(place))] for place in places]
    return {poisons[0].part: poisons for poisons in found}
