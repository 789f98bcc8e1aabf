"""Rows of text out of files: csv, tsv, jsonl, parquet, txt (each also .gz or .zst), and folders of them.

A reader yields a :class:`Row` for every record it meets, also for one it cannot use: such a row has a ``reason``.
What makes the whole file unusable (missing, not in the encoding, no such column) raises UserError.
"""

from __future__ import annotations

import codecs
import csv
import gzip
import io
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePosixPath
from typing import IO, Any

import pyarrow as pa
import zstandard

from ulmfit.corpora.reading.opening import CHUNK, COMPRESSED, open_bytes, open_parquet, open_text
from ulmfit.errors import UserError
from ulmfit.store import filesystem, s3

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".txt")
BATCH = 256  # rows of Parquet decoded at a time
SPLIT_NAMES = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "validation": "valid",
    "val": "valid",
    "dev": "valid",
    "test": "test",
    "unsup": "unlabelled",
    "unlabelled": "unlabelled",
    "unlabeled": "unlabelled",
    "unsupervised": "unlabelled",
}


@dataclass(frozen=True, slots=True)
class Row:
    """One record of a file. ``row`` counts records from 1, a header not among them."""

    source: str
    row: int
    text: Any = None
    label: Any = None
    split: str | None = None  # where the layout of a folder or archive says
    reason: str = ""  # why the record cannot be used


def read_rows(place: str | Path, text_column: str = "text", label_column: str | None = "label", encoding: str = "utf-8") -> Iterator[Row]:
    """Every record of a file or folder, local or ``s3://``.

    A folder holds data files (``train*.csv``, ``test*.parquet``, ...; a file of another name is training data), or
    ``.txt`` files, a document each, or a sub-folder of them per label, or such sub-folders below ``train/``, ``test/``,
    ``valid/`` and ``unsup/``.

    Raises UserError where the place is missing or cannot be reached, its format unknown, a column absent, or its bytes
    not in ``encoding``.
    """
    check_encoding(encoding)
    for file in data_files(place):
        yield from read_file(place, file, text_column, label_column, encoding)


def read_file(
    root: str | Path, file: str, text_column: str = "text", label_column: str | None = "label", encoding: str = "utf-8"
) -> Iterator[Row]:
    """The records of one of ``data_files(root)``, as ``read_rows(root)`` gives them: named, split and labelled by its place in ``root``."""
    check_encoding(encoding)
    if text_column == label_column:
        raise UserError(
            f"{root}: column {text_column!r} cannot be both the text and the label; choose with --text-column and --label-column"
        )
    name = name_in(root, file)
    if file == str(root):
        yield from _file(file, name, None, text_column, label_column, encoding)
    elif _format(file) == ".txt":
        yield _document(file, PurePosixPath(name), label_column is not None, encoding)
    else:
        yield from _file(file, name, _split_of(PurePosixPath(name)), text_column, label_column, encoding)


def check_encoding(encoding: str) -> None:
    """UserError unless ``encoding`` names a text encoding that Python knows."""
    try:
        "".encode(encoding)
    except LookupError as error:
        raise UserError(
            f"--encoding {encoding}: there is no such text encoding; write for example utf-8, latin-1, cp1252 or utf-16"
        ) from error


def data_files(place: str | Path) -> list[str]:
    """The files that ``read_rows`` reads of a file or folder, in its order: the same on S3 as in a local folder."""
    root = str(place)
    if not filesystem.is_folder(root):
        if not filesystem.exists(root):
            raise _missing(root)
        return [root]
    names = [name for name in filesystem.files(root) if not _hidden(name) and _format(name) in FORMATS]
    if not names:
        raise UserError(f"{root}: the folder holds no file of a known format ({', '.join(FORMATS)}, also .gz or .zst)")
    return [filesystem.join(root, name) for name in sorted(names, key=lambda name: name.split("/"))]


def name_in(root: str | Path, file: str) -> str:
    """How rows name a file of ``data_files(root)``: by its path inside the folder, or its own name where it is the root."""
    if file == str(root):
        return file.rstrip("/").rpartition("/")[2]
    return file.removeprefix(filesystem.join(root, ""))


def _missing(place: str) -> UserError:
    if filesystem.is_remote(place) and not s3.has_bucket(place):
        return UserError(f"{place}: there is no bucket {s3.parts(place)[0]!r}; correct the name, or check AWS_ENDPOINT_URL")
    return UserError(f"{place}: there is no such file or folder; give a file, a folder or the name of a corpus")


def _hidden(name: str) -> bool:
    return any(part.startswith((".", "_")) for part in name.split("/"))


def _format(place: str) -> str:
    suffixes = [suffix.lower() for suffix in PurePosixPath(place).suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _split_of(inside: PurePosixPath) -> str | None:
    """The split that a path inside a folder names: by its innermost folder that does, or else the start of the file's name."""
    named = [SPLIT_NAMES[part.lower()] for part in inside.parts[:-1] if part.lower() in SPLIT_NAMES]
    if named:
        return named[-1]
    word = inside.name.lower()
    for cut in "-_. ":
        word = word.split(cut)[0]
    return SPLIT_NAMES.get(word)


def _document(place: str, inside: PurePosixPath, labelled: bool, encoding: str) -> Row:
    """A .txt file in a folder: one document, its label the innermost folder that names no split."""
    splits = [SPLIT_NAMES[folder.lower()] for folder in inside.parts[:-1] if folder.lower() in SPLIT_NAMES]
    folders = [folder for folder in inside.parts[:-1] if folder.lower() not in SPLIT_NAMES]
    split = splits[-1] if splits else None  # train/unsup is unlabelled
    label = folders[-1] if labelled and folders and split != "unlabelled" else None
    with reading_errors(place, encoding), open_text(place, encoding) as stream:
        return Row(inside.as_posix(), 1, stream.read(), label, split)


def _file(place: str, name: str, split: str | None, text_column: str, label_column: str | None, encoding: str) -> Iterator[Row]:
    kind = _format(place)
    if kind not in FORMATS:
        raise UserError(
            f"{place}: the format {kind or 'without suffix'} is not known; there are {', '.join(FORMATS)}, each also .gz or .zst"
        )
    if split == "unlabelled":
        label_column = None
    with reading_errors(place, encoding):
        if kind == ".parquet":
            yield from parquet_rows(place, name, split, text_column, label_column)
            return
        with open_text(place, encoding) as stream:
            if kind == ".txt":
                yield from (Row(name, number, line.rstrip("\r\n"), None, split) for number, line in enumerate(stream, 1) if line.strip())
            elif kind in (".jsonl", ".ndjson"):
                yield from jsonl_rows(stream, place, name, split, text_column, label_column)
            else:
                yield from csv_rows(stream, place, name, split, text_column, label_column, "\t" if kind == ".tsv" else ",")


@contextmanager
def reading_errors(place: str | Path, encoding: str) -> Iterator[None]:
    """Turn what can be wrong with a file's bytes, or with the way to them, into one clear UserError."""
    try:
        yield
    except UnicodeError as error:
        raise UserError(_bad_encoding(str(place), encoding)) from error
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise UserError(f"{place}: the compressed file is damaged or cut short ({error}); fetch or pack it again") from error
    except pa.ArrowInvalid as error:
        raise UserError(f"{place}: this is not a readable Parquet file ({str(error).splitlines()[0]})") from error
    except PermissionError as error:
        raise UserError(f"{place}: the file may not be read ({error.strerror}); change its permissions") from error
    except FileNotFoundError as error:
        raise UserError(f"{place}: the file has been taken away; put it back, or give another") from error
    except OSError as error:
        if error.errno is not None:
            raise
        if "AWS Error" in str(error):
            raise s3.explained(str(place), error) from error
        raise UserError(f"{place}: this Parquet file is damaged ({str(error).splitlines()[0]}); write it anew") from error  # says Arrow


def _bad_encoding(place: str, encoding: str) -> str:
    """Name the first byte that does not decode; the reader itself only knows its position within a buffer."""
    found = _first_bad(place, encoding)
    if found is None:  # decodes after all: only the wrapper refused, as utf-16 without a mark does
        return f"{place}: the text is not {encoding}; name its encoding with --encoding"
    offset, bad = found
    value = f"byte 0x{bad[0]:02x}" if bad else "the byte"
    guess = "utf-16" if offset == 0 and bad[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    row = _row_at(place, encoding, offset)
    return f"{place}: {value} at offset {offset} (row {row}) is not {encoding}; name the file's encoding, for example --encoding {guess}"


def _first_bad(place: str, encoding: str) -> tuple[int, bytes] | None:
    """Where the first byte that does not decode stands, and the bytes from it on; None where all decode."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0
    with open_bytes(place) as raw:
        while True:
            chunk = raw.read(CHUNK)
            pending = len(decoder.getstate()[0])
            try:
                decoder.decode(chunk, final=not chunk)
            except UnicodeError as error:
                start = getattr(error, "start", 0)
                return offset + start - pending, getattr(error, "object", b"")[start:]
            if not chunk:
                return None
            offset += len(chunk)


def _row_at(place: str, encoding: str, offset: int) -> int:
    """The number of the record in which the byte at ``offset`` stands; all before it decodes."""
    kind = _format(place)
    with open_bytes(place) as raw:
        texts = codecs.iterdecode(_first_bytes(raw, offset), encoding, errors="ignore")
        if kind not in (".csv", ".tsv"):
            return sum(text.count("\n") for text in texts) + 1
        records = csv.reader(_lines(chain(texts, ["x"])), delimiter="\t" if kind == ".tsv" else ",")
        return max(sum(1 for _ in records) - 1, 0)


def _first_bytes(raw: IO[bytes], count: int) -> Iterator[bytes]:
    while count and (chunk := raw.read(min(count, CHUNK))):
        count -= len(chunk)
        yield chunk


def _lines(texts: Iterable[str]) -> Iterator[str]:
    """Whole lines, with their ends, of a text that comes in pieces."""
    rest = ""
    for text in filter(None, texts):
        *whole, rest = io.StringIO(rest + text, newline="")
        yield from whole
    yield rest


def csv_rows(
    stream: Iterable[str], place: str, name: str, split: str | None, text_column: str, label_column: str | None, delimiter: str
) -> Iterator[Row]:
    """Records of a csv or tsv with a header. A value may hold line breaks; broken quoting spoils that record alone."""
    csv.field_size_limit(sys.maxsize)  # the module's default refuses documents over 128 KiB
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise UserError(f"{place}: the header cannot be read ({error})") from error
    if header is None:
        raise UserError(f"{place}: the file is empty; it needs a header and rows")
    header = [column.strip() for column in header]
    text_at = column_index(place, header, text_column, "--text-column")
    label_at = None if label_column is None else column_index(place, header, label_column, "--label-column")
    for number in range(1, sys.maxsize):
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise UserError(f"{place}: a quote opened in row {number} (line {line}) is never closed; close it or double it") from error
            yield Row(name, number, split=split, reason="broken quoting")
            continue
        if not record:  # a blank line
            continue
        if len(record) != len(header):
            yield Row(name, number, delimiter.join(record), split=split, reason="wrong number of fields")
            continue
        yield Row(name, number, record[text_at], None if label_at is None else record[label_at], split)


def column_index(place: str, header: list[str], column: str, option: str) -> int:
    """Where ``column`` stands; UserError naming the columns there are."""
    if column not in header:
        raise UserError(f"{place}: there is no column {column!r}; there are: {', '.join(map(repr, header))}; choose with {option}")
    return header.index(column)


def jsonl_rows(
    stream: Iterable[str], place: str, name: str, split: str | None, text_column: str, label_column: str | None
) -> Iterator[Row]:
    """A JSON object a line; blank lines are passed over. A column that no object has raises UserError."""
    wanted = {text_column: "--text-column"} | ({label_column: "--label-column"} if label_column else {})
    seen: dict[str, None] = {}
    number = 0
    for number, line in enumerate(stream, 1):
        if not line.strip():
            continue
        try:
            record = json.loads(line)
        except (ValueError, RecursionError):
            yield Row(name, number, line, split=split, reason="not JSON")
            continue
        if not isinstance(record, dict):
            yield Row(name, number, line, split=split, reason="not a JSON object")
            continue
        seen.update(dict.fromkeys(record))
        yield Row(name, number, record.get(text_column), record.get(label_column) if label_column else None, split)
    if number == 0:
        raise UserError(f"{place}: the file is empty; it needs a JSON object a line")
    for column, option in wanted.items() if seen else ():
        column_index(place, list(seen), column, option)


def parquet_rows(place: str, name: str, split: str | None, text_column: str, label_column: str | None) -> Iterator[Row]:
    """Rows of a Parquet file, a batch at a time."""
    with open_parquet(place) as file:
        header = file.schema_arrow.names
        column_index(place, header, text_column, "--text-column")
        columns = [text_column]
        if label_column is not None:
            column_index(place, header, label_column, "--label-column")
            columns.append(label_column)
        number = 0
        for batch in file.iter_batches(batch_size=BATCH, columns=columns, use_threads=False):
            try:
                texts = batch.column(0).to_pylist()
                labels = batch.column(1).to_pylist() if len(columns) == 2 else [None] * len(texts)
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{place}: a text in rows {number + 1} to {number + batch.num_rows} is not utf-8; write the file anew"
                ) from error
            for text, label in zip(texts, labels, strict=True):
                number += 1
                yield Row(name, number, text, label, split)
