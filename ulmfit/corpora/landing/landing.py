"""A landing folder, and what a look into it finds."""

import hashlib
from dataclasses import dataclass, field

from ulmfit.corpora.reading.folders import DOCUMENT, HIDDEN, NOTE
from ulmfit.corpora.reading.formats import Columns, format_of
from ulmfit.corpora.reading.paths import label_of, split_of
from ulmfit.store.recipe import canonical_json


@dataclass(frozen=True)
class Landing:
    """A folder, local or ``s3://``, into which others put files of text, and how these are read.

    A row without a label is unlabelled text. ``id_column``: two rows with one id are the same document, the later one as it is now;
    without it a document is known by its text alone. ``label_separator``: stands between several labels of a document. ``test``: a file of
    test documents; then no other document is held out for testing.
    """

    location: str
    text_column: str = "text"
    label_column: str | None = "label"
    id_column: str | None = None
    encoding: str = "utf-8"
    label_separator: str | None = None
    test: str | None = None

    @property
    def columns(self) -> Columns:
        """The columns to read."""
        return Columns(self.text_column, self.label_column, id=self.id_column)

    @property
    def reading(self) -> str:
        """SHA-256 of how files are read: one that could not be read is tried again when this changes."""
        how = [self.text_column, self.label_column, self.id_column, self.encoding, self.label_separator]
        return hashlib.sha256(canonical_json(how)).hexdigest()


def content_of(name: str, sha256: str) -> str:
    """What makes two files the same: their bytes, and what their names say of how these are read (format, label or unlabelled)."""
    kind = format_of(name)
    split, label = label_of(name) if kind == DOCUMENT else (split_of(name), None)
    return ":".join([sha256, kind, "unlabelled" if split == "unlabelled" else label or ""])


@dataclass(frozen=True)
class Found:
    """A file of the folder: its ``stamp`` (see ``filesystem.stamps``), and its ``content`` (see :func:`content_of`)."""

    name: str
    bytes: int
    stamp: str
    content: str


@dataclass(frozen=True)
class Same:
    """A file whose content another one, ``of``, has, or had when it landed."""

    found: Found
    of: str


@dataclass(frozen=True)
class Looked:
    """What a look finds that the ledger does not know.

    ``ready``: files new by content, by name. ``still_written``: name -> why the file is left alone for now. ``same_content``: to be noted,
    not counted. ``left``: reason -> names of what is never read. ``known``: files that landed before. ``test``: the file of test documents,
    if it is another than before. ``set_aside``: name -> why a file could not be read in an earlier look, and is as it was.
    """

    ready: tuple[Found, ...]
    still_written: dict[str, str]
    same_content: tuple[Same, ...]
    left: dict[str, list[str]]
    known: int
    test: Found | None = None
    set_aside: dict[str, str] = field(default_factory=dict)

    @property
    def passed_over(self) -> dict[str, list[str]]:
        """What is never read although somebody may have put it there to be read: ``left`` without hidden files and notes."""
        return {reason: names for reason, names in self.left.items() if reason not in (HIDDEN, NOTE)}

    @property
    def anything(self) -> bool:
        """Whether there is something to land, or to note."""
        return bool(self.ready or self.same_content or self.test)
