"""Records to predict: those of a file, a folder, lines or texts, each with all its columns, in their order.

None is left out. A record that holds no text has the reason in its place.
"""

import codecs
import io
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from types import NoneType
from typing import IO

import pyarrow as pa

from ulmfit.corpora.ingest.quarantine import judge
from ulmfit.corpora.reading.formats import Columns, Row, format_of
from ulmfit.corpora.reading.opening import open_parquet, open_text
from ulmfit.corpora.reading.reading_errors import check_encoding, reading_errors
from ulmfit.corpora.reading.rows import data_files, name_in, read_file
from ulmfit.errors import UserError

TEXT = "text"  # the column of texts that come without a table
SOURCE = "source"  # of a folder's records: the file
NOT_DECODED = re.compile("[\udc80-\udcff]")  # how Python's surrogateescape passes bytes that no character has


@dataclass(frozen=True, slots=True)
class Record:
    """``cells``: its columns; of what could not be read, the text column alone. ``reason``: why it has no ``text``; "" where it has.

    ``name``: how messages name it.
    """

    name: str
    cells: Mapping[str, object]
    text: str
    reason: str = ""


@dataclass(frozen=True)
class Records:
    """``columns``: what each holds. ``number``: of records; None for a stream. ``read``: gives them; of a stream, once."""

    columns: Mapping[str, pa.DataType]
    number: int | None
    read: Callable[[], Iterator[Record]]


def records_of_texts(texts: list[str]) -> Records:
    """``texts`` as the records of a column ``text``."""
    rows = [Row("the texts", number, text, record={TEXT: text}) for number, text in enumerate(texts, 1)]
    return Records({TEXT: pa.string()}, len(texts), lambda: map(_record, rows))


def records_of_lines(stream: IO[bytes], name: str, encoding: str) -> Records:
    """The lines of a stream, which are read as they are asked for. UserError there for a byte that is not in ``encoding``."""
    check_encoding(encoding)
    known = "utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding
    lines = io.TextIOWrapper(stream, encoding=known, errors="surrogateescape", newline="")
    return Records({TEXT: pa.string()}, None, lambda: map(_record, _decoded(_lines(lines, name, TEXT), name, encoding)))


def records_of_files(location: str, text_column: str, encoding: str) -> Records:
    """The records of a file or folder, which is read once here: UserError for what makes a file unusable, before any prediction.

    In a file of lines or JSON Lines each line is a record; so is a blank line between those of a table.
    """
    check_encoding(encoding)
    files = data_files(location)
    parts = [_File(location, file, text_column, encoding) for file in files]
    found = [part.survey() for part in parts]
    columns: dict[str, pa.DataType] = {}
    for types, _ in found:
        columns |= {name: kind if columns.get(name, kind) == kind else pa.string() for name, kind in types.items()}
    if files == [location]:
        return Records(columns, found[0][1], parts[0].records)
    source = free_name(SOURCE, columns)
    return Records({source: pa.string(), **columns}, sum(number for _, number in found), partial(_of_folder, parts, source))


def _of_folder(parts: "list[_File]", source: str) -> Iterator[Record]:
    for part in parts:
        for record in part.records():
            yield Record(record.name, {source: part.name, **record.cells}, record.text, record.reason)


@dataclass(frozen=True)
class _File:
    root: str
    path: str
    text_column: str
    encoding: str

    @property
    def name(self) -> str:
        return name_in(self.root, self.path)

    def records(self) -> Iterator[Record]:
        return (_record(row, self.text_column) for row in self._rows())

    def survey(self) -> tuple[dict[str, pa.DataType], int]:
        """The columns and the number of records."""
        if format_of(self.path) == ".parquet":
            next(self._rows(), None)  # it has the column
            with open_parquet(self.path) as opened:
                return {field.name: field.type for field in opened.schema_arrow}, opened.metadata.num_rows
        kinds: dict[str, set[type]] = {}
        number = 0
        for number, row in enumerate(self._rows(), 1):  # noqa: B007  # the last number is the count
            for column, value in (row.record or {}).items():
                kinds.setdefault(column, set()).add(_kind(value))
        return {column: _type(found) for column, found in (kinds or {self.text_column: set()}).items()}, number

    def _rows(self) -> Iterator[Row]:
        if format_of(self.path) == ".txt":
            with reading_errors(self.path, self.encoding), open_text(self.path, self.encoding) as stream:
                if self.path == self.root:
                    yield from _lines(stream, self.name, self.text_column)
                else:
                    text = stream.read()
                    yield Row(self.name, 1, text, record={self.text_column: text})
            return
        yield from _with_blank_lines(read_file(self.root, self.path, Columns(self.text_column, None, every=True), self.encoding))


def _lines(stream: Iterable[str], name: str, column: str) -> Iterator[Row]:
    for number, line in enumerate(stream, 1):
        text = line.rstrip("\r\n")
        yield Row(name, number, text, record={column: text})


def _with_blank_lines(rows: Iterable[Row]) -> Iterator[Row]:
    """``rows``, and those whose numbers are missing: the reader counts blank lines, but gives no row for them."""
    due = 1
    for row in rows:
        for number in range(due, row.row):
            yield Row(row.source, number, reason="blank line")
        yield row
        due = row.row + 1


def _decoded(rows: Iterable[Row], name: str, encoding: str) -> Iterator[Row]:
    try:
        for row in rows:
            found = NOT_DECODED.search(row.text)
            if found:
                guess = "utf-16" if row.row == 1 and row.text[:2] in ("\udcff\udcfe", "\udcfe\udcff") else "cp1252"
                raise UserError(
                    f"{name}: byte 0x{ord(found[0]) - 0xDC00:02x} in row {row.row} is not {encoding}; "
                    f"name the encoding, for example --encoding {guess}"
                )
            yield row
    except UnicodeError as error:  # of encodings that pass no byte on
        raise UserError(f"{name}: the lines are not {encoding}; name the encoding with --encoding") from error


def _record(row: Row, text_column: str = TEXT) -> Record:
    reason, text, _, _ = judge(row, needs_label=False)
    instead = row.text.rstrip("\r\n") if isinstance(row.text, str) else None  # of a record that could not be read: how it is written
    return Record(f"row {row.row} of {row.source}", {text_column: instead} if row.record is None else row.record, text, reason)


class _Large:
    """The kind of an integer that 64 bits do not hold."""


def _kind(value: object) -> type:
    return _Large if type(value) is int and not -(2**63) <= value < 2**63 else type(value)


def _type(kinds: set[type]) -> pa.DataType:
    """What holds values of all ``kinds``; text where nothing else does."""
    match sorted(kind.__name__ for kind in kinds - {NoneType}):
        case ["bool"]:
            return pa.bool_()
        case ["int"]:
            return pa.int64()
        case ["float"] | ["float", "int"]:
            return pa.float64()
    return pa.string()


def free_name(name: str, taken: Iterable[str]) -> str:
    """``name``, or where the input has a column of that name ``predicted_<name>``; UserError where it has both."""
    used = set(taken)
    for candidate in (name, f"predicted_{name}"):
        if candidate not in used:
            return candidate
    raise UserError(f"the input has columns {name!r} and 'predicted_{name}', which predictions need; rename one of them")
