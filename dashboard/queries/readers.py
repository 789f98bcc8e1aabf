"""Which versions read a file, and which are made of an artifact: the lineage the other way."""

import sqlite3
from bisect import bisect_left

from dashboard.queries.behind import versions_of
from dashboard.queries.histories import history, model_names
from dashboard.queries.landed import File, file_of
from dashboard.queries.lineage import until_of
from ulmfit.store.json import Facts
from ulmfit.store.names import folder_of

MOST = 50  # files and artifacts that are listed
LEAST = 6  # letters of a digest


class Reader(Facts):
    """A version that read it."""

    model: str
    version: str


class FileReaders(Facts):
    """A file that landed for ``model``, and the versions trained since. ``waiting``: no version has read it yet."""

    model: str
    file: File
    readers: list[Reader]


class ArtifactReaders(Facts):
    """A corpus or another artifact; ``source``: the file or folder that a corpus was read from."""

    key: str
    kind: str
    source: str | None
    readers: list[Reader]


class Readers(Facts):
    """What fits ``text``, a part of a name, or the beginning of a digest. ``more``: there is more than is listed.

    ``untold``: versions of which no record tells what had landed when they were trained.
    """

    text: str
    files: list[FileReaders]
    artifacts: list[ArtifactReaders]
    untold: list[Reader]
    more: bool


def readers(reading: sqlite3.Connection, text: str) -> Readers:
    """All of them, the newest files first."""
    if not text:
        return Readers(text=text, files=[], artifacts=[], untold=[], more=False)
    trained = {folder_of(name): _Trained.of(reading, name) for name in model_names(reading)}
    rows = reading.execute(*_landed(text)).fetchall()
    files = [
        FileReaders(model=trained[row["folder"]].model, file=file_of(row), readers=trained[row["folder"]].since(row["arrival"]))
        for row in rows[:MOST]
        if row["folder"] in trained
    ]
    artifacts = reading.execute(*_artifacts(text)).fetchall()
    made = [
        ArtifactReaders(
            key=row["key"], kind=row["kind"], source=row["source"],
            readers=[Reader(model=model, version=str(version)) for model, version in versions_of(reading, [row["key"]])],
        )
        for row in artifacts[:MOST]
    ]  # fmt: skip
    named = {found.model for found in files}
    untold = [reader for each in trained.values() if each.model in named for reader in each.untold]
    return Readers(text=text, files=files, artifacts=made, untold=untold, more=max(len(rows), len(artifacts)) > MOST)


class _Trained:
    """The versions of a model by the last arrival that each was trained on."""

    def __init__(self, model: str, until: dict[str, str | None]):
        self.model = model
        self.ordered = sorted((arrival, int(version)) for version, arrival in until.items() if arrival)
        self.untold = [Reader(model=model, version=version) for version, arrival in until.items() if not arrival]

    @classmethod
    def of(cls, reading: sqlite3.Connection, model: str) -> "_Trained":
        past = history(reading, model)
        rows = reading.execute("select version from versions where model = ? order by version", [model])
        return cls(model, {str(row["version"]): until_of(past, str(row["version"])) for row in rows})

    def since(self, arrival: str) -> list[Reader]:
        """Those that had read it: an arrival stays in all corpora to come."""
        found = self.ordered[bisect_left(self.ordered, (arrival, 0)) :]
        return [Reader(model=self.model, version=str(version)) for _, version in sorted(found, key=lambda each: each[1])]


def _landed(text: str) -> tuple[str, list[object]]:
    """Files by name; where it may be a digest (a date such as 20241105 may be, too) also by their content."""
    content, range_ = ("or content >= ? and content < ?", _from(text)) if _is_digest(text) else ("", ())
    where = f"where instr(lower(name), lower(?)) {content}"
    return f"select * from landed_files {where} order by arrival desc, number limit ?", [text, *range_, MOST + 1]


def _artifacts(text: str) -> tuple[str, list[object]]:
    """Corpora by the names of what was read; where it may be a digest also by theirs, and artifacts by key."""
    columns = "select key, kind, json_extract(record, '$.source') as source from artifacts"
    where, asked = "(instr(lower(source), lower(?)) or instr(lower(json_extract(record, '$.more')), lower(?)))", [text, text]
    if _is_digest(text):
        where, asked = f"({where} or instr(json_extract(record, '$.digest'), ?) = 1)", [*asked, text.lower()]
    by_key, range_ = ("or key >= ? and key < ?", _from(text)) if _is_digest(text) else ("", ())
    return f"{columns} where kind = 'corpus' and {where} {by_key} order by finished desc limit ?", [*asked, *range_, MOST + 1]


def _is_digest(text: str) -> bool:
    return len(text) >= LEAST and all(letter in "0123456789abcdef" for letter in text.lower())


def _from(text: str) -> tuple[str, str]:
    """The range of all strings that begin with a digest."""
    return text.lower(), text.lower() + "g"
