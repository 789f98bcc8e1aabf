"""A corpus out of its source, in three steps: scan (workers), decide (driver), assemble (workers).

Workers get places and small values and return small records, never text; the driver holds the facts, 45 bytes a document.
What the first step writes lies in a scan folder, so that an ingest which was killed goes on where it was.

A corpus is a folder: ``part-00000.parquet`` and on (``id``, ``text``, ``label``, ``split``, ``piece``; zstd), documents of all splits in
the order of their source; a document of more than ``LONGEST_PIECE`` characters is consecutive rows of one part, its pieces numbered
from 0. ``quarantine/part-00000.parquet`` and on: the rows set aside, where there are any. ``quality.json``: see ``quality.py``.
``corpus.json``: the manifest.
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Protocol, TypeVar

import numpy as np

from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora.catalog import CATALOG
from ulmfit.corpora.ingest.assemble import AssembleSpec, PartInfo, assemble_part
from ulmfit.corpora.ingest.decide import DROPPED, Decided, Findings, Subject, decide, read_facts
from ulmfit.corpora.ingest.judging import check_quarantine
from ulmfit.corpora.ingest.scan import RawPart, ScanRecord, ScanSpec, scan_slice
from ulmfit.corpora.ingest.slices import CorpusSource, files_of, slices
from ulmfit.corpora.quality import check, describe, merge
from ulmfit.corpora.reading.opening import open_parquet
from ulmfit.corpora.reading.rows import check_encoding, read_rows
from ulmfit.errors import UserError
from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile
from ulmfit.store.recipe import canonical_json

INGEST_VERSION = 2
READERS = 8  # files that are hashed at a time

Spec = TypeVar("Spec")
Record = TypeVar("Record")


class RunMap(Protocol):
    """``function`` over ``specs``, results in their order; ``name`` is that of the work, ``label`` that of a spec."""

    def __call__(
        self, name: str, function: Callable[[Spec], Record], specs: Sequence[Spec], label: Callable[[Spec], str]
    ) -> list[Record]: ...


def serial(name: str, function: Callable[[Spec], Record], specs: Sequence[Spec], label: Callable[[Spec], str]) -> list[Record]:
    """A for-loop in this process."""
    return [function(spec) for spec in specs]


def peek(source: CorpusSource) -> None:
    """Raise the UserError that the first row of a file would raise: a missing file, a wrong column, a wrong encoding's name."""
    check_encoding(source.encoding)
    for role, place, _ in source.places():
        if place not in CATALOG:
            label_column = None if role == "unlabelled" else source.label_column
            next(read_rows(place, source.text_column, label_column, source.encoding), None)


def fingerprint(source: CorpusSource, cache: Path) -> str:
    """SHA-256 over the raw bytes of every file of ``source`` and the choices of how to read them.

    A named corpus is fetched into ``cache`` where neither it nor the local data folder has it.
    """
    found = [(role, place, prefix, files_of(place, cache)) for role, place, prefix in source.places()]
    with ThreadPoolExecutor(READERS) as pool:
        digests = pool.map(filesystem.sha256, [file for *_, files in found for _, file in files])
        entries = [
            [role, prefix, place if place in CATALOG else None, [[name, next(digests)] for name, _ in files]]
            for role, place, prefix, files in found
        ]
    choices = {"text_column": source.text_column, "label_column": source.label_column, "encoding": source.encoding}
    return hashlib.sha256(canonical_json({"places": entries, "choices": choices})).hexdigest()


@dataclass(frozen=True)
class Prepared:
    """A corpus that is scanned and decided, but not yet put together. ``scans``: the scan folder."""

    name: str
    scans: str
    records: list[ScanRecord]
    decided: Decided
    findings: Findings
    quality: dict[str, Any]
    digest: str


def ingest(
    source: CorpusSource,
    config: CorpusConfig,
    quality: QualityConfig,
    cache: Path,
    labelled: bool,
    folder: Path,
    run_map: RunMap = serial,
) -> dict[str, Any]:
    """Write the corpus of ``source`` into ``folder`` and return its manifest.

    ``labelled=False`` is for general text: labels are ignored and none is needed. Raises UserError where the source cannot be
    read, its labels do not make a classification, or its quality is below what ``quality`` allows.
    """
    scans = filesystem.join(folder, ".scans")
    prepared = prepare(source, config, quality, cache, labelled, scans, run_map)
    manifest, _ = write_corpus(prepared, str(folder), run_map)
    filesystem.remove(scans)
    return manifest


def prepare(
    source: CorpusSource, config: CorpusConfig, quality: QualityConfig, cache: Path, labelled: bool, scans: str, run_map: RunMap
) -> Prepared:
    """Scan and decide. ``scans`` may hold slices that were scanned before, of the same bytes read in the same way."""
    check_encoding(source.encoding)
    specs = [ScanSpec(part, number, scans, labelled) for number, part in enumerate(slices(source, cache, labelled))]
    records = run_map("scan", scan_slice, specs, lambda spec: spec.label)
    findings = _tally(source, records, quality)
    parts = [part for record in records for part in record.parts]
    facts = read_facts([filesystem.join(scans, part.facts) for part in parts], sum(part.documents for part in parts))
    column = source.label_column if source.source not in CATALOG else None
    subject = Subject(source.source, column, lambda number: _name_of(scans, parts, number))
    decided = decide(facts, config, labelled, subject, findings, source.label_separator)
    measured = describe(merge(part.profile for part in parts), asdict(findings), decided.summary())
    for warning in check(measured, quality, source.source):
        findings.warn(warning)
    return Prepared(_name(source.source), scans, records, decided, findings, measured, decided.digest)


def _name(place: str) -> str:
    if place in CATALOG:
        return place
    return place.rstrip("/").rpartition("/")[2] if filesystem.is_remote(place) else Path(place).absolute().name


def _tally(source: CorpusSource, records: Iterable[ScanRecord], quality: QualityConfig) -> Findings:
    """What the scans met; UserError where too few rows can be used, or there are two sets of test rows."""
    findings = Findings()
    quarantined: Counter[str] = Counter()
    first = ""
    for record in records:
        if source.test is not None and record.role == "main" and record.first_test:
            raise UserError(f"{record.place} has test rows of its own ({record.first_test}); leave --test {source.test} away")
        findings.rows += record.rows
        findings.with_nul += record.with_nul
        quarantined.update(record.quarantined)
        first = first or record.first_rejected
    findings.quarantined = dict(quarantined)
    if findings.with_nul:
        findings.warn(f"{findings.with_nul} documents held NUL characters, which were removed")
    unusable = check_quarantine(source.source, findings.rows, findings.quarantined, first, quality)
    if unusable:
        findings.warn(unusable)
    return findings


def _name_of(scans: str, parts: Iterable[RawPart], number: int) -> str:
    """The id of a document by its number in the whole source."""
    for part in parts:
        if number < part.documents:
            with open_parquet(filesystem.join(scans, part.file)) as file:
                table = file.read(columns=["id", "piece"], use_threads=False)
                return table["id"][int(np.flatnonzero(table["piece"].to_numpy() == 0)[number])].as_py()
        number -= part.documents
    raise AssertionError("a document's number is below that of the documents")


def write_corpus(prepared: Prepared, folder: str, run_map: RunMap) -> tuple[dict[str, Any], dict[str, StoredFile]]:
    """Assemble the parts in ``folder`` and write what belongs to them, ``corpus.json`` last: its content, and the parts' digests."""
    parts = _assemble(prepared, folder, run_map)
    files = {name: StoredFile(str(entry["sha256"]), int(entry["bytes"])) for part in parts for name, entry in part.files.items()}
    _clear(folder, {*files, *_write_quarantine(prepared, folder)})
    filesystem.write_bytes(filesystem.join(folder, "quality.json"), _json(prepared.quality))
    return write_manifest(prepared, parts, folder), files


def _clear(folder: str, kept: set[str]) -> None:
    """Remove the parts that a run left there which was killed, and divided the same documents in another way."""
    for name in filesystem.files(folder):
        if name.endswith(".parquet") and name not in kept and not name.startswith("."):
            filesystem.remove(filesystem.join(folder, name))


def _assemble(prepared: Prepared, folder: str, run_map: RunMap) -> list[PartInfo]:
    """The parts that have documents left, numbered on over all slices."""
    split = prepared.decided.split
    records = filesystem.join(prepared.scans, f"decided-{hashlib.sha256(split.tobytes()).hexdigest()[:16]}")
    decisions = filesystem.join(records, "decisions")
    filesystem.write_bytes(decisions, split.tobytes())
    specs: list[AssembleSpec] = []
    first = 0
    for part in (part for record in prepared.records for part in record.parts):
        if (split[first : first + part.documents] != DROPPED).any():
            name = f"part-{len(specs):05d}"
            specs.append(AssembleSpec(prepared.scans, part.name, decisions, first, part.documents, folder, name, records))
        first += part.documents
    return run_map("assemble", assemble_part, specs, lambda spec: spec.part)


def _write_quarantine(prepared: Prepared, folder: str) -> list[str]:
    """The rows set aside, slice by slice; the names of the files."""
    sources = [record.quarantine for record in prepared.records if record.quarantine]
    names = [f"quarantine/part-{number:05d}.parquet" for number in range(len(sources))]
    for source, name in zip(sources, names, strict=True):
        filesystem.link_or_copy(filesystem.join(prepared.scans, source), filesystem.join(folder, name))
    return names


def write_manifest(prepared: Prepared, parts: Sequence[PartInfo], folder: str) -> dict[str, Any]:
    """``corpus.json``."""
    findings = prepared.findings
    summary = prepared.decided.summary()
    manifest = {
        "name": prepared.name,
        "digest": prepared.digest,
        "labels": prepared.decided.labels,
        **({"label_names": prepared.decided.names} if prepared.decided.held else {}),
        "splits": {split: {name: held[name] for name in ("documents", "characters", "labels")} for split, held in summary.items()},
        "parts": [{name: getattr(part, name) for name in ("name", "documents", "rows", "characters", "texts")} for part in parts],
        "quarantined": findings.quarantined,
        "duplicates": findings.duplicates,
        "overlap_removed": findings.overlap_removed,
        "warnings": findings.warnings,
    }
    filesystem.write_bytes(filesystem.join(folder, "corpus.json"), _json(manifest))
    return manifest


def _json(content: dict[str, Any]) -> bytes:
    return json.dumps(content, indent=1, ensure_ascii=False).encode()
