"""Errors of reading: a file that is damaged, cannot be accessed, or is not in the encoding that it should be."""

import codecs
import csv
import gzip
import io
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from itertools import chain
from pathlib import Path
from typing import IO

import pyarrow as pa
import zstandard

from ulmfit.corpora.reading.formats import format_of
from ulmfit.corpora.reading.opening import CHUNK, open_bytes
from ulmfit.errors import UserError
from ulmfit.store import s3

BEYOND_LATIN_1 = set(range(0x80, 0xA0))  # control characters there, but quotation marks, dashes and letters in cp1252
MARKS = ((codecs.BOM_UTF32_LE, "utf-32"), (codecs.BOM_UTF32_BE, "utf-32"), (codecs.BOM_UTF16_LE, "utf-16"), (codecs.BOM_UTF16_BE, "utf-16"))
NO_TEXT = {  # first bytes -> what the file is, and what to do
    b"\x1f\x8b": "gzip: let its name end in .gz",
    b"\x28\xb5\x2f\xfd": "Zstandard: let its name end in .zst",
    b"BZh": "bzip2: unpack it",
    b"\xfd7zXZ": "xz: unpack it",
    b"PK\x03\x04": "a zip archive or a document of an office program: unpack it, or export it as csv",
    b"\xd0\xcf\x11\xe0": "a document of an office program: export it as csv",
    b"PAR1": "Parquet: let its name end in .parquet",
    b"SQLite f": "a database of SQLite: export the table as csv",
    b"%PDF-": "a PDF: write its text into a file",
}
ESCAPES = {"idna", "punycode", "raw-unicode-escape", "undefined", "unicode-escape"}  # of program texts and addresses
BEYOND_CP1252 = {0x81, 0x8D, 0x8F, 0x90, 0x9D}


def check_encoding(encoding: str) -> None:
    """UserError unless ``encoding`` names a text encoding that Python knows."""
    try:
        "".encode(encoding)
        known = codecs.lookup(encoding).name not in ESCAPES
    except (LookupError, ValueError):  # ValueError: a name with a NUL
        known = False
    if not known:
        raise UserError(f"--encoding {encoding}: there is no such text encoding; write for example utf-8, latin-1, cp1252 or utf-16")


def no_documents(location: str) -> UserError:
    """The error of a source without rows."""
    return UserError(f"{location}: there are no documents in it; it needs rows (a csv: below its header)")


def check_name(location: str) -> None:
    """UserError for a name with bytes that are no UTF-8, which no record can hold."""
    try:
        location.encode()
    except UnicodeEncodeError as error:
        raise UserError(f"{location!r}: this name holds bytes that are no UTF-8; rename the file or folder") from error


@contextmanager
def reading_errors(path: str | Path, encoding: str) -> Iterator[None]:
    """Turn every error of a file's bytes, or of access to them, into one clear UserError."""
    try:
        yield
    except UnicodeError as error:
        raise UserError(_bad_encoding(str(path), encoding)) from error
    except (gzip.BadGzipFile, EOFError, zlib.error, zstandard.ZstdError) as error:
        raise UserError(f"{path}: the compressed file is damaged or cut short ({error}); fetch or pack it again") from error
    except pa.ArrowInvalid as error:
        raise UserError(f"{path}: this is not a readable Parquet file ({str(error).splitlines()[0]})") from error
    except PermissionError as error:
        raise UserError(f"{path}: the file may not be read ({error.strerror}); change its permissions") from error
    except FileNotFoundError as error:
        raise UserError(f"{path}: the file is gone; put it back, or give another") from error
    except OSError as error:
        if error.errno is not None:
            raise
        if "AWS Error" in str(error):
            raise s3.explained(str(path), error) from error
        raise UserError(f"{path}: this Parquet file is damaged ({str(error).splitlines()[0]}); write it again") from error  # as Arrow says


def _bad_encoding(path: str, encoding: str) -> str:
    """Name the first byte that does not decode; the reader itself only knows its position within a buffer."""
    with open_bytes(path) as raw:
        begun = raw.read(8)
    kind = next((kind for magic, kind in NO_TEXT.items() if begun.startswith(magic)), None)
    if kind:
        return f"{path}: this is no text, but {kind}"
    found = _first_bad(path, encoding)
    if found is None:  # decodes after all: only the wrapper refused, as utf-16 without a mark does
        return f"{path}: the text is not {encoding}; name its encoding with --encoding"
    offset, bad = found
    value = f"byte 0x{bad[0]:02x}" if bad else "the byte"
    guess = next((name for mark, name in MARKS if offset == 0 and begun.startswith(mark)), "") or _one_byte_encoding(path, offset)
    row = _row_at(path, encoding, offset)
    example = f", for example --encoding {guess}" if guess else " with --encoding"
    return f"{path}: {value} at offset {offset} (row {row}) is not {encoding}; name the file's encoding{example}"


def _one_byte_encoding(path: str, offset: int) -> str:
    """What the bytes from ``offset`` on may be: cp1252 where they have signs that latin-1 lacks, "" where they are neither."""
    used = set()
    with open_bytes(path) as raw:
        for _ in _first_bytes(raw, offset):
            pass
        while chunk := raw.read(CHUNK):
            used |= set(chunk) & BEYOND_LATIN_1
    if used & BEYOND_CP1252:
        return ""
    return "cp1252" if used else "latin-1"


def _first_bad(path: str, encoding: str) -> tuple[int, bytes] | None:
    """Where the first byte that does not decode stands, and the bytes from it on; None where all decode."""
    decoder = codecs.getincrementaldecoder(encoding)()
    offset = 0
    with open_bytes(path) as raw:
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


def _row_at(path: str, encoding: str, offset: int) -> int:
    """The number of the record in which the byte at ``offset`` stands; all before it decodes."""
    kind = format_of(path)
    with open_bytes(path) as raw:
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
