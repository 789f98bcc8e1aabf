"""Rows of text out of files and folders, local or ``s3://``."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ulmfit.corpora.reading.folders import contents
from ulmfit.corpora.reading.formats import Columns, DataFile, Row, file_rows, format_of
from ulmfit.corpora.reading.opening import open_text
from ulmfit.corpora.reading.paths import label_of, split_of
from ulmfit.corpora.reading.reading_errors import check_encoding, check_name, reading_errors
from ulmfit.errors import UserError
from ulmfit.store import filesystem, s3


def data_files(location: str | Path, labelled: bool = False) -> list[str]:
    """The files that ``read_rows`` reads of a file or folder, in its order: the same on S3 as in a local folder.

    UserError where there are none, or where they are ``labelled`` and a class of the folder would be lost.
    """
    root = str(location)
    check_name(root)
    if not filesystem.is_folder(root):
        if not filesystem.exists(root):
            raise _missing(root)
        return [root]
    found = contents(root)
    if labelled and found.lost:
        raise UserError(f"{root}: {found.lost}")
    return [filesystem.join(root, name) for name in found.read]


def name_in(root: str | Path, file: str) -> str:
    """How rows name a file of ``data_files(root)``: by its path inside the folder, or its own name where it is the root."""
    if file == str(root):
        return file.rstrip("/").rpartition("/")[2]
    return file.removeprefix(filesystem.join(root, ""))


def _missing(location: str) -> UserError:
    if filesystem.is_remote(location) and not s3.has_bucket(location):
        return UserError(f"{location}: there is no bucket {s3.parts(location)[0]!r}; correct the name, or check AWS_ENDPOINT_URL")
    return UserError(f"{location}: there is no such file or folder; give a file, a folder or the name of a corpus")


def read_rows(
    location: str | Path, text_column: str = "text", label_column: str | None = "label", encoding: str = "utf-8"
) -> Iterator[Row]:
    """Every record of a file or folder.

    A folder holds data files (``train*.csv``, ``test*.parquet``, ...; a file of another name is training data), or
    ``.txt`` files, a document each, or a sub-folder of them per label, or such sub-folders below ``train/``, ``test/``,
    ``valid/`` and ``unsup/``. What else it holds is left (see ``folders.py``).

    Raises UserError where the location is missing or cannot be reached, its format unknown, a column absent, its bytes
    not in ``encoding``, or a class of a folder would be lost.
    """
    check_encoding(encoding)
    for file in data_files(location, label_column is not None):
        yield from read_file(location, file, Columns(text_column, label_column), encoding)


def read_file(root: str | Path, path: str, columns: Columns, encoding: str = "utf-8") -> Iterator[Row]:
    """The records of one of ``data_files(root)``, as ``read_rows(root)`` gives them: named, split and labelled by its path in ``root``."""
    check_encoding(encoding)
    if columns.text == columns.label:
        raise UserError(
            f"{root}: column {columns.text!r} cannot be both the text and the label; choose with --text-column and --label-column"
        )
    name = name_in(root, path)
    inside = path != str(root)
    file = DataFile(path, name, split_of(name) if inside else None)
    with reading_errors(path, encoding):
        if inside and format_of(path) == ".txt":
            yield _document(file, columns, encoding)
        else:
            yield from file_rows(file, replace(columns, label=None) if file.split == "unlabelled" else columns, encoding)


def _document(file: DataFile, columns: Columns, encoding: str) -> Row:
    """A .txt file in a folder: one document, whose split and label are those of its folders."""
    split, label = label_of(file.name)
    with open_text(file.path, encoding) as stream:
        return Row(file.name, 1, stream.read(), None if columns.label is None or split == "unlabelled" else label, split)
