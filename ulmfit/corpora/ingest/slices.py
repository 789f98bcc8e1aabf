"""What is read, in slices: a run of small files, a file, or a range of a Parquet file's row groups. A slice is one worker's work.

The slices of a source, one after the other, give its rows in order. They depend on the files' names, sizes and row groups alone,
so that files which are added behind those of a folder leave the slices before them as they were.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import partial

import pyarrow.parquet as pq

from ulmfit.corpora import catalog
from ulmfit.corpora.catalog import CATALOG, Fetched, fetch
from ulmfit.corpora.reading.opening import COMPRESSED, open_parquet
from ulmfit.corpora.reading.rows import Row, data_files, name_in, read_file, reading_errors
from ulmfit.corpora.source import Reading
from ulmfit.errors import UserError
from ulmfit.store import filesystem

TOGETHER_BYTES = 8 << 20  # of small files that are read as one slice
FILE_BYTES = 16 << 10  # what opening a file costs, in bytes that could be read meanwhile
SLICE_BYTES = 64 << 20  # of text in a range of row groups
PACKING = 4  # bytes of text to one of a compressed file, about
BATCH_BYTES = 1 << 20  # of text that are decoded at a time
BATCH_ROWS = 1000


@dataclass(frozen=True)
class Slice:
    """Some of what a place holds: ``files`` of it, or of one file the row groups ``groups`` (first, end), or a known corpus.

    ``split`` is that of all its rows, None where each row says. ``before``: rows of the file ahead of the row groups.
    """

    role: str
    place: str
    prefix: str
    text_column: str
    label_column: str | None
    encoding: str
    split: str | None = None
    files: tuple[str, ...] = ()
    groups: tuple[int, int] | None = None
    before: int = 0
    known: Fetched | None = None


def slices(reading: Reading) -> list[Slice]:
    """All slices of a source, in order; UserError where a place is missing or, being known, has no labels and needs them."""
    source, labelled = reading.source, reading.labelled
    found: list[Slice] = []
    for role, place, prefix in source.places():
        label = source.label_column if labelled and role != "unlabelled" else None
        split = None if role == "main" else role
        if place not in CATALOG:
            found += _divided(Slice(role, place, prefix, source.text_column, label, source.encoding, split))
            continue
        if labelled and role != "unlabelled" and not CATALOG[place].labelled:
            raise UserError(f"{place} is general text without labels; pretrain on it with --pretrain and give a labelled corpus")
        found += _known(
            Slice(role, place, prefix, "text", "label" if label else None, "utf-8", split, known=fetch(place, reading.downloads))
        )
    return found


def _known(whole: Slice) -> Iterator[Slice]:
    """A known corpus is one slice, save where it lies there as tables: they are read as any folder is."""
    assert whole.known is not None
    read = whole.known.read
    if isinstance(read, partial) and read.func is catalog._tables:
        yield from _divided(replace(whole, place=str(read.args[0]), known=None))
    else:
        yield whole


def _divided(whole: Slice) -> Iterator[Slice]:
    """The slices of a file or folder: small files of one folder together, large Parquet files in parts."""
    sizes = filesystem.files(whole.place)
    together: list[str] = []
    held = 0
    for file in data_files(whole.place):
        size = FILE_BYTES + (sizes[name_in(whole.place, file)] if sizes else filesystem.size(file)) * (PACKING if _packed(file) else 1)
        if together and (held + size > TOGETHER_BYTES or _folder(file) != _folder(together[0])):
            yield replace(whole, files=tuple(together))
            together, held = [], 0
        if size > SLICE_BYTES and file.lower().endswith(".parquet"):
            yield from _ranges(whole, file)
        else:
            together.append(file)
            held += size
    if together:
        yield replace(whole, files=tuple(together))


def _packed(file: str) -> bool:
    return file.lower().endswith((*COMPRESSED, ".parquet"))


def _folder(file: str) -> str:
    return file.rpartition("/")[0]


def _ranges(whole: Slice, file: str) -> Iterator[Slice]:
    """A Parquet file in ranges of row groups, each of about ``SLICE_BYTES`` of text."""
    first_row = next(read_file(whole.place, file, whole.text_column, whole.label_column, whole.encoding), None)
    found = replace(whole, files=(file,), split=whole.split or (first_row.split if first_row else None))
    first = held = before = rows = 0
    with reading_errors(file, whole.encoding), open_parquet(file) as opened:
        for group, (count, size) in enumerate(_group_sizes(opened, whole.text_column)):
            if held and held + size > SLICE_BYTES:
                yield replace(found, groups=(first, group), before=before)
                first, held, before = group, 0, rows
            held += size
            rows += count
        yield replace(found, groups=(first, opened.num_row_groups), before=before)


def _group_sizes(opened: pq.ParquetFile, column: str) -> list[tuple[int, int]]:
    """(rows, bytes of text) of each row group."""
    metadata = opened.metadata
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    index = next(i for i, path in enumerate(paths) if f"{path}.".startswith(f"{column}."))
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    return [(group.num_rows, group.column(index).total_uncompressed_size) for group in groups]


def slice_rows(part: Slice) -> Iterator[Row]:
    """The rows of a slice, named and split as its role says; UserError where they cannot be read."""
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
            yield from read_file(part.place, file, part.text_column, part.label_column, part.encoding)


def _group_rows(part: Slice, groups: tuple[int, int]) -> Iterator[Row]:
    """Rows of some row groups of a Parquet file; no more is held than a batch of about ``BATCH_BYTES``, or of one document."""
    (file,) = part.files
    name = name_in(part.place, file)
    label = None if part.split == "unlabelled" else part.label_column
    columns = [part.text_column] if label is None else [part.text_column, label]
    number = part.before
    with reading_errors(file, part.encoding), open_parquet(file) as opened:
        sizes = _group_sizes(opened, part.text_column)[slice(*groups)]
        rows = max(1, min(BATCH_ROWS, BATCH_BYTES * sum(rows for rows, _ in sizes) // max(1, sum(size for _, size in sizes))))
        for batch in opened.iter_batches(rows, row_groups=list(range(*groups)), columns=columns, use_threads=False):
            try:
                texts = batch.column(part.text_column).to_pylist()
            except UnicodeDecodeError as error:
                last = number + batch.num_rows
                raise UserError(f"{file}: a text in rows {number + 1} to {last} is not utf-8; write the file anew") from error
            labels = batch.column(label).to_pylist() if label else [None] * len(texts)
            del batch  # the texts are there twice otherwise
            for text, tag in zip(texts, labels, strict=True):
                number += 1
                yield Row(name, number, text, tag)
