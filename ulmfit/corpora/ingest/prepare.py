"""Ingest, from a source to a corpus in three steps: scan (workers), decide (driver), assemble (workers).

Workers get paths and small values and return small records, never text; the driver holds the facts, 45 bytes per document.
The first step writes into a scan folder, so that a killed ingest continues where it was.

A corpus is a folder:

- ``part-00000.parquet`` and so on (``id``, ``text``, ``label``, ``split``, ``piece``; zstd): documents of all splits in the order of their
  source. A document of more than ``LONGEST_PIECE`` characters is consecutive rows of one part, its pieces numbered from 0.
- ``quarantine/part-00000.parquet`` and so on: the rows set aside, if there are any.
- ``quality.json``: a :class:`Quality`. ``corpus.json``: a :class:`CorpusRecord`.
"""

import hashlib
import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from ulmfit.config import CorpusConfig, QualityConfig
from ulmfit.corpora.catalog.entries import CATALOG
from ulmfit.corpora.corpus_record import CorpusRecord, FolderFacts, SplitFacts
from ulmfit.corpora.ingest.assemble import AssembleSpec, PartInfo, assemble_part
from ulmfit.corpora.ingest.decide import Decided, Subject, decide
from ulmfit.corpora.ingest.facts import read_facts
from ulmfit.corpora.ingest.folder_facts import told_folders
from ulmfit.corpora.ingest.quarantine import check_quarantine
from ulmfit.corpora.ingest.raw_parts import RawPart
from ulmfit.corpora.ingest.scan import ScanRecord, ScanSpec, scan_slice
from ulmfit.corpora.ingest.slices import slices
from ulmfit.corpora.quality.measuring import merge
from ulmfit.corpora.quality.plausibility import doubtful_labels, doubtful_texts
from ulmfit.corpora.quality.quality_record import Findings, Quality, describe
from ulmfit.corpora.quality.thresholds import check
from ulmfit.corpora.reading.opening import open_parquet
from ulmfit.corpora.reading.reading_errors import check_encoding
from ulmfit.corpora.source import CorpusSource, Reading
from ulmfit.corpora.splits import DROPPED
from ulmfit.errors import UserError
from ulmfit.shards.mapping import Mapper, PartWork
from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile
from ulmfit.store.recipe import canonical_json

INGEST_VERSION = 2  # of corpora; their documents are in the recipe
READING_VERSION = 5  # of what is remembered of files: raised where the same bytes give other documents


@dataclass(frozen=True)
class Prepared:
    """A corpus that is scanned and decided, but not yet assembled. ``scans``: the scan folder; ``digest``: of the documents kept."""

    source: CorpusSource
    config: CorpusConfig
    scans: str
    records: list[ScanRecord]
    decided: Decided
    findings: Findings
    quality: Quality
    folders: tuple[FolderFacts, ...]
    digest: str


def prepare(reading: Reading, config: CorpusConfig, thresholds: QualityConfig, scans: str, mapper: Mapper) -> Prepared:
    """Scan and decide. ``scans`` may hold slices that were scanned before, of the same bytes read in the same way.

    Raises UserError where the source cannot be read, its labels do not make a classification, or its quality passes a threshold
    that stops.
    """
    source = reading.source
    check_encoding(source.encoding)
    limits, separator = reading.parts, source.label_separator
    scans = filesystem.join(
        scans, hashlib.sha256(canonical_json([limits, separator])).hexdigest()[:16]
    )  # others make other slices and labels
    specs = [ScanSpec(part, number, scans, reading.labelled, limits, separator) for number, part in enumerate(slices(reading))]
    findings = Findings()
    folders = told_folders(source, reading.labelled, findings)
    records = mapper(PartWork("scan", scan_slice, specs, lambda spec: spec.label))
    _tally(source, records, thresholds, findings)
    parts = [part for record in records for part in record.parts]
    facts = read_facts([filesystem.join(scans, part.facts) for part in parts], sum(part.documents for part in parts))
    _tell_lost(records, facts.labels, source.label_separator, findings)
    measured = merge(part.measured for part in parts)
    columns = (source.text_column, source.label_column) if source.source not in CATALOG else (None, None)
    for warning in doubtful_texts(measured, bool((facts.exact == facts.exact[:1]).all()), columns[0]):
        findings.warn(warning)
    subject = Subject(source.source, columns[1], lambda number: _name_of(scans, parts, number))
    decided = decide(facts, config, reading.labelled, subject, findings, source.label_separator)
    quality = describe(measured, findings, decided.splits())
    for warning in (*doubtful_labels(decided.names), *check(quality, thresholds, source.source)):
        findings.warn(warning)
    return Prepared(source, config, scans, records, decided, findings, quality, folders, decided.digest)


def _tally(source: CorpusSource, records: Iterable[ScanRecord], thresholds: QualityConfig, findings: Findings) -> None:
    """Add what the scans found to ``findings``; UserError where too few rows can be used, or there are two sets of test rows."""
    quarantined: Counter[str] = Counter()
    first = ""
    for record in records:
        if source.test is not None and record.role == "main" and record.first_test:
            raise UserError(f"{record.location} has test rows of its own ({record.first_test}); leave out --test {source.test}")
        findings.rows += record.rows
        findings.with_nul += record.with_nul
        quarantined.update(record.quarantined)
        first = first or record.first_rejected
    findings.quarantined = dict(quarantined)
    if findings.with_nul:
        findings.warn(f"{findings.with_nul} documents held NUL characters, which were removed")
    unusable = check_quarantine(source.source, findings.rows, findings.quarantined, first, thresholds)
    if unusable:
        findings.warn(unusable)


def _tell_lost(records: Iterable[ScanRecord], labels: Iterable[str], separator: str | None, findings: Findings) -> None:
    """Warn where all rows of a class were set aside. ``labels``: the label strings of the others."""

    def single(strings: Iterable[str]) -> set[str]:
        return {label.strip() for string in strings for label in (string.split(separator) if separator else [string])}

    lost = sorted(single(label for record in records for label in record.labels_rejected) - single(labels) - {""})
    if lost:
        more = f" (and so have {len(lost) - 1} other labels)" if len(lost) > 1 else ""
        findings.warn(f"label {lost[0]!r} has no row that can be used{more}: it becomes no class; correct its rows, if it is one")


def _name_of(scans: str, parts: Iterable[RawPart], number: int) -> str:
    """The id of a document by its number in the whole source."""
    for part in parts:
        if number < part.documents:
            with open_parquet(filesystem.join(scans, part.file)) as file:
                table = file.read(columns=["id", "piece"], use_threads=False)
                return table["id"][int(np.flatnonzero(table["piece"].to_numpy() == 0)[number])].as_py()
        number -= part.documents
    raise AssertionError("number is that of a document")


def write_corpus(prepared: Prepared, folder: str, mapper: Mapper) -> tuple[CorpusRecord, dict[str, StoredFile]]:
    """Assemble the parts in ``folder`` and write what belongs to them, ``corpus.json`` last: its content, and the parts' digests."""
    parts = _assemble(prepared, folder, mapper)
    files = {name: entry for part in parts for name, entry in part.files.items()}
    _clear(folder, {*files, *_write_quarantine(prepared, folder)})
    write_json(folder, "quality.json", prepared.quality.model_dump(mode="json"))
    record = _record(prepared, parts)
    write_json(folder, "corpus.json", record.model_dump(mode="json"))
    source = prepared.source
    named = {"source": source.source, "more": source.more, "settings": prepared.config, "quality": prepared.quality}
    named |= {"folders": prepared.folders} if prepared.folders else {}
    return record.model_copy(update=named), files


def _clear(folder: str, kept: set[str]) -> None:
    """Remove parts left by a killed run that divided the same documents in another way."""
    for name in filesystem.files(folder):
        if name.endswith(".parquet") and name not in kept and not name.startswith("."):
            filesystem.remove(filesystem.join(folder, name))


def _assemble(prepared: Prepared, folder: str, mapper: Mapper) -> list[PartInfo]:
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
    return mapper(PartWork("assemble", assemble_part, specs, lambda spec: spec.part))


def _write_quarantine(prepared: Prepared, folder: str) -> list[str]:
    """The rows set aside, slice by slice; the names of the files."""
    sources = [record.quarantine for record in prepared.records if record.quarantine]
    names = [f"quarantine/part-{number:05d}.parquet" for number in range(len(sources))]
    for source, name in zip(sources, names, strict=True):
        filesystem.link_or_copy(filesystem.join(prepared.scans, source), filesystem.join(folder, name))
    return names


def _record(prepared: Prepared, parts: Sequence[PartInfo]) -> CorpusRecord:
    """The content of ``corpus.json``."""
    decided, findings = prepared.decided, prepared.findings
    return CorpusRecord(
        name=prepared.source.name,
        digest=prepared.digest,
        labels=tuple(decided.labels),
        label_names=tuple(decided.names) if decided.strings else None,
        splits={split: SplitFacts.of(facts) for split, facts in prepared.quality.splits.items()},
        parts=tuple(part.facts for part in parts),
        quarantined=findings.quarantined,
        duplicates=findings.duplicates,
        overlap_removed=findings.overlap_removed,
        warnings=tuple(findings.warnings),
    )


def write_json(folder: str, name: str, content: Mapping[str, object]) -> None:
    """Write ``content`` as a file of the corpus."""
    filesystem.write_bytes(filesystem.join(folder, name), json.dumps(content, indent=1, ensure_ascii=False).encode())
