"""A model of words: TF-IDF of a text's words, word pairs and pieces of words, their themes, and a linear classifier on all that.

Its files are JSON and safetensors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Self

import numpy as np
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load, save

from ulmfit.errors import UserError
from ulmfit.labels.label_set import Task
from ulmfit.store.filesystem import write_bytes

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix  # at run time it is loaded where there are words to predict by

WORD = r"(?u)\b\w+\b|[^\w\s]"  # also marks such as ! and single letters
LETTERS = range(2, 6)  # lengths of pieces of words
BLOCK = 1_000  # texts whose features are made at a time: that takes several times the memory of what is made
TERMS, WEIGHTS = "terms.json", "model.safetensors"
AGAIN = "take the model from where it was made again"

_word = re.compile(WORD)


def words_of(text: str) -> list[str]:
    """The words of a text in lower case, and its pairs of neighbours."""
    words = _word.findall(text.lower())
    return words + [f"{one} {other}" for one, other in pairwise(words)]


def pieces_of(text: str) -> list[str]:
    """The pieces of a few letters of a text's words, in lower case; a space stands for where a word begins or ends."""
    words = [f" {word} " for word in text.lower().split()]
    return [word[at : at + length] for word in words for length in LETTERS for at in range(len(word) - length + 1)]


class _Row(NamedTuple):
    """The ``columns`` of the terms of one text, and their ``values``."""

    columns: NDArray[np.int32]
    values: NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Terms:
    """Words or pieces of words that a model knows, [F], and their ``idf`` float32 [F]."""

    terms: Sequence[str]
    idf: NDArray[np.float32]

    def features(self, found: Iterable[list[str]]) -> csr_matrix:
        """float32 [N, F] of the terms ``found`` in N texts: (1 + log of the count) * idf, each row of length 1, or 0 where none is known."""
        from scipy.sparse import csr_matrix

        rows = [self._row(terms) for terms in found]
        columns = np.concatenate([np.zeros(0, np.int32), *(row.columns for row in rows)])
        values = np.concatenate([np.zeros(0, np.float32), *(row.values for row in rows)])
        ends = np.cumsum([0, *(len(row.columns) for row in rows)])
        return csr_matrix((values, columns, ends), shape=(len(rows), len(self.terms)))

    def _row(self, terms: list[str]) -> _Row:
        counts = Counter(column for term in terms if (column := self._columns.get(term)) is not None)
        columns = np.fromiter(counts, np.int32, len(counts))
        weighted = (1 + np.log(np.fromiter(counts.values(), np.float32, len(counts)))) * self.idf[columns]
        length = np.sqrt(np.cumsum(weighted**2, dtype=np.float64)[-1:])
        return _Row(columns, (weighted / length).astype(np.float32))

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {term: column for column, term in enumerate(self.terms)}


@dataclass(frozen=True, eq=False)
class Themes:
    """Which terms go together in much text (latent semantic analysis): ``axes`` float32 [F, K] of ``terms`` F; K is 0 where there was little text.

    On disk the axes have 16 bits.
    """

    terms: Terms
    axes: NDArray[np.float32]

    def features(self, found: Iterable[list[str]]) -> csr_matrix:
        """float32 [N, K] of the terms ``found`` in N texts, each row of length 1, or 0."""
        from scipy.sparse import csr_matrix

        places = self.terms.features(found) @ self.axes
        lengths = np.sqrt((places**2).sum(axis=1, keepdims=True))
        return csr_matrix(np.divide(places, lengths, out=np.zeros_like(places), where=lengths > 0))


@dataclass(frozen=True, eq=False)
class Features:
    """What a text's words are told by: F features, those of its ``words`` and pairs, of their ``pieces``, and of the themes of both."""

    words: Terms
    pieces: Terms
    word_themes: Themes
    piece_themes: Themes

    def of(self, texts: Sequence[str]) -> csr_matrix:
        """float32 [N, F]."""
        from scipy.sparse import vstack

        return vstack(list(self.blocks(texts)), format="csr")

    def blocks(self, texts: Sequence[str]) -> Iterator[csr_matrix]:
        """The same, ``BLOCK`` texts at a time; one without rows where there are no texts."""
        for start in range(0, max(1, len(texts)), BLOCK):
            yield self._block(texts[start : start + BLOCK])

    def _block(self, texts: Sequence[str]) -> csr_matrix:
        from scipy.sparse import hstack

        words, pieces = (lambda: map(words_of, texts)), (lambda: map(pieces_of, texts))
        of_words = [self.words.features(words()), self.word_themes.features(words())]
        of_pieces = [self.pieces.features(pieces()), self.piece_themes.features(pieces())]
        return hstack([*of_words, *of_pieces]).tocsr()

    @property
    def number(self) -> int:
        """F."""
        themes = self.word_themes.axes.shape[1] + self.piece_themes.axes.shape[1]
        return len(self.words.terms) + len(self.pieces.terms) + themes


@dataclass(frozen=True, eq=False)
class WordModel:
    """``weights`` float32 [F, L] of the ``features``; ``biases`` float32 [L], -inf for a label that it never gives."""

    features: Features
    weights: NDArray[np.float32]
    biases: NDArray[np.float32]

    def probabilities(self, texts: Sequence[str], task: Task) -> NDArray[np.float32]:
        """float32 [N, L]: a softmax over the classes, or a sigmoid for each label."""
        from scipy.special import expit, softmax

        scores = np.concatenate([block @ self.weights + self.biases for block in self.features.blocks(texts)])
        return (softmax(scores, axis=1) if task == "multi-class" else expit(scores)).astype(np.float32)

    @property
    def digest(self) -> bytes:
        """Names all that decides about a prediction."""
        arrays = [np.ascontiguousarray(array).tobytes() for array in self._arrays().values()]
        return hashlib.sha256(b"".join([json.dumps(self._terms()).encode(), *arrays])).digest()

    def _parts(self) -> dict[str, Terms]:
        known = self.features
        return {
            "words": known.words,
            "pieces": known.pieces,
            "word_themes": known.word_themes.terms,
            "piece_themes": known.piece_themes.terms,
        }

    def _terms(self) -> dict[str, list[str]]:
        return {name: list(part.terms) for name, part in self._parts().items()}

    def _arrays(self) -> dict[str, NDArray[np.float32]]:
        axes = {"word_axes": self.features.word_themes.axes, "piece_axes": self.features.piece_themes.axes}
        return {f"{name}_idf": part.idf for name, part in self._parts().items()} | axes | {"weights": self.weights, "biases": self.biases}

    def save(self, folder: Path) -> None:
        """Write the model into ``folder``, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / TERMS, json.dumps(self._terms(), ensure_ascii=False).encode(errors="surrogatepass"))
        arrays = {name: array.astype(np.float16) if name.endswith("axes") else array for name, array in self._arrays().items()}
        write_bytes(folder / WEIGHTS, save(arrays))

    @classmethod
    def load(cls, folder: Path, labels: int) -> Self:
        """The model of so many ``labels`` in ``folder``. UserError where it is not whole, damaged, or of another number of labels."""
        try:
            named = json.loads((folder / TERMS).read_bytes().decode(errors="surrogatepass"))
            arrays = load((folder / WEIGHTS).read_bytes())
            terms = {name: Terms(named[name], arrays[f"{name}_idf"]) for name in ("words", "pieces", "word_themes", "piece_themes")}
            themes = (Themes(terms[f"{kind}_themes"], arrays[f"{kind}_axes"].astype(np.float32)) for kind in ("word", "piece"))
            found = cls(Features(terms["words"], terms["pieces"], *themes), arrays["weights"], arrays["biases"])
            fits = all(len(part.terms) == len(part.idf) for part in terms.values()) and found._fits(labels)
        except FileNotFoundError as error:
            raise UserError(f"{error.filename}: is missing; {AGAIN}") from error
        except (IndexError, KeyError, TypeError, ValueError, SafetensorError) as error:
            raise UserError(f"{folder}: damaged ({' '.join(str(error).split())[:200]}); {AGAIN}") from error
        if not fits:
            raise UserError(f"{folder}: its terms, its weights {found.weights.shape} and {labels} labels are no fit; {AGAIN}")
        return found

    def _fits(self, labels: int) -> bool:
        themes = (self.features.word_themes, self.features.piece_themes)
        axes = all(each.axes.shape[0] == len(each.terms.terms) for each in themes)
        return axes and self.weights.shape == (self.features.number, labels) and self.biases.shape == (labels,)
