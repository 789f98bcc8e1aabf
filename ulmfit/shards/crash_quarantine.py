"""Tokenise the parts of a corpus on workers that a document may kill: find that document, and set it aside or name it."""

import json
import logging
import os
from collections.abc import Sequence
from dataclasses import asdict, replace

from ulmfit.errors import UserError
from ulmfit.shards.crashing import CrashingDocument, find_crashing_document
from ulmfit.shards.mapping import Mapper, PartKilled
from ulmfit.shards.part_record import PartRecord
from ulmfit.shards.tokenise import TokenizeSpec, tokenize_part
from ulmfit.store import filesystem

log = logging.getLogger(__name__)

SUFFIX = ".poison.json"  # of the file beside a token shard that lists the documents without tokens in it


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

    records = mapper("tokenise", tokenize_part, [_without(spec, aside) for spec in specs], _part, mend)
    return records, [document for part in sorted(aside) for document in aside[part]]


def _part(spec: TokenizeSpec) -> str:
    return os.path.basename(spec.source).removesuffix(".parquet")


def _without(spec: TokenizeSpec, aside: dict[str, list[CrashingDocument]]) -> TokenizeSpec:
    numbers = {document.number for document in aside.get(_part(spec), [])}
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
