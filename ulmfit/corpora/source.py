"""What the user names as text: a corpus of the catalog, a file or a folder, and how to read it."""

import hashlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from ulmfit.config import PartsConfig
from ulmfit.corpora.catalog.entries import CATALOG, fetch
from ulmfit.corpora.reading.reading_errors import check_encoding, no_documents
from ulmfit.corpora.reading.rows import data_files, name_in, read_rows
from ulmfit.store import filesystem
from ulmfit.store.recipe import canonical_json

READERS = 8  # files that are hashed at a time


@dataclass(frozen=True)
class CorpusSource:
    """What the user named: a corpus of the catalog, a file or a folder (also ``s3://``), and how to read it.

    ``more`` are read after ``source``, as if all were one. Columns and encoding are those of files; a corpus of the catalog has its own.
    ``label_separator``: stands between several labels of a document; None: a document has one label.
    """

    source: str
    text_column: str = "text"
    label_column: str | None = "label"
    test: str | None = None
    unlabelled: str | None = None
    encoding: str = "utf-8"
    more: tuple[str, ...] = ()
    label_separator: str | None = None

    def locations(self) -> Iterator[tuple[str, str, str]]:
        """(role, location, prefix of the names of its rows); a role is ``main``, ``test`` or ``unlabelled``."""
        yield "main", self.source, ""
        yield from (("main", location, f"more-{number}/") for number, location in enumerate(self.more, 1))
        if self.test is not None:
            yield "test", self.test, "test/"
        if self.unlabelled is not None:
            yield "unlabelled", self.unlabelled, "unlabelled/"

    @property
    def name(self) -> str:
        """The corpus's name: that of the catalog, the file or the folder."""
        if self.source in CATALOG:
            return self.source
        return self.source.rstrip("/").rpartition("/")[2] if filesystem.is_remote(self.source) else Path(self.source).absolute().name


@dataclass(frozen=True)
class Reading:
    """A source, and how it is read here.

    ``labelled``: its documents need labels; False for general text, whose labels are ignored. ``downloads``: a local folder for corpora of
    the catalog. ``parts``: how the text is divided for workers.
    """

    source: CorpusSource
    labelled: bool
    downloads: Path
    parts: PartsConfig = field(default_factory=PartsConfig)


def peek(source: CorpusSource) -> None:
    """Read the first row of each file or folder. Raises UserError for one that is missing or without rows, a wrong column, or an unknown encoding."""
    check_encoding(source.encoding)
    for role, location, _ in source.locations():
        if location in CATALOG:
            continue
        label_column = None if role == "unlabelled" else source.label_column
        if next(read_rows(location, source.text_column, label_column, source.encoding), None) is None:
            raise no_documents(location)


def fingerprint(source: CorpusSource, downloads: Path) -> str:
    """SHA-256 over the raw bytes of every file of ``source`` and the choices of how to read them.

    A corpus of the catalog is fetched into ``downloads`` if neither that nor the local data folder has it.
    """
    found = [(role, location, prefix, _files_of(location, downloads)) for role, location, prefix in source.locations()]
    with ThreadPoolExecutor(READERS) as pool:
        digests = pool.map(filesystem.sha256, [file for *_, files in found for _, file in files])
        entries = [
            [role, prefix, location if location in CATALOG else None, [[name, next(digests)] for name, _ in files]]
            for role, location, prefix, files in found
        ]
    choices = {"text_column": source.text_column, "label_column": source.label_column, "encoding": source.encoding}
    return hashlib.sha256(canonical_json({"places": entries, "choices": choices})).hexdigest()


def _files_of(location: str, downloads: Path) -> list[tuple[str, str]]:
    """(name, path) of all files of a corpus, file or folder; the names do not depend on where it lies."""
    if location in CATALOG:
        return [(path.name, str(path)) for path in fetch(location, downloads).paths]
    return [(name_in(location, file), file) for file in data_files(location)]
