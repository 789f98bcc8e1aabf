"""Reads files that have landed, on a worker: rows that can be used become raw parts, as those of ingest; a file that cannot be read stops no other.

Of slice 00003 there are the files of ``ingest/scan.py``, and for each raw part its origins (``origins.py``), 00003-00000.origins.arrow.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from typing import Any

from ulmfit.config import PartsConfig
from ulmfit.corpora.ingest.quarantine import Quarantine, judge
from ulmfit.corpora.ingest.raw_parts import RawPart, RawParts
from ulmfit.corpora.ingest.slices import Slice, slice_rows
from ulmfit.corpora.ingest.writing import once
from ulmfit.corpora.landing.origins import write_origins
from ulmfit.corpora.landing.refusal import REASON, read_refusal
from ulmfit.corpora.reading.formats import Row
from ulmfit.corpora.reading.rows import read_file
from ulmfit.corpora.splits import TRAIN, UNLABELLED
from ulmfit.corpora.text_digests import exact
from ulmfit.errors import UserError
from ulmfit.labels.label_values import NoLabel, label_string
from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile


@dataclass(frozen=True)
class NumberedFile:
    """A file of an arrival: its ``number`` there, what ids of its rows begin with, and the SHA-256 of its bytes."""

    number: int
    named: str
    sha256: str


@dataclass(frozen=True)
class LandingSpec:
    """Read the files of ``part`` (``files``: name -> which) as slice ``number`` into ``folder``. ``limits``: of raw parts.

    ``separator``: stands between the labels of a document; None: it has one. ``refused``: the file of a Refusal, if anything is refused.
    """

    part: Slice
    files: dict[str, NumberedFile]
    number: int
    folder: str
    limits: PartsConfig
    separator: str | None
    refused: str | None

    @property
    def name(self) -> str:
        """What the names of its files begin with."""
        return f"{self.number:05d}"

    @property
    def label(self) -> str:
        """The slice in words."""
        first, *others = self.part.files
        return first + (f" and {len(others)} more files" if others else "")


@dataclass
class FileCounts:
    """What a file held. ``quarantined``: reason -> rows."""

    rows: int
    documents: int
    quarantined: dict[str, int]


@dataclass(frozen=True)
class LandingScan:
    """What a slice held. ``counts``: by the file's number; ``faults``: name -> why a file cannot be read, "" where it has changed since the look.

    A file with a fault left nothing here.
    """

    name: str
    parts: tuple[RawPart, ...]
    counts: dict[int, FileCounts]
    faults: dict[str, str]
    with_nul: int
    files: dict[str, StoredFile]


def scan_landed(spec: LandingSpec) -> LandingScan:
    """Read, judge and write the rows of some files, once. UserError where reading fails for another reason than the file's content."""
    return once(filesystem.join(spec.folder, f"{spec.name}.json"), LandingScan, spec.folder, lambda: _scan(spec))


def _scan(spec: LandingSpec) -> LandingScan:
    try:
        return _written(spec, spec.part)
    except UserError:
        found = {file: _fault(spec, file) for file in spec.part.files}
        faults = {_name(spec, file): fault for file, fault in found.items() if fault is not None}
        if not faults:
            raise
        return _written(spec, replace(spec.part, files=tuple(file for file, fault in found.items() if fault is None)), faults)


def _name(spec: LandingSpec, file: str) -> str:
    return file.removeprefix(filesystem.join(spec.part.location, ""))


def _fault(spec: LandingSpec, file: str) -> str | None:
    """Why a file cannot be read, None if it can; "" if it is not the one that was looked at."""
    try:
        for _ in read_file(spec.part.location, file, spec.part.columns, spec.part.encoding):
            pass
    except UserError as error:
        try:
            there = filesystem.sha256(file)  # an error of the network or the disk is raised again here
        except FileNotFoundError:
            return ""
        return str(error) if there == spec.files[_name(spec, file)].sha256 else ""
    return None


def _written(spec: LandingSpec, part: Slice, faults: dict[str, str] | None = None) -> LandingScan:
    files: dict[str, StoredFile] = {}
    parts = RawParts(spec.folder, spec.name, spec.limits, files)
    counts = {spec.files[_name(spec, file)].number: FileCounts(0, 0, {}) for file in part.files}
    ids, numbers = [], []
    with_nul, refusal = 0, read_refusal(spec.refused)
    with ExitStack() as opened:
        quarantine = Quarantine(spec.folder, f"{spec.name}.quarantine.parquet", files, opened)
        for row in slice_rows(part) if part.files else ():
            file = spec.files[row.source]
            held = counts[file.number]
            held.rows += 1
            reason, text, size, label = _judged(row, spec.separator)
            name = id_of(row.id) or f"{file.named}:{row.row}"
            if refusal and not reason and refusal.refuses(name, text):
                reason, row = REASON, replace(row, text=None)  # no word of it is kept
            if reason:
                quarantine.add(row, reason)
                held.quarantined[reason] = held.quarantined.get(reason, 0) + 1
                continue
            with_nul += len(text) != len(row.text)
            held.documents += 1
            ids.append(exact(name))
            numbers.append(file.number)
            parts.add(name, text, size, label, UNLABELLED if label is None else TRAIN)
        parts.flush()
        quarantine.flush()
    begun = 0
    for done in parts.done:
        here = slice(begun, begun := begun + done.documents)
        write_origins(spec.folder, done.name, ids[here], numbers[here], files)
    return LandingScan(spec.name, tuple(parts.done), counts, faults or {}, with_nul, files)


def _judged(row: Row, separator: str | None) -> tuple[str, str, int, str | None]:
    """As ``judge``; but a row without a label is text without a label."""
    try:
        needs_label = label_string(row.label, separator) != ""
    except NoLabel as reason:
        needs_label = str(reason) != "no label"
    return judge(row, needs_label, separator)


def id_of(value: Any) -> str:
    """The id in a column's value, "" for none: a string, or a number; 17 and 17.0 (an integer column with gaps) are one."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    name = str(value).replace("\0", "").strip()
    return name.encode(errors="replace").decode()


def total(counts: Sequence[FileCounts]) -> FileCounts:
    """What a file held, from its slices."""
    quarantined: Counter[str] = Counter()
    for count in counts:
        quarantined.update(count.quarantined)
    return FileCounts(sum(count.rows for count in counts), sum(count.documents for count in counts), dict(quarantined))
