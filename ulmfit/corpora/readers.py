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
from pathlib import Path
from typing import IO, Any

import pyarrow as pa
import pyarrow.parquet as pq
import zstandard

from ulmfit.errors import UserError

FORMATS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet", ".txt")
COMPRESSED = (".gz", ".zst")
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


def read_rows(path: Path, text_column: str = "text", label_column: str | None = "label", encoding: str = "utf-8") -> Iterator[Row]:
    """Every record of a file or folder.

    A folder holds data files (``train*.csv``, ``test*.parquet``, ...; a file of another name is training data), or
    ``.txt`` files, a document each, or a sub-folder of them per label, or such sub-folders below ``train/``, ``test/``,
    ``valid/`` and ``unsup/``.

    Raises UserError where the path is missing, its format unknown, a column absent, or its bytes not in ``encoding``.
    """
    check_encoding(encoding)
    if text_column == label_column:
        raise UserError(
            f"{path}: column {text_column!r} cannot be both the text and the label; choose with --text-column and --label-column"
        )
    if path.is_dir():
        yield from _folder(path, text_column, label_column, encoding)
    elif path.is_file():
        yield from _file(path, path.name, None, text_column, label_column, encoding)
    else:
        raise UserError(f"{path}: there is no such file or folder; give a file, a folder or the name of a corpus")


def check_encoding(encoding: str) -> None:
    """UserError unless ``encoding`` names a text encoding that Python knows."""
    try:
        "".encode(encoding)
    except LookupError as error:
        raise UserError(
            f"--encoding {encoding}: there is no such text encoding; write for example utf-8, latin-1, cp1252 or utf-16"
        ) from error


def data_files(path: Path) -> list[Path]:
    """The files that ``read_rows`` reads of a file or folder, in its order."""
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise UserError(f"{path}: there is no such file or folder; give a file, a folder or the name of a corpus")
    found = sorted(item for item in path.rglob("*") if item.is_file() and not _hidden(item, path) and _format(item) in FORMATS)
    if not found:
        raise UserError(f"{path}: the folder holds no file of a known format ({', '.join(FORMATS)}, also .gz or .zst)")
    return found


def _hidden(item: Path, root: Path) -> bool:
    return any(part.startswith((".", "_")) for part in item.relative_to(root).parts)


def _format(path: Path) -> str:
    suffixes = [suffix.lower() for suffix in path.suffixes]
    if suffixes and suffixes[-1] in COMPRESSED:
        suffixes.pop()
    return suffixes[-1] if suffixes else ""


def _folder(root: Path, text_column: str, label_column: str | None, encoding: str) -> Iterator[Row]:
    files = data_files(root)
    for path in files:
        inside = path.relative_to(root)
        name = inside.as_posix()
        if _format(path) == ".txt":
            yield _document(path, inside, label_column is not None, encoding)
        else:
            yield from _file(path, name, _split_of(inside), text_column, label_column, encoding)


def _split_of(inside: Path) -> str | None:
    """The split that a path inside a folder names: by its innermost folder that does, or else the start of the file's name."""
    named = [SPLIT_NAMES[part.lower()] for part in inside.parts[:-1] if part.lower() in SPLIT_NAMES]
    if named:
        return named[-1]
    word = inside.name.lower()
    for cut in "-_. ":
        word = word.split(cut)[0]
    return SPLIT_NAMES.get(word)


def _document(path: Path, inside: Path, labelled: bool, encoding: str) -> Row:
    """A .txt file in a folder: one document, its label the innermost folder that names no split."""
    splits = [SPLIT_NAMES[folder.lower()] for folder in inside.parts[:-1] if folder.lower() in SPLIT_NAMES]
    folders = [folder for folder in inside.parts[:-1] if folder.lower() not in SPLIT_NAMES]
    split = splits[-1] if splits else None  # train/unsup is unlabelled
    label = folders[-1] if labelled and folders and split != "unlabelled" else None
    with reading(path, encoding), open_text(path, encoding) as stream:
        return Row(inside.as_posix(), 1, stream.read(), label, split)


def _file(path: Path, name: str, split: str | None, text_column: str, label_column: str | None, encoding: str) -> Iterator[Row]:
    kind = _format(path)
    if kind not in FORMATS:
        raise UserError(
            f"{path}: the format {kind or 'without suffix'} is not known; there are {', '.join(FORMATS)}, each also .gz or .zst"
        )
    if split == "unlabelled":
        label_column = None
    with reading(path, encoding):
        if kind == ".parquet":
            yield from parquet_rows(path, name, split, text_column, label_column)
            return
        with open_text(path, encoding) as stream:
            if kind == ".txt":
                yield from (Row(name, number, line.rstrip("\r\n"), None, split) for number, line in enumerate(stream, 1) if line.strip())
            elif kind in (".jsonl", ".ndjson"):
                yield from jsonl_rows(stream, path, name, split, text_column, label_column)
            else:
                yield from csv_rows(stream, path, name, split, text_column, label_column, "\t" if kind == ".tsv" else ",")


@contextmanager
def open_text(path: Path, encoding: str) -> Iterator[io.TextIOWrapper]:
    """The decoded text of a file, unpacked if its name ends in .gz or .zst; a byte order mark is dropped."""
    with open_bytes(path) as raw:
        yield io.TextIOWrapper(raw, encoding="utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding, newline="")


@contextmanager
def open_bytes(path: Path) -> Iterator[IO[bytes]]:
    """The bytes of a file, unpacked if its name ends in .gz or .zst."""
    with open(path, "rb") as file:
        if path.suffix.lower() == ".gz":
            yield gzip.GzipFile(fileobj=file)  # type: ignore[misc]
        elif path.suffix.lower() == ".zst":
            yield io.BufferedReader(_Unzstd(file))
        else:
            yield file


class _Unzstd(io.RawIOBase):
    """Unpacks Zstandard frames; unlike the library's own reader it does not take a frame that is cut short for a whole one."""

    def __init__(self, file: IO[bytes]):
        self._file, self._packed, self._ready = file, b"", io.BytesIO()
        self._frame: Any = None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        while not (count := self._ready.readinto(buffer)):
            chunk = self._packed or self._file.read(1 << 18)
            if not chunk:
                if self._frame is not None:
                    raise zstandard.ZstdError("it ends within a frame")
                return 0
            self._frame = self._frame or zstandard.ZstdDecompressor().decompressobj()
            self._ready = io.BytesIO(self._frame.decompress(chunk))
            self._packed = self._frame.unused_data
            if self._frame.eof:
                self._frame = None
        return count


@contextmanager
def reading(path: Path, encoding: str) -> Iterator[None]:
    """Turn what can be wrong with a file's bytes into one clear UserError."""
    try:
        yield
    except UnicodeError as error:
        raise UserError(_bad_encoding(path, encoding)) from error
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise UserError(f"{path}: the compressed file is damaged or cut short ({error}); fetch or pack it again") from error
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: this is not a readable Parquet file ({str(error).splitlines()[0]})") from error
    except PermissionError as error:
        raise UserError(f"{path}: the file may not be read ({error.strerror}); change its permissions") from error
    except OSError as error:
        if error.errno is not None:
            raise
        raise UserError(f"{path}: this Parquet file is damaged ({str(error).splitlines()[0]}); write it anew") from error  # says Arrow


def _bad_encoding(path: Path, encoding: str) -> str:
    """Find the first byte that does not decode; the reader itself only knows its place within a buffer."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset, good = 0, []
    with open_bytes(path) as raw:
        while True:
            chunk = raw.read(1 << 20)
            pending = len(decoder.getstate()[0])
            try:
                good.append(decoder.decode(chunk, final=not chunk))
            except UnicodeError as error:
                start = getattr(error, "start", 0)
                offset += start - pending
                data = getattr(error, "object", b"")
                good.append(data[:start].decode(encoding, errors="ignore"))
                value = f"byte 0x{data[start]:02x}" if start < len(data) else "the byte"
                break
            if not chunk:  # decodes after all: only the wrapper refused, as utf-16 without a mark does
                return f"{path}: the text is not {encoding}; name its encoding with --encoding"
            offset += len(chunk)
    text = "".join(good)
    row = _row_of(path, text)
    guess = "utf-16" if offset == 0 and data[:2] in (b"\xff\xfe", b"\xfe\xff") else "latin-1"
    return f"{path}: {value} at offset {offset} (row {row}) is not {encoding}; name the file's encoding, for example --encoding {guess}"


def _row_of(path: Path, text: str) -> int:
    """The number of the record in which ``text``, the start of a file, ends."""
    kind = _format(path)
    if kind in (".csv", ".tsv"):
        records = sum(1 for _ in csv.reader(io.StringIO(text + "x", newline=""), delimiter="\t" if kind == ".tsv" else ","))
        return max(records - 1, 0)
    return text.count("\n") + 1


def csv_rows(
    stream: Iterable[str], path: Path, name: str, split: str | None, text_column: str, label_column: str | None, delimiter: str
) -> Iterator[Row]:
    """Records of a csv or tsv with a header. A value may hold line breaks; broken quoting spoils that record alone."""
    csv.field_size_limit(sys.maxsize)  # the module's default refuses documents over 128 KiB
    reader = csv.reader(stream, delimiter=delimiter, strict=True)
    try:
        header = next(reader, None)
    except csv.Error as error:
        raise UserError(f"{path}: the header cannot be read ({error})") from error
    if header is None:
        raise UserError(f"{path}: the file is empty; it needs a header and rows")
    header = [column.strip() for column in header]
    text_at = column_index(path, header, text_column, "--text-column")
    label_at = None if label_column is None else column_index(path, header, label_column, "--label-column")
    for number in range(1, sys.maxsize):
        line = reader.line_num + 1
        try:
            record = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            if "unexpected end" in str(error):
                raise UserError(f"{path}: a quote opened in row {number} (line {line}) is never closed; close it or double it") from error
            yield Row(name, number, split=split, reason="broken quoting")
            continue
        if not record:  # a blank line
            continue
        if len(record) != len(header):
            yield Row(name, number, delimiter.join(record), split=split, reason="wrong number of fields")
            continue
        yield Row(name, number, record[text_at], None if label_at is None else record[label_at], split)


def column_index(path: Path, header: list[str], column: str, option: str) -> int:
    """Where ``column`` stands; UserError naming the columns there are."""
    if column not in header:
        raise UserError(f"{path}: there is no column {column!r}; there are: {', '.join(map(repr, header))}; choose with {option}")
    return header.index(column)


def jsonl_rows(
    stream: Iterable[str], path: Path, name: str, split: str | None, text_column: str, label_column: str | None
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
        raise UserError(f"{path}: the file is empty; it needs a JSON object a line")
    for column, option in wanted.items() if seen else ():
        column_index(path, list(seen), column, option)


def parquet_rows(path: Path, name: str, split: str | None, text_column: str, label_column: str | None) -> Iterator[Row]:
    """Rows of a Parquet file, a batch at a time."""
    with open_bytes(path) as raw, pq.ParquetFile(io.BytesIO(raw.read()) if path.suffix.lower() in COMPRESSED else raw) as file:
        header = file.schema_arrow.names
        column_index(path, header, text_column, "--text-column")
        columns = [text_column]
        if label_column is not None:
            column_index(path, header, label_column, "--label-column")
            columns.append(label_column)
        number = 0
        for batch in file.iter_batches(batch_size=1000, columns=columns):
            try:
                texts = batch.column(0).to_pylist()
                labels = batch.column(1).to_pylist() if len(columns) == 2 else [None] * len(texts)
            except UnicodeDecodeError as error:
                raise UserError(
                    f"{path}: a text in rows {number + 1} to {number + batch.num_rows} is not utf-8; write the file anew"
                ) from error
            for text, label in zip(texts, labels, strict=True):
                number += 1
                yield Row(name, number, text, label, split)
