"""The first step of ingest: the rows of a slice, read and checked, become raw parts with facts, on a worker.

Of slice 00003 a scan folder holds these files. The record is written last; a slice that has it is done.

    00003-00000.parquet         a raw part: ``id``, ``text``, ``label``, ``piece`` of the usable documents, in order
    00003-00000.facts.arrow     a row per document: ``exact`` and ``fold`` (digests), ``label``, ``split`` (an index of ``SPLITS``: where the
                                source puts it), ``characters``
    00003.quarantine.parquet    the rows set aside, if there are any
    00003.json                  the ScanRecord
"""

from contextlib import ExitStack
from dataclasses import dataclass

from ulmfit.config import PartsConfig
from ulmfit.corpora.ingest.quarantine import Quarantine, judge
from ulmfit.corpora.ingest.raw_parts import RawPart, RawParts
from ulmfit.corpora.ingest.slices import Slice, slice_rows
from ulmfit.corpora.ingest.writing import once
from ulmfit.corpora.reading.formats import Row
from ulmfit.corpora.splits import SPLITS
from ulmfit.labels.label_values import NoLabel, label_string
from ulmfit.store import filesystem
from ulmfit.store.digests import StoredFile

LABELS = 1000  # of rows set aside that a record holds


@dataclass(frozen=True)
class ScanSpec:
    """Scan ``part`` as slice ``number`` into ``folder``. ``labelled``: its rows need labels, but for unlabelled ones; ``limits``: of raw parts.

    ``separator``: stands between the labels of a document; None: it has one.
    """

    part: Slice
    number: int
    folder: str
    labelled: bool
    limits: PartsConfig
    separator: str | None = None

    @property
    def name(self) -> str:
        """What the names of its files begin with."""
        return f"{self.number:05d}"

    @property
    def label(self) -> str:
        """The slice in words."""
        first, *others = self.part.files or (self.part.location,)
        groups = f", row groups {self.part.groups[0]} to {self.part.groups[1] - 1}" if self.part.groups else ""
        return first + groups + (f" and {len(others)} more files" if others else "")


@dataclass(frozen=True)
class ScanRecord:
    """What a slice holds. ``first_rejected``: the first row set aside, in words; ``labels_rejected``: the label strings of such rows,
    ``LABELS`` at most; ``first_test``: the first file with test rows."""

    name: str
    role: str
    location: str
    rows: int
    with_nul: int
    quarantined: dict[str, int]
    first_rejected: str
    labels_rejected: tuple[str, ...]
    first_test: str | None
    parts: tuple[RawPart, ...]
    files: dict[str, StoredFile]

    @property
    def quarantine(self) -> str | None:
        """The file of the rows set aside, if there are any."""
        name = f"{self.name}.quarantine.parquet"
        return name if name in self.files else None


def scan_slice(spec: ScanSpec) -> ScanRecord:
    """Read, check and write the rows of a slice, once; UserError where it cannot be read. Memory: ``parts.bytes``, or the longest document."""
    return once(filesystem.join(spec.folder, f"{spec.name}.json"), ScanRecord, spec.folder, lambda: _scan(spec))


def _scan(spec: ScanSpec) -> ScanRecord:
    files: dict[str, StoredFile] = {}
    parts = RawParts(spec.folder, spec.name, spec.limits, files)
    rows = with_nul = 0
    labels: set[str] = set()
    first_test = None
    with ExitStack() as opened:
        quarantine = Quarantine(spec.folder, f"{spec.name}.quarantine.parquet", files, opened)
        for row in slice_rows(spec.part):
            rows += 1
            split = row.split or "train"
            if split == "test":
                first_test = first_test or row.source
            reason, text, size, label = judge(row, spec.labelled and split != "unlabelled", spec.separator)
            if reason:
                quarantine.add(row, reason)
                if spec.labelled and len(labels) < LABELS:
                    labels |= _label_of(row, spec.separator)
                continue
            with_nul += len(text) != len(row.text)
            parts.add(f"{row.source}:{row.row}", text, size, label, SPLITS.index(split))
        parts.flush()
        quarantine.flush()
    return ScanRecord(
        name=spec.name,
        role=spec.part.role,
        location=spec.part.location,
        rows=rows,
        with_nul=with_nul,
        quarantined=dict(quarantine.counts),
        first_rejected=quarantine.first,
        labels_rejected=tuple(sorted(labels)),
        first_test=first_test,
        parts=tuple(parts.done),
        files=files,
    )


def _label_of(row: Row, separator: str | None) -> set[str]:
    """The label string of a row, if it has one that a file can hold."""
    try:
        label = label_string(row.label, separator)
        label.encode()
    except (NoLabel, UnicodeEncodeError):
        return set()
    return {label}
