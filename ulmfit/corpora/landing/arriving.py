"""Reads the files of one arrival and keeps their rows in a folder of the ledger. Nothing is noted here."""

import hashlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from ulmfit.config import PartsConfig
from ulmfit.corpora.ingest.slices import Slice, divide
from ulmfit.corpora.landing.entries import Counts, LandedFile, LandedPart, SetAside
from ulmfit.corpora.landing.landing import Found, Landing
from ulmfit.corpora.landing.refusal import Refusal
from ulmfit.corpora.landing.scanning import LandingScan, LandingSpec, NumberedFile, scan_landed, total
from ulmfit.corpora.quality.measuring import Measurements
from ulmfit.errors import UserError
from ulmfit.shards.mapping import Mapper, PartWork
from ulmfit.store import filesystem
from ulmfit.store.recipe import canonical_json

QUARANTINE = ".quarantine.parquet"


@dataclass(frozen=True)
class Reading:
    """Read files of ``landing`` into the ledger's folder ``ledger``, but for documents of the ``refusal``. ``test``: the test file, if it is new."""

    landing: Landing
    ledger: str
    limits: PartsConfig
    mapper: Mapper
    refusal: Refusal
    test: Found | None


@dataclass(frozen=True)
class Read:
    """Files that are read, and what became of them: fields of an ``Arrival``."""

    files: tuple[LandedFile, ...]
    parts: tuple[LandedPart, ...]
    quarantine: tuple[str, ...]
    set_aside: tuple[SetAside, ...]
    test: LandedFile | None
    counts: Counts


def read_settled(reading: Reading, files: Sequence[Found], names: Mapping[str, int]) -> tuple[Read, tuple[str, ...]]:
    """Read ``files``; also the names of those that change meanwhile: they are left out. ``names`` -> files of that name which landed before."""
    moved: set[str] = set()
    while True:
        rest = [file for file in files if file.name not in moved]
        scans, faults = _scan(reading, rest, names)
        there = filesystem.stamps(reading.landing.location) if rest else {}
        changed = {name for name, reason in faults.items() if not reason}
        changed |= {file.name for file in rest if there.get(file.name) != file.stamp}
        if not changed:
            return _read(reading, rest, names, scans, faults), tuple(sorted(moved))
        moved |= changed


def _key(reading: Reading, files: Sequence[Found], names: Mapping[str, int]) -> str:
    """The name of the arrival's folder: the same files, read in the same way, have the same, so an interrupted reading goes on there."""
    content = [[file.name, file.content, file.stamp, names.get(file.name, 0)] for file in files]
    test = reading.test and reading.test.content
    return hashlib.sha256(canonical_json([content, test, reading.landing.reading, reading.limits, reading.refusal.listed])).hexdigest()[:16]


def _scan(reading: Reading, files: Sequence[Found], names: Mapping[str, int]) -> tuple[list[LandingScan], dict[str, str]]:
    """What was read from the slices of ``files``; and name -> why a file cannot be read, "" where it has changed."""
    landing = reading.landing
    folder = filesystem.join(reading.ledger, _key(reading, files, names))
    numbered = {file.name: NumberedFile(number, _named(file, names), file.content.partition(":")[0]) for number, file in enumerate(files)}
    slices, faults = _slices(reading, files)
    refused = reading.refusal.write(folder)
    specs = [
        LandingSpec(part, {name: numbered[name] for name in _names(part)}, number, folder, reading.limits, landing.label_separator, refused)
        for number, part in enumerate(slices)
    ]
    if reading.test:
        specs.append(_test_spec(reading, reading.test, len(files), len(specs), folder))
    scans = reading.mapper(PartWork("land", scan_landed, specs, lambda spec: spec.label))
    for scan, spec in zip(scans, specs, strict=True):
        if spec.is_test and scan.faults:
            raise UserError(next(iter(scan.faults.values())) or f"{landing.test}: the file has changed while it was read; try again")
        faults |= scan.faults
    # A large file in several slices: its rows in those that could be read do not count either.
    whole = [scan for scan, spec in zip(scans, specs, strict=True) if not (spec.part.groups and faults.keys() & spec.files.keys())]
    return whole, faults


def _test_spec(reading: Reading, file: Found, number: int, slice_number: int, folder: str) -> LandingSpec:
    """Read the test file, as the one with ``number`` of its arrival."""
    landing = reading.landing
    assert landing.test is not None, "it was looked at"
    part = Slice("test", landing.test, "", replace(landing.columns, id=None), landing.encoding, "test", (landing.test,))
    numbered = NumberedFile(number, f"test/{file.name}", file.content.partition(":")[0])
    refused = reading.refusal.write(folder)
    return LandingSpec(part, {file.name: numbered}, slice_number, folder, reading.limits, landing.label_separator, refused)


def _named(file: Found, names: Mapping[str, int]) -> str:
    """What the ids of a file's rows begin with: its name, and a number where others had the name before it."""
    before = names.get(file.name, 0)
    return f"{file.name}~{before + 1}" if before else file.name


def _names(part: Slice) -> list[str]:
    root = filesystem.join(part.location, "")
    return [file.removeprefix(root) for file in part.files]


def _slices(reading: Reading, files: Sequence[Found]) -> tuple[list[Slice], dict[str, str]]:
    """The slices of ``files``; and those whose beginning cannot be read, with the reason."""
    landing = reading.landing
    whole = Slice("main", landing.location, "", landing.columns, landing.encoding)
    small = {filesystem.join(landing.location, file.name): file.bytes for file in files if not _is_large(file, reading.limits)}
    slices = list(divide(whole, small, reading.limits))
    faults: dict[str, str] = {}
    for file in files:
        if _is_large(file, reading.limits):
            try:
                slices += divide(whole, {filesystem.join(landing.location, file.name): file.bytes}, reading.limits)
            except UserError:  # the worker that reads it as a whole finds out why
                slices.append(replace(whole, files=(filesystem.join(landing.location, file.name),)))
    return slices, faults


def _is_large(file: Found, limits: PartsConfig) -> bool:
    return file.name.lower().endswith(".parquet") and file.bytes * 8 > limits.slice_bytes


def _read(
    reading: Reading, files: Sequence[Found], names: Mapping[str, int], scans: Sequence[LandingScan], faults: Mapping[str, str]
) -> Read:
    folder = _key(reading, files, names)
    rows_of = {number: total([scan.counts[number] for scan in scans if number in scan.counts]) for number in range(len(files))}
    landed = tuple(
        LandedFile(
            number=number, name=file.name, named=_named(file, names), stamp=file.stamp, content=file.content, **vars(rows_of[number])
        )
        for number, file in enumerate(files)
        if file.name not in faults
    )
    aside = tuple(
        SetAside(name=file.name, stamp=file.stamp, content=file.content, reading=reading.landing.reading, reason=faults[file.name])
        for file in files
        if file.name in faults
    )
    parts = tuple(part for scan in scans for part in _parts(folder, scan, len(files) in scan.counts))
    quarantine = tuple(f"{folder}/{name}" for scan in scans for name in scan.files if name.endswith(QUARANTINE))
    quarantined: Counter[str] = Counter()
    for count in rows_of.values():
        quarantined.update(count.quarantined)
    rows, with_nul = sum(count.rows for count in rows_of.values()), sum(scan.with_nul for scan in scans)
    counts = Counts(files=len(landed), rows=rows, with_nul=with_nul, quarantined=dict(quarantined))
    return Read(landed, parts, quarantine, aside, _test_file(reading, len(files), scans), counts)


def _test_file(reading: Reading, number: int, scans: Sequence[LandingScan]) -> LandedFile | None:
    if reading.test is None:
        return None
    file, rows = reading.test, total([scan.counts[number] for scan in scans if number in scan.counts])
    return LandedFile(number=number, name=file.name, named=f"test/{file.name}", stamp=file.stamp, content=file.content, **vars(rows))


def _parts(folder: str, scan: LandingScan, test: bool) -> Iterator[LandedPart]:
    """The parts as the ledger notes them, their files named from the ledger's folder on. ``test``: they are those of the test file."""

    def part(name: str, documents: int, labels: int, measured: Measurements) -> LandedPart:
        files = {f"{folder}/{file}": entry for file, entry in scan.files.items() if file.startswith(f"{name}.") and QUARANTINE not in file}
        where = {"name": f"{folder}/{name}", "stem": f"{folder}/{name}", "files": files}
        return LandedPart(**where, documents=documents, labels=labels, test=test, measured=measured)

    for raw in scan.parts:
        yield part(raw.name, raw.documents, 0, raw.measured)
    if scan.labels:
        yield part(scan.name, 0, scan.labels, Measurements())
