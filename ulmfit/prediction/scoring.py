"""Scoring of a data set of many files: each file is predicted by itself into one of the same name, with a record of it beside.

The record is written after the file. So a file that has one is finished, and is not done again for the same content, model and column.
"""

import time
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import datetime
from functools import lru_cache
from pathlib import Path, PurePosixPath

from pydantic import Field, ValidationError

from ulmfit.corpora.reading.reading_errors import check_name
from ulmfit.errors import RunFailed, UserError
from ulmfit.prediction.answer_files import Form, written
from ulmfit.prediction.answers import Wishes, answers
from ulmfit.prediction.predictor import Predictor
from ulmfit.prediction.records import records_of_files
from ulmfit.shards.mapping import PartKilled
from ulmfit.store import filesystem
from ulmfit.store.destinations import marked_folder
from ulmfit.store.filesystem import join
from ulmfit.store.journal import now
from ulmfit.store.json import Facts

RECORDS = "_scored"  # the folder of the records, in that of the output; readers of Parquet leave it out
MARK = f"{RECORDS}/scoring.json"  # an ``OutputMark``
SUFFIX = ".parquet"
ENCODING = "utf-8"
NAMED = 20  # rows without a prediction, named one by one


class OutputMark(Facts):
    """What an output is of: the model, the location of the data set in full, and the column that was read. It is written before all else."""

    model: str
    dataset: str
    text_column: str

    def write(self, place: str) -> None:
        """Mark the output in the folder ``place``."""
        filesystem.write_bytes(join(place, MARK), self.model_dump_json(indent=1).encode())


class RefusedRow(Facts):
    """A row that has no prediction, and why."""

    row: str
    reason: str


class ScoredFile(Facts):
    """What is known of a file that was scored: the ``digest`` of its content (SHA-256), the ``model`` and what names all that decides
    about its predictions, the ``output`` with its bytes and digest; ``refused``: rows without a prediction by reason, the first of them
    in ``named``; ``fault``: why the whole file has none. ``run``: id of the tracked run that did it."""

    file: str
    digest: str
    model: str
    model_digest: str
    text_column: str
    warn: bool = False
    output: str
    output_digest: str = ""
    bytes: int = 0
    rows: int = 0
    refused: dict[str, int] = Field(default_factory=dict)
    named: tuple[RefusedRow, ...] = ()
    fault: str = ""
    run: str
    seconds: float = 0.0
    at: datetime


@dataclass(frozen=True)
class ModelInUse:
    """A model that workers load: its name (``models:/NAME/VERSION`` or a folder), where its files are, its digest, and "fp32" or "bf16"."""

    name: str
    folder: str
    digest: str
    precision: str


@dataclass(frozen=True)
class FileSpec:
    """One file of the data set in ``root`` to be scored into the folder ``place``. ``warn``: with columns for
    how strange the texts are. ``fault``: why it cannot be scored, where that is known before."""

    root: str
    name: str
    place: str
    text_column: str
    model: ModelInUse
    run: str
    warn: bool = False
    fault: str = ""

    @property
    def file(self) -> str:
        """Its location."""
        return join(self.root, self.name)

    @property
    def output(self) -> str:
        """Where what is predicted goes."""
        return join(self.place, self.name)

    @property
    def record(self) -> str:
        """Where the record goes."""
        return record_of(self.place, self.name)


@dataclass(frozen=True)
class FileResult:
    """The record of a file, and whether it was ``found`` rather than made."""

    record: ScoredFile
    found: bool


def record_of(place: str, name: str) -> str:
    """The location of the record of the file ``name`` in the output ``place``."""
    return join(place, RECORDS, f"{name}.json")


def read_record(location: str) -> ScoredFile | None:
    """A record; None where there is none, or it is damaged."""
    try:
        return ScoredFile.model_validate_json(filesystem.read_bytes(location))
    except (FileNotFoundError, NotADirectoryError, ValidationError):
        return None


def records_in(place: str) -> list[ScoredFile]:
    """The records of all files in an output, by their names; none where it is none."""
    folder = join(place, RECORDS)
    found = (read_record(join(folder, name)) for name in filesystem.files(folder) if join(RECORDS, name) != MARK)
    return [record for record in found if record]


def data_set(location: str) -> tuple[str, list[str]]:
    """The folder of a data set and the names of its Parquet files in it, sorted; of a single file, its folder and its name.

    Files and folders whose names begin with ``.`` or ``_`` are no data, as for other readers of Parquet. UserError where there is no data.
    """
    check_name(location)
    where = filesystem.in_full(location.rstrip("/") or "/")
    if not filesystem.exists(where):
        raise UserError(f"{location}: there is no such file or folder; give a Parquet file, or a folder of them")
    if filesystem.is_folder(where):
        root, names = where, [name for name in filesystem.files(where) if _is_data(name)]
    else:
        root, _, name = where.rpartition("/")
        names = [name]
    found = [name for name in names if name.lower().endswith(SUFFIX)]
    if not found:
        raise UserError(f"{location}: there is no Parquet file in it; give a file whose name ends in {SUFFIX}, or a folder of them")
    if outside := next((name for name in found if name.startswith("/") or ".." in PurePosixPath(name).parts), None):
        raise UserError(f"{location}: the name {outside!r} leads out of the folder; rename the object")
    return root or "/", found


def output_place(location: str, dataset: str) -> str:
    """The location in full of the folder for scored files.

    UserError where it holds other things or what was scored of another data set, or lies in the data set or around it.
    """
    place = marked_folder(location, "--output", MARK)
    root = filesystem.in_full(dataset)
    real = lambda folder: f"{folder.rstrip('/') if filesystem.is_remote(folder) else Path(folder).resolve()}/"
    if real(place).startswith(real(root)) or real(root).startswith(real(place)):
        raise UserError(f"--output {location}: it and {dataset} lie one in the other; choose another folder")
    with suppress(FileNotFoundError, NotADirectoryError, ValidationError):  # a damaged mark is written again
        earlier = OutputMark.model_validate_json(filesystem.read_bytes(join(place, MARK)))
        if filesystem.in_full(earlier.dataset).rstrip("/") != root.rstrip("/"):
            raise UserError(f"--output {location}: holds what was scored of {earlier.dataset}; choose another folder, or remove this one")
    return place


def _is_data(name: str) -> bool:
    return not any(part.startswith((".", "_")) for part in PurePosixPath(name).parts)


def score_file(spec: FileSpec) -> FileResult:
    """Score one file, unless its record says that this is done. What is wrong with the file is in its record; RunFailed for a wrong model."""
    predictor = load(spec.model)
    started = time.monotonic()
    record = ScoredFile(
        file=spec.file,
        digest="",
        model=spec.model.name,
        model_digest=spec.model.digest,
        text_column=spec.text_column,
        warn=spec.warn,
        output=spec.output,
        run=spec.run,
        at=now(),
    )
    try:
        if spec.fault:
            raise UserError(spec.fault)
        record = record.model_copy(update={"digest": _digest(spec.file)})
        if (known := read_record(spec.record)) and _is_done(known, record):
            return FileResult(known, True)
        record = record.model_copy(update=_score(predictor, spec))
    except UserError as error:
        record = record.model_copy(update={"fault": str(error)})
        filesystem.remove(spec.output)  # of an earlier content or model: it would be taken for this one's
    record = record.model_copy(update={"seconds": round(time.monotonic() - started, 3), "at": now()})
    filesystem.write_bytes(spec.record, record.model_dump_json(indent=1).encode())
    return FileResult(record, False)


def _digest(file: str) -> str:
    try:
        return filesystem.sha256(file)
    except PermissionError as error:
        raise UserError(f"{file}: the file may not be read ({error.strerror}); change its permissions") from error
    except FileNotFoundError as error:
        raise UserError(f"{file}: the file is gone; put it back") from error


def _is_done(known: ScoredFile, due: ScoredFile) -> bool:
    """Whether ``known`` is of the same work, and its output is there."""
    work = lambda record: (record.digest, record.model, record.model_digest, record.text_column, record.warn)
    if known.fault or work(known) != work(due):
        return False
    try:
        return filesystem.size(due.output) == known.bytes
    except FileNotFoundError:
        return False


def _score(predictor: Predictor, spec: FileSpec) -> dict[str, object]:
    """Write what is predicted of each row; what the record says of it."""
    records = records_of_files(spec.file, spec.text_column, ENCODING)
    separator = predictor.separator if predictor.task == "multi-label" else None
    form = Form(records.columns, predictor.labels, separator, judged=spec.warn, taken=_columns_of_folders(spec.name))
    rows, refused, named = 0, Counter[str](), list[RefusedRow]()
    with written(spec.output, form) as write:
        for piece in answers(predictor, records.read(), Wishes(judged=spec.warn)):
            write(piece)
            rows += len(piece)
            faulty = [answer.record for answer in piece if answer.record.reason]
            refused.update(record.reason for record in faulty)
            named += [RefusedRow(row=record.name, reason=record.reason) for record in faulty[: NAMED - len(named)]]
    made = {"output_digest": filesystem.sha256(spec.output), "bytes": filesystem.size(spec.output)}
    return {"rows": rows, "refused": dict(refused), "named": tuple(named), **made}


def _columns_of_folders(name: str) -> set[str]:
    """Those that readers make of folders such as ``year=2024``."""
    return {column for column, equals, _ in (part.partition("=") for part in PurePosixPath(name).parent.parts) if equals}


def after_deaths(spec: FileSpec, killed: PartKilled) -> FileSpec:
    """The same file where workers died on it: it is not tried again, and its record says why."""
    return replace(spec, fault=str(killed))


def load(model: ModelInUse) -> Predictor:
    """The model, once for all files of a process. RunFailed where this machine has another one at its place."""
    predictor = _load(model)
    if predictor.digest != model.digest:
        raise RunFailed(f"{model.folder}: another model is there than that of {model.name}; let workers see the same folder")
    return predictor


@lru_cache(maxsize=1)
def _load(model: ModelInUse) -> Predictor:
    return Predictor(model.folder, precision=model.precision)
