"""Reads files that have landed, on a worker: rows that can be used become raw parts, as those of ingest; a file that cannot be read stops no other.

Of slice 00003 there are the files of ``ingest/scan.py``; for each raw part its origins, 00003-00000.origins.arrow (``origins.py``); and
labels that came without a text, 00003.labels.arrow (``late_labels.py``).
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

from ulmfit.config import PartsConfig
from ulmfit.corpora.ingest.quarantine import Quarantine, judge
from ulmfit.corpora.ingest.raw_parts import RawPart, RawParts
from ulmfit.corpora.ingest.slices import Slice, slice_rows
from ulmfit.corpora.ingest.writing import once
from ulmfit.corpora.landing.ids import IdCheck, id_of
from ulmfit.corpora.landing.late_labels import LateLabels
from ulmfit.corpora.landing.origins import write_origins
from ulmfit.corpora.landing.refusal import REASON, read_refusal
from ulmfit.corpora.reading.formats import Columns, Row
from ulmfit.corpora.reading.rows import name_in, read_file
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

    def name_of(self, file: str) -> str:
        """A file's name in the landing folder."""
        return name_in(self.part.location, file)

    @property
    def is_test(self) -> bool:
        """Whether it is the file of test documents."""
        return self.part.role == "test"

    @property
    def label(self) -> str:
        """The slice in words."""
        first, *others = self.part.files
        return first + (f" and {len(others)} more files" if others else "")


@dataclass
class FileCounts:
    """What was read from a file. ``labels``: rows that are a label for an id, without a text; ``quarantined``: reason -> rows."""

    rows: int = 0
    documents: int = 0
    labels: int = 0
    quarantined: dict[str, int] = field(default_factory=dict)


@dataclass(frozen=True)
class LandingScan:
    """What was read from a slice. ``counts``: by the file's number; ``faults``: name -> why a file cannot be read, "" where it has changed since the look.

    A file with a fault left nothing here.
    """

    name: str
    parts: tuple[RawPart, ...]
    labels: int
    counts: dict[int, FileCounts]
    faults: dict[str, str]
    with_nul: int
    files: dict[str, StoredFile]


@dataclass(frozen=True)
class Contents:
    """The files of a slice: those with ``texts``, and those with ``labels`` for ids alone."""

    texts: tuple[str, ...]
    labels: tuple[str, ...] = ()


def scan_landed(spec: LandingSpec) -> LandingScan:
    """Read, judge and write the rows of some files, once. UserError where reading fails for another reason than the file's content."""
    return once(filesystem.join(spec.folder, f"{spec.name}.json"), LandingScan, spec.folder, lambda: _scan(spec))


def _scan(spec: LandingSpec) -> LandingScan:
    try:
        return _Scan(spec).of(Contents(spec.part.files), {})
    except UserError:
        texts, labels, faults = [], [], {}
        for file in spec.part.files:
            if (fault := _fault(spec, file, spec.part.columns)) is None:
                texts.append(file)
            elif not spec.is_test and (columns := _labels_alone(spec.part.columns)) and _fault(spec, file, columns) is None:
                labels.append(file)
            else:
                faults[spec.name_of(file)] = fault
        if not (labels or faults):
            raise
        return _Scan(spec).of(Contents(tuple(texts), tuple(labels)), faults)


def _labels_alone(columns: Columns) -> Columns | None:
    """How to read a file of labels for ids, which has no texts; None where rows have no ids or no labels."""
    return replace(columns, text=columns.id) if columns.id and columns.label and columns.id != columns.label else None


def _fault(spec: LandingSpec, file: str, columns: Columns) -> str | None:
    """Why a file cannot be read, None if it can; "" if it is not the one that was looked at."""
    ids = IdCheck()
    try:
        for row in read_file(spec.part.location, file, columns, spec.part.encoding):
            ids.add(id_of(row.id))
        ids.check(file, columns.id)
    except UserError as error:
        try:
            there = filesystem.sha256(file)  # an error of the network or the disk is raised again here
        except FileNotFoundError:
            return ""
        return str(error) if there == spec.files[spec.name_of(file)].sha256 else ""
    return None


class _Scan:
    """A slice being read, and what was found in it so far."""

    def __init__(self, spec: LandingSpec):
        self.spec, self.refusal = spec, read_refusal(spec.refused)
        self.files: dict[str, StoredFile] = {}
        self.parts = RawParts(spec.folder, spec.name, spec.limits, self.files)
        self.counts: dict[int, FileCounts] = {}
        self.ids: list[bytes] = []
        self.numbers: list[int] = []
        self.late = LateLabels()
        self.with_nul = 0

    def of(self, contents: Contents, faults: dict[str, str]) -> LandingScan:
        """Read and write all of it."""
        spec = self.spec
        self.counts = {spec.files[spec.name_of(file)].number: FileCounts() for file in (*contents.texts, *contents.labels)}
        ids = {name: IdCheck() for name in spec.files}
        with ExitStack() as opened:
            quarantine = Quarantine(spec.folder, f"{spec.name}.quarantine.parquet", self.files, opened)
            for row, is_label in self._rows(contents):
                file = spec.files[row.source]
                counts = self.counts[file.number]
                counts.rows += 1
                ids[row.source].add(id_of(row.id))
                reason = self._label(row, file, counts) if is_label else self._text(row, file, counts)
                if reason:
                    quarantine.add(replace(row, text=None) if reason == REASON else row, reason)  # no word of what is forgotten is kept
                    counts.quarantined[reason] = counts.quarantined.get(reason, 0) + 1
            self.parts.flush()
            quarantine.flush()
        for name, check in ids.items():
            check.check(name, spec.part.columns.id)
        begun = 0
        for done in self.parts.done:
            here = slice(begun, begun := begun + done.documents)
            write_origins(spec.folder, done.name, self.ids[here], self.numbers[here], self.files)
        self.late.write(spec.folder, spec.name, self.files)
        return LandingScan(spec.name, tuple(self.parts.done), len(self.late), self.counts, faults, self.with_nul, self.files)

    def _rows(self, contents: Contents) -> Iterator[tuple[Row, bool]]:
        """The rows, and whether each is a label for an id alone."""
        part, labels = self.spec.part, None if self.spec.is_test else _labels_alone(self.spec.part.columns)
        for row in slice_rows(replace(part, files=contents.texts)) if contents.texts else ():
            blank = row.text is None or (isinstance(row.text, str) and not row.text.strip())
            yield row, bool(labels and blank and not row.reason and id_of(row.id) and _label_of(row, self.spec.separator)[0])
        if labels and contents.labels:
            for row in slice_rows(replace(part, files=contents.labels, columns=labels, groups=None)):
                yield row, not row.reason

    def _text(self, row: Row, file: NumberedFile, counts: FileCounts) -> str:
        """Keep the document of a row; the reason if it cannot be used."""
        label, _ = _label_of(row, self.spec.separator)
        reason, text, size, label = judge(row, label != "" or self.spec.is_test, self.spec.separator)
        name = id_of(row.id) or f"{file.named}:{row.row}"
        if not reason and self.refusal and self.refusal.refuses(name, text):
            return REASON
        if not reason:
            self.with_nul += len(text) != len(row.text)
            counts.documents += 1
            self.ids.append(exact(name))
            self.numbers.append(file.number)
            self.parts.add(name, text, size, label, UNLABELLED if label is None else TRAIN)
        return reason

    def _label(self, row: Row, file: NumberedFile, counts: FileCounts) -> str:
        """Keep the label that a row has for an id; the reason if it cannot be used."""
        name, (label, reason) = id_of(row.id), _label_of(row, self.spec.separator)
        if not (name and label):
            return reason if name else "no id"
        if exact(name) in self.refusal.ids:
            return REASON
        counts.labels += 1
        self.late.add(exact(name), label, file.number)
        return ""


def _label_of(row: Row, separator: str | None) -> tuple[str | None, str]:
    """The label of a row, "" if it has none, None if what it has cannot be one; and the reason of the last two."""
    try:
        label = label_string(row.label, separator)
        label.encode()
    except NoLabel as reason:
        return ("" if str(reason) == "no label" else None), str(reason)
    except UnicodeEncodeError:
        return None, "broken Unicode"
    return label, ""


def total(counts: Sequence[FileCounts]) -> FileCounts:
    """What was read from a file, over its slices."""
    quarantined: Counter[str] = Counter()
    for count in counts:
        quarantined.update(count.quarantined)
    return FileCounts(
        rows=sum(count.rows for count in counts),
        documents=sum(count.documents for count in counts),
        labels=sum(count.labels for count in counts),
        quarantined=dict(quarantined),
    )
