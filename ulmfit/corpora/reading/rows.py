"""Rows of text out of files and folders, local or ``s3://``, packed or not."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from ulmfit.corpora.reading.encodings import check_encoding, reading_errors
from ulmfit.corpora.reading.folders import data_files, label_of, name_in, split_of
from ulmfit.corpora.reading.formats import Columns, DataFile, Row, file_rows, format_of
from ulmfit.corpora.reading.opening import open_text
from ulmfit.errors import UserError


def read_rows(
    location: str | Path, text_column: str = "text", label_column: str | None = "label", encoding: str = "utf-8"
) -> Iterator[Row]:
    """Every record of a file or folder.

    A folder holds data files (``train*.csv``, ``test*.parquet``, ...; a file of another name is training data), or
    ``.txt`` files, a document each, or a sub-folder of them per label, or such sub-folders below ``train/``, ``test/``,
    ``valid/`` and ``unsup/``.

    Raises UserError where the location is missing or cannot be reached, its format unknown, a column absent, or its bytes
    not in ``encoding``.
    """
    check_encoding(encoding)
    for file in data_files(location):
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
