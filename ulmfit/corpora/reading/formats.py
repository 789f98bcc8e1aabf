"""The formats of files: csv, tsv, jsonl, Parquet, text lines. A new input format goes here.

A reader yields a :class:`Row` for every record it meets, also for one it cannot use: such a row has a ``reason``. What makes the
whole file unusable raises UserError.
"""

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import pyarrow.parquet as pq

from ulmfit.corpora.reading.csv_records import EndlessRecord, records
from ulmfit.corpora.reading.opening import COMPRESSED, open_parquet, open_text
from ulmfit.errors import UserError

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".txt")
MARKS = ("\ufeff", "ï»¿", "ÿþ", "þÿ")  # byte order marks, decoded as something else
SEPARATORS = {";": "write it with commas", "\t": "let its name end in .tsv", "|": "write it with commas", ",": "let its name end in .csv"}
BATCH_BYTES = 1 << 20  # of text in Parquet that are decoded at a time
BATCH_ROWS = 1000


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file. ``row`` counts records from 1, without the header."""

    source: str
    row: int
    text: Any = None
    label: Any = None
    split: str | None = None  # where the layout of a folder or archive says
    reason: str = ""  # why the record cannot be used
    record: Mapping[str, Any] | None = None  # all of its columns, where they are wanted and could be read
    id: Any = None


@dataclass(frozen=True)
class Columns:
    """The columns to read; without ``label`` or ``id`` the rows have none. ``every``: rows have their whole record as well."""

    text: str = "text"
    label: str | None = "label"
    every: bool = False
    id: str | None = None


@dataclass(frozen=True)
class DataFile:
    """A file to read, the name that its rows have, and the split that its location tells."""

    path: str
    name: str
    split: str | None = None


def format_of(path: str) -> str:
    """The suffix that tells a file's format, in lower case, without that of its compression; "" where there is none."""
    suffixes = path.rpartition("/")[2].lstrip(".").lower().split(".")[1:]
    if suffixes and f".{suffixes[-1]}" in COMPRESSED:
        suffixes.pop()
    return f".{suffixes[-1]}" if suffixes and suffixes[-1] else ""


def file_rows(file: DataFile, columns: Columns, encoding: str) -> Iterator[Row]:
    """The rows of a file in the format that its name tells; UserError for one that is not known."""
    kind = format_of(file.path)
    if kind not in FORMATS:
        raise UserError(
            f"{file.path}: the format {kind or 'without suffix'} is not known; there are {', '.join(FORMATS)}, each also .gz or .zst"
        )
    if kind == ".parquet":
        yield from parquet_rows(file, columns)
        return
    with open_text(file.path, encoding) as stream:
        if kind == ".txt":
            yield from text_rows(stream, file)
        elif kind in (".jsonl", ".ndjson"):
            yield from jsonl_rows(stream, file, columns)
        else:
            yield from csv_rows(stream, file, columns, "\t" if kind == ".tsv" else ",")


def text_rows(stream: Iterable[str], file: DataFile) -> Iterator[Row]:
    """A document per line; blank lines are skipped."""
    for number, line in enumerate(stream, 1):
        if line.strip():
            yield Row(file.name, number, line.rstrip("\r\n"), None, file.split)


def csv_rows(stream: Iterable[str], file: DataFile, columns: Columns, delimiter: str) -> Iterator[Row]:
    """Records of a csv or tsv with a header. A value may hold line breaks; broken quoting spoils that record alone.

    A line of one field may be the beginning of a text with a line break and without quotes; a labelled record behind it, which may be the end of
    that text, is not believed; nor is a second header, which files put together have. UserError with its row where nobody can tell where a broken record ends.
    """
    try:
        found = records(stream, delimiter)
        first = next(found, None)
        if first is None:
            raise UserError(f"{file.path}: the file is empty; it needs a header and rows")
        assert first.fields is not None, "a header that is broken ends the reading"
        header = [column.strip() for column in first.fields]
        text_at = column_index(file.path, header, columns.text, "--text-column")
        label_at = None if columns.label is None else column_index(file.path, header, columns.label, "--label-column")
        id_at = None if columns.id is None else column_index(file.path, header, columns.id, "--id-column")
        _check_distinct(file.path, header, columns)
        cut = False  # the record before has one field
        for number, record, quoted in found:
            before, cut = cut, record is not None and len(record) == 1 < len(header)
            if record is None:
                yield Row(file.name, number, split=file.split, reason="broken quoting")
            elif record[-1] == first.fields[-1] and [record[0].removeprefix("\ufeff"), *record[1:]] == first.fields:
                yield Row(file.name, number, delimiter.join(record), split=file.split, reason="the header again")
            elif len(record) != len(header):
                yield Row(file.name, number, delimiter.join(record), split=file.split, reason="wrong number of fields")
            elif before and label_at is not None and not quoted:
                yield Row(file.name, number, delimiter.join(record), split=file.split, reason="may be the end of the row before")
            else:
                whole = dict(zip(header, record, strict=True)) if columns.every else None
                label = None if label_at is None else record[label_at]
                name = None if id_at is None else record[id_at]
                yield Row(file.name, number, record[text_at], label, file.split, record=whole, id=name)
    except EndlessRecord as error:
        raise UserError(f"{file.path}: {_endless(error)}") from error


def _endless(record: EndlessRecord) -> str:
    if not record.row:
        return "the header cannot be read, for its quoting is broken; double each quote within quotes"
    place = f"row {record.row} (line {record.line})"
    if record.open:
        return f"a quote opened in {place} is never closed; close it or double it"
    return f"the quoting of {place} is broken, and nothing tells where that row ends; double each quote within quotes"


def column_index(path: str, header: list[str], column: str, option: str) -> int:
    """Where ``column`` stands; UserError naming the columns there are, or the places of several of that name."""
    if column not in header:
        raise UserError(
            f"{path}: there is no column {column!r}; there are: {', '.join(map(repr, header))}; {_misread(header) or f'choose with {option}'}"
        )
    if header.count(column) > 1:
        places = [str(number) for number, name in enumerate(header, 1) if name == column]
        raise UserError(
            f"{path}: {len(places)} columns have the name {column!r} (columns {', '.join(places[:-1])} and {places[-1]}); rename or drop all but one"
        )
    return header.index(column)


def _misread(header: list[str]) -> str:
    """What to do about a header that was read in a wrong way; "" for one that looks right."""
    if header and header[0].startswith(MARKS):
        return "the first begins with a byte order mark: it is --encoding utf-8 or utf-16"
    if header and header[0].count("\0") > 1:
        return "between the letters are NULs: it is --encoding utf-16-le or utf-16-be"
    between = next((sign for sign in SEPARATORS if len(header) == 1 and sign in header[0]), None)
    return f"they are separated by {between!r}: {SEPARATORS[between]}" if between else ""


def _check_distinct(path: str, header: list[str], columns: Columns) -> None:
    """UserError where whole records are wanted, and two columns have one name."""
    for column in header if columns.every else ():
        column_index(path, header, column, "")


class _Repeating(dict[str, Any]):
    """A JSON object in which ``names`` stand more than once."""

    names: set[str]


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) == len(pairs):
        return found
    names = [name for name, _ in pairs]
    repeating = _Repeating(found)
    repeating.names = {name for name in names if names.count(name) > 1}
    return repeating


def jsonl_rows(stream: Iterable[str], file: DataFile, columns: Columns) -> Iterator[Row]:
    """A JSON object per line; blank lines are skipped. A column that no object has raises UserError."""
    options = {columns.text: "--text-column", columns.label: "--label-column", columns.id: "--id-column"}
    wanted = {column: option for column, option in options.items() if column is not None}
    seen: dict[str, None] = {}
    number = 0
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line, object_pairs_hook=_object)
        except (ValueError, RecursionError):
            yield Row(file.name, number, line, split=file.split, reason="not JSON")
            continue
        if not isinstance(record, dict):
            yield Row(file.name, number, line, split=file.split, reason="not a JSON object")
            continue
        seen.update(dict.fromkeys(record))
        if isinstance(record, _Repeating) and (
            twice := [column for column in (record if columns.every else wanted) if column in record.names]
        ):
            yield Row(file.name, number, line, split=file.split, reason=f"two values of {twice[0]!r}")
            continue
        label = record.get(columns.label) if columns.label else None
        name = record.get(columns.id) if columns.id else None
        yield Row(file.name, number, record.get(columns.text), label, file.split, record=record if columns.every else None, id=name)
    if number == 0:
        raise UserError(f"{file.path}: the file is empty; it needs a JSON object a line")
    for column, option in wanted.items() if seen else ():
        column_index(file.path, list(seen), column, option)


def parquet_rows(file: DataFile, columns: Columns, groups: range | None = None, before: int = 0) -> Iterator[Row]:
    """Rows of a Parquet file, or of its row groups ``groups``, which come after ``before`` rows.

    Only a batch of about ``BATCH_BYTES``, or of one document, is held.
    """
    with open_parquet(file.path) as opened:
        header = opened.schema_arrow.names
        column_index(file.path, header, columns.text, "--text-column")
        _check_distinct(file.path, header, columns)
        for column, option in ((columns.label, "--label-column"), (columns.id, "--id-column")):
            if column is not None:
                column_index(file.path, header, column, option)
        wanted = list(dict.fromkeys(filter(None, (columns.text, columns.label, columns.id))))
        groups = groups or range(opened.num_row_groups)
        counts, sizes = zip(*group_sizes(opened, columns.text)[groups.start : groups.stop], strict=True) if groups else ((), ())
        rows = max(1, min(BATCH_ROWS, BATCH_BYTES * sum(counts) // max(1, sum(sizes))))
        number = before
        for batch in opened.iter_batches(rows, row_groups=list(groups), columns=header if columns.every else wanted, use_threads=False):
            try:
                records = batch.to_pylist() if columns.every else [None] * batch.num_rows
                texts = batch.column(columns.text).to_pylist()
                labels, names = (
                    [None] * len(texts) if column is None else batch.column(column).to_pylist() for column in (columns.label, columns.id)
                )
            except UnicodeDecodeError as error:
                last = number + batch.num_rows
                raise UserError(f"{file.path}: a text in rows {number + 1} to {last} is not utf-8; write the file again") from error
            del batch  # otherwise the texts are held twice
            for text, label, name, record in zip(texts, labels, names, records, strict=True):
                number += 1
                yield Row(file.name, number, text, label, file.split, record=record, id=name)


def group_sizes(opened: pq.ParquetFile, column: str) -> list[tuple[int, int]]:
    """(rows, bytes of text) of each row group."""
    metadata = opened.metadata
    paths = [metadata.schema.column(i).path for i in range(metadata.num_columns)]
    index = next(i for i, path in enumerate(paths) if f"{path}.".startswith(f"{column}."))
    groups = [metadata.row_group(i) for i in range(metadata.num_row_groups)]
    return [(group.num_rows, group.column(index).total_uncompressed_size) for group in groups]
