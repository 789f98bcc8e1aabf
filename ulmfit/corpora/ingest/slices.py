"""Slices of a source, each the work of one worker: some small files, a file, or a range of a Parquet file's row groups.

The slices of a source, one after the other, give its rows in order. They depend on the files' names, sizes and row groups alone,
so that files added behind those of a folder leave the slices before them as they were.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from ulmfit.config import PartsConfig
from ulmfit.corpora.catalog.entries import CATALOG, fetch
from ulmfit.corpora.catalog.readers import TableFolder
from ulmfit.corpora.catalog.sources import Fetched
from ulmfit.corpora.reading.formats import Columns, DataFile, Row, group_sizes, parquet_rows
from ulmfit.corpora.reading.opening import COMPRESSED, open_parquet
from ulmfit.corpora.reading.reading_errors import reading_errors
from ulmfit.corpora.reading.rows import data_files, name_in, read_file
from ulmfit.corpora.source import Reading
from ulmfit.errors import UserError
from ulmfit.store import filesystem

FILE_BYTES = 16 << 10  # the cost of opening a file, in bytes that could be read meanwhile
PACKING = 4  # bytes of text per byte of a compressed file, about


@dataclass(frozen=True)
class Slice:
    """Some of what ``location`` holds: ``files`` in it, row groups ``groups`` (first, end) of one file, or a known corpus.

    ``split``: of all its rows; None where each row has its own. ``before``: rows of the file before the row groups.
    """

    role: str
    location: str
    prefix: str
    columns: Columns
    encoding: str
    split: str | None = None
    files: tuple[str, ...] = ()
    groups: tuple[int, int] | None = None
    before: int = 0
    known: Fetched | None = None


def slices(reading: Reading) -> list[Slice]:
    """All slices of a source, in order; UserError where a location is missing, or a corpus of the catalog lacks the labels it needs."""
    source = reading.source
    found: list[Slice] = []
    for role, location, prefix in source.locations():
        labelled = reading.labelled and role != "unlabelled"
        split = None if role == "main" else role
        if location not in CATALOG:
            columns = Columns(source.text_column, source.label_column if labelled else None)
            found += _divided(Slice(role, location, prefix, columns, source.encoding, split), reading.parts)
            continue
        if labelled and not CATALOG[location].labelled:
            raise UserError(f"{location} is general text without labels; pretrain on it with --pretrain and give a labelled corpus")
        columns = Columns("text", "label" if labelled and source.label_column else None)
        known = fetch(location, reading.downloads)
        whole = Slice(role, location, prefix, columns, "utf-8", split, known=known)
        if isinstance(known.read, TableFolder):  # tables in the local data folder are read as any folder is
            found += _divided(replace(whole, location=str(known.read.root), known=None), reading.parts)
        else:
            found.append(whole)
    return found


def _divided(whole: Slice, limits: PartsConfig) -> Iterator[Slice]:
    """The slices of a file or folder."""
    sizes = filesystem.files(whole.location)
    files = data_files(whole.location, whole.columns.label is not None)
    yield from divide(whole, {file: sizes[name_in(whole.location, file)] if sizes else filesystem.size(file) for file in files}, limits)


def divide(whole: Slice, files: Mapping[str, int], limits: PartsConfig) -> Iterator[Slice]:
    """The slices of ``files`` (-> bytes): small files of one folder together, large Parquet files in ranges; UserError for one that cannot be read."""
    together: list[str] = []
    bytes_together = 0
    for file, stored in files.items():
        packing = PACKING if file.lower().endswith((*COMPRESSED, ".parquet")) else 1
        size = FILE_BYTES + packing * stored
        if together and (bytes_together + size > limits.together_bytes or _folder(file) != _folder(together[0])):
            yield replace(whole, files=tuple(together))
            together, bytes_together = [], 0
        if size > limits.slice_bytes and file.lower().endswith(".parquet"):
            yield from _ranges(whole, file, limits.slice_bytes)
        else:
            together.append(file)
            bytes_together += size
    if together:
        yield replace(whole, files=tuple(together))


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


def _ranges(whole: Slice, file: str, slice_bytes: int) -> Iterator[Slice]:
    """A Parquet file in ranges of row groups, each of about ``slice_bytes`` of text."""
    first_row = next(read_file(whole.location, file, whole.columns, whole.encoding), None)
    found = replace(whole, files=(file,), split=whole.split or (first_row.split if first_row else None))
    first = bytes_read = before = rows = 0
    with reading_errors(file, whole.encoding), open_parquet(file) as opened:
        for group, (count, size) in enumerate(group_sizes(opened, whole.columns.text)):
            if bytes_read and bytes_read + size > slice_bytes:
                yield replace(found, groups=(first, group), before=before)
                first, bytes_read, before = group, 0, rows
            bytes_read += size
            rows += count
        yield replace(found, groups=(first, opened.num_row_groups), before=before)


def slice_rows(part: Slice) -> Iterator[Row]:
    """The rows of a slice, with the names and the split of its role; UserError where they cannot be read."""
    if part.split is None and not part.prefix:
        yield from _rows(part)
        return
    for row in _rows(part):
        yield Row(part.prefix + row.source, row.row, row.text, row.label, part.split or row.split, row.reason)


def _rows(part: Slice) -> Iterator[Row]:
    if part.known is not None:
        yield from part.known.rows()
    elif part.groups is not None:
        yield from _group_rows(part, part.groups)
    else:
        for file in part.files:
            yield from read_file(part.location, file, part.columns, part.encoding)


def _group_rows(part: Slice, groups: tuple[int, int]) -> Iterator[Row]:
    """Rows of some row groups of a Parquet file."""
    (file,) = part.files
    columns = replace(part.columns, label=None) if part.split == "unlabelled" else part.columns
    with reading_errors(file, part.encoding):
        yield from parquet_rows(DataFile(file, name_in(part.location, file)), columns, range(*groups), part.before)
