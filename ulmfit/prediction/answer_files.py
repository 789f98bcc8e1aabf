"""Answers and other rows, written: csv, tsv, JSON Lines or Parquet, piece by piece. An output file appears whole or not at all."""

import base64
import csv
import errno
import io
import json
import math
import os
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import date, time
from functools import cached_property
from html import escape
from pathlib import Path, PurePosixPath
from typing import IO, Protocol, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from ulmfit.corpora.reading.rows import data_files
from ulmfit.errors import UserError
from ulmfit.labels.label_strings import join_labels
from ulmfit.prediction.answers import UNSURE, Answer
from ulmfit.prediction.explanation_page import HEAD, article
from ulmfit.prediction.records import free_name
from ulmfit.store import filesystem
from ulmfit.store.json import JsonObject
from ulmfit.text.tokenizer import without_lone_surrogates

OUTPUTS = (".csv", ".tsv", ".jsonl", ".ndjson", ".parquet")
PAGE = ".html"  # of explanations
WRITING_FAULTS = (
    *(errno.ENOSPC, errno.EDQUOT, errno.EFBIG),
    *(errno.EACCES, errno.EPERM, errno.EROFS),
    *(errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.EEXIST, errno.ENAMETOOLONG),
)
Item = TypeVar("Item")
Item_contra = TypeVar("Item_contra", contravariant=True)
Write = Callable[[Sequence[Answer]], None]


class Table(Protocol[Item_contra]):
    """How items are written: as JSON, as a row of typed cells, as a row of text."""

    @property
    def schema(self) -> pa.Schema: ...

    def nested(self, item: Item_contra, /) -> JsonObject: ...

    def flat(self, item: Item_contra, /) -> dict[str, object]: ...

    def texts(self, item: Item_contra, /) -> dict[str, str | None]: ...


@dataclass(frozen=True)
class Form:
    """The columns of answers: those of the ``inputs``, then those of the prediction; ``separator``: of several labels in one cell,
    None where a text has one label; ``explained``: with explanations; ``judged``: with how strange the texts are; ``taken``: names besides those of the inputs that no column may have."""

    inputs: Mapping[str, pa.DataType]
    classes: Sequence[str]
    separator: str | None = None
    explained: bool = False
    judged: bool = False
    taken: Collection[str] = ()

    def nested(self, answer: Answer) -> JsonObject:
        """An answer as JSON: the input's columns, ``label`` and its ``probability`` (or ``labels``), ``probabilities`` by class, ``explanation``, ``reason``."""
        by_class = None if answer.probabilities is None else dict(zip(self.classes, answer.probabilities, strict=True))
        facts = {"explanation": answer.explanation.facts if answer.explanation else None} if self.explained else {}
        own = {**self._said(answer), "probabilities": by_class, **facts, **self._strange(answer), "reason": answer.reason}
        cells = {name: plain(value) for name, value in answer.record.cells.items()}
        return {**cells, **{self.names[name]: value for name, value in own.items()}}

    def flat(self, answer: Answer) -> dict[str, object]:
        """An answer as a row of a table, in which each class has a column ``probability_<class>``."""
        shares: Sequence[float | None] = answer.probabilities or [None] * len(self.classes)
        by_class = {f"probability_{name}": share for name, share in zip(self.classes, shares, strict=True)}
        why = {"explanation": answer.explanation.short if answer.explanation else None} if self.explained else {}
        own = {**self._said(answer), **by_class, **why, **self._strange(answer), "reason": answer.reason}
        cells = {name: answer.record.cells.get(name) for name in self.inputs}
        return {**cells, **{self.names[name]: value for name, value in own.items()}}

    def texts(self, answer: Answer) -> dict[str, str | None]:
        """An answer as a row of text; several labels are joined as in a corpus."""
        cells = self.flat(answer)
        if self.separator and answer.labels is not None:
            cells[self.names["labels"]] = join_labels(answer.labels, self.separator)
        return {name: as_text(value) for name, value in cells.items()}

    @property
    def schema(self) -> pa.Schema:
        """The columns of ``flat``."""
        return pa.schema({**self.inputs, **{self.names[name]: kind for name, kind in self._own.items()}})

    @cached_property
    def names(self) -> dict[str, str]:
        """The name of each column of the prediction; another where the input has that column."""
        return {name: free_name(name, {*self.inputs, *self.taken}) for name in (*self._own, "probabilities")}

    @property
    def _own(self) -> dict[str, pa.DataType]:
        said = {"labels": pa.list_(pa.string())} if self.separator else {"label": pa.string(), "probability": pa.float64()}
        why = {"explanation": pa.string()} if self.explained else {}
        strange = {"perplexity": pa.float64(), "unknown": pa.float64(), "warning": pa.string()} if self.judged else {}
        return {**said, **{f"probability_{name}": pa.float64() for name in self.classes}, **why, **strange, "reason": pa.string()}

    def _strange(self, answer: Answer) -> dict[str, object]:
        found = answer.strange
        names = ("perplexity", "unknown", "warning") if self.judged else ()
        return {name: None if found is None else getattr(found, name) for name in names}

    def _said(self, answer: Answer) -> dict[str, object]:
        if self.separator:
            return {"labels": answer.labels}
        label = answer.labels[0] if answer.labels and not answer.unsure else None
        return {"label": label, "probability": max(answer.probabilities) if answer.probabilities else None}


def plain(value: object) -> object:
    """A cell as JSON holds it: bytes in base64, dates as ISO 8601 has them, null for what is no number."""
    match value:
        case None | str() | bool() | int():
            return value
        case float():
            return value if math.isfinite(value) else None
        case Mapping():
            return {str(name): plain(item) for name, item in value.items()}
        case list() | tuple():
            return [plain(item) for item in value]
        case bytes():
            return base64.b64encode(value).decode()
        case date() | time():
            return value.isoformat()
    return str(value)


def json_line(value: object, encoding: str = "utf-8") -> str:
    """``value`` on one line; escaped where ``encoding`` does not have its characters."""
    line = json.dumps(value, ensure_ascii=False) + "\n"
    try:
        line.encode(encoding)
    except UnicodeEncodeError:
        return json.dumps(value) + "\n"
    return line


def check_output(output: str, read: str | None, explained: bool = False) -> None:
    """UserError unless ``output`` can be written, and is not ``read`` or in it; ``explained``: it may be a page."""
    suffix = PurePosixPath(output).suffix.lower()
    if suffix == PAGE and not explained:
        raise UserError(f"--output {output}: a page shows explanations; add --explain, or end it with one of {', '.join(OUTPUTS)}")
    if suffix not in (*OUTPUTS, PAGE):
        raise UserError(f"--output {output}: the name does not tell a format; end it with one of {', '.join(OUTPUTS)}")
    if filesystem.is_folder(output):
        raise UserError(f"--output {output}: is a folder; name a file")
    if read is not None and any(_same(output, file) for file in data_files(read)):
        raise UserError(f"--output {output}: is read as input; choose another name")
    if read is not None and filesystem.is_folder(read) and _inside(output, read):
        raise UserError(f"--output {output}: is in the folder that is read; choose another folder")
    if not filesystem.is_remote(output):
        with writing_errors(output):
            folder = os.path.dirname(os.path.abspath(output))
            os.makedirs(folder, exist_ok=True)
            with tempfile.TemporaryFile(dir=folder) as probe:
                probe.write(bytes(1 << 16))


def _same(one: str, other: str) -> bool:
    if filesystem.is_remote(one) or filesystem.is_remote(other):
        return one == other
    return os.path.exists(one) and os.path.samefile(one, other)


def _inside(file: str, folder: str) -> bool:
    if filesystem.is_remote(file) or filesystem.is_remote(folder):
        return file.startswith(f"{folder.rstrip('/')}/")
    return Path(folder).resolve() in Path(file).resolve().parents


@contextmanager
def writing_errors(output: str) -> Iterator[None]:
    """Turn the errors of writing to ``output`` into one line that names it."""
    try:
        yield
    except OSError as error:
        if error.errno not in WRITING_FAULTS:
            raise
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        remedy = "free some space there, or name another place" if full else "name another place"
        raise UserError(f"--output {output}: cannot be written ({error.strerror}); {remedy}") from error


@contextmanager
def written(output: str, form: Table[Item]) -> Iterator[Callable[[Sequence[Item]], None]]:
    """A function that writes items to the file ``output``, which appears when the block has ended well. UserError where it cannot."""
    writer = WRITERS[PurePosixPath(output).suffix.lower()]
    with writing_errors(output), filesystem.output_file(output) as file, writer(file, form) as write:
        yield write


@contextmanager
def _jsonl(file: IO[bytes], form: Table[Item]) -> Iterator[Callable[[Sequence[Item]], None]]:
    yield lambda given: file.writelines(json_line(form.nested(item)).encode() for item in given)


@contextmanager
def _delimited(delimiter: str, file: IO[bytes], form: Table[Item]) -> Iterator[Callable[[Sequence[Item]], None]]:
    text = io.TextIOWrapper(file, encoding="utf-8", errors="backslashreplace", newline="")
    rows = csv.DictWriter(text, form.schema.names, delimiter=delimiter, lineterminator="\n")
    rows.writeheader()
    yield lambda given: rows.writerows(map(form.texts, given))
    text.flush()
    text.detach()


@contextmanager
def _parquet(file: IO[bytes], form: Table[Item]) -> Iterator[Callable[[Sequence[Item]], None]]:
    schema = form.schema
    writer = pq.ParquetWriter(file, schema)

    def write(given: Sequence[Item]) -> None:
        rows = [form.flat(item) for item in given]
        columns = [_array([row[field.name] for row in rows], field.type) for field in schema]
        writer.write_batch(pa.record_batch(columns, schema=schema))

    try:
        yield write
    except BaseException:
        with suppress(OSError):  # of a full disk, which has been told
            writer.close()
        raise
    writer.close()


def _array(values: list[object], kind: pa.DataType) -> pa.Array:
    if not pa.types.is_string(kind):
        return pa.array(values, kind)
    texts = map(as_text, values)
    return pa.array([text if text is None else without_lone_surrogates(text) for text in texts], kind)


@contextmanager
def _page(file: IO[bytes], form: Form) -> Iterator[Write]:
    file.write(HEAD.encode())
    yield lambda given: file.writelines(_article(answer).encode(errors="backslashreplace") for answer in given)


def _article(answer: Answer) -> str:
    name = f"<h2>{escape(answer.record.name)}{f' ({UNSURE})' if answer.unsure else ''}</h2>"
    return name + (article(answer.explanation) if answer.explanation else f"<article><p>{escape(answer.record.reason)}</p></article>\n")


def as_text(value: object) -> str | None:
    """A cell where there is only text: strings as they are, all else in JSON."""
    found = plain(value)
    return found if found is None or isinstance(found, str) else json.dumps(found, ensure_ascii=False)


WRITERS = {
    ".csv": lambda file, form: _delimited(",", file, form),
    ".tsv": lambda file, form: _delimited("\t", file, form),
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".parquet": _parquet,
    PAGE: _page,
}
