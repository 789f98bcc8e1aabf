"""Ids of documents in a column, and whether the column names documents at all."""

from typing import Any

from ulmfit.corpora.text_digests import exact
from ulmfit.errors import UserError

LEAST, SHARE = 20, 0.1  # rows to judge by, and different ids per row, at least


def id_of(value: Any) -> str:
    """The id in a column's value, "" for none: a string, or a number; 17 and 17.0 (an integer column with gaps) are one."""
    if value is None or value != value:
        return ""
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    name = str(value).replace("\0", "").strip()
    return name.encode(errors="replace").decode()


class IdCheck:
    """The ids of a file's rows. A column such as a category would make nearly all rows one document, which the last of them is."""

    def __init__(self) -> None:
        self.rows, self.names = 0, set[bytes]()

    def add(self, name: str) -> None:
        """Count the id of a row, "" for none."""
        if name:
            self.rows += 1
            self.names.add(exact(name))

    def check(self, path: str, column: str | None) -> None:
        """UserError where too few ids stand for too many rows."""
        if self.rows >= LEAST and len(self.names) < SHARE * self.rows:
            raise UserError(
                f"{path}: column {column!r} names no document, for {self.rows} rows have {len(self.names)} ids in it; choose with --id-column"
            )
