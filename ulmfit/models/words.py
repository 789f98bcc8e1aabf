"""A model of words: TF-IDF of a text's words, word pairs and pieces of words, and a linear classifier on it.

Its files are JSON and safetensors.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Self

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


@dataclass(frozen=True, eq=False)
class Terms:
    """Words or pieces of words that a model knows, [F], and their ``idf`` float32 [F]."""

    terms: Sequence[str]
    idf: NDArray[np.float32]

    def features(self, found: Iterable[list[str]]) -> csr_matrix:
        """float32 [N, F] of the terms ``found`` in N texts: (1 + log of the count) * idf, each row of length 1, or 0 where none is known."""
        from scipy.sparse import csr_matrix

        columns: list[int] = []
        values: list[float] = []
        ends = [0]
        for terms in found:
            counts = Counter(column for term in terms if (column := self._columns.get(term)) is not None)
            columns += counts.keys()
            values += counts.values()
            ends.append(len(columns))
        weighted = (1 + np.log(np.asarray(values, dtype=np.float32))) * self.idf[np.asarray(columns, dtype=np.int64)]
        rows = np.repeat(np.arange(len(ends) - 1), np.diff(ends))
        lengths = np.sqrt(np.bincount(rows, weights=weighted**2, minlength=1))
        return csr_matrix(((weighted / lengths[rows]).astype(np.float32), columns, ends), shape=(len(ends) - 1, len(self.terms)))

    @cached_property
    def _columns(self) -> dict[str, int]:
        return {term: column for column, term in enumerate(self.terms)}


@dataclass(frozen=True, eq=False)
class WordModel:
    """``weights`` float32 [F, L] of F features, those of ``words`` and then those of ``pieces``; ``biases`` float32 [L], -inf for a label that
    it never gives."""

    words: Terms
    pieces: Terms
    weights: NDArray[np.float32]
    biases: NDArray[np.float32]

    def probabilities(self, texts: Sequence[str], task: Task) -> NDArray[np.float32]:
        """float32 [N, L]: a softmax over the classes, or a sigmoid for each label."""
        from scipy.special import expit, softmax

        scores = self.features(texts) @ self.weights + self.biases
        return (softmax(scores, axis=1) if task == "multi-class" else expit(scores)).astype(np.float32)

    def features(self, texts: Sequence[str]) -> csr_matrix:
        """float32 [N, F]."""
        return features(self.words, self.pieces, texts)

    @property
    def digest(self) -> bytes:
        """Names all that decides about a prediction."""
        arrays = [np.ascontiguousarray(array).tobytes() for array in self._arrays().values()]
        return hashlib.sha256(b"".join([json.dumps(self._terms()).encode(), *arrays])).digest()

    def _terms(self) -> dict[str, list[str]]:
        return {"words": list(self.words.terms), "pieces": list(self.pieces.terms)}

    def _arrays(self) -> dict[str, NDArray[np.float32]]:
        return {"words_idf": self.words.idf, "pieces_idf": self.pieces.idf, "weights": self.weights, "biases": self.biases}

    def save(self, folder: Path) -> None:
        """Write the model into ``folder``, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        write_bytes(folder / TERMS, json.dumps(self._terms(), ensure_ascii=False).encode(errors="surrogatepass"))
        write_bytes(folder / WEIGHTS, save(self._arrays()))

    @classmethod
    def load(cls, folder: Path, labels: int) -> Self:
        """The model of so many ``labels`` in ``folder``. UserError where it is not whole, damaged, or of another number of labels."""
        try:
            terms = json.loads((folder / TERMS).read_bytes().decode(errors="surrogatepass"))
            arrays = load((folder / WEIGHTS).read_bytes())
            words, pieces = (Terms(terms[kind], arrays[f"{kind}_idf"]) for kind in ("words", "pieces"))
            found = cls(words, pieces, arrays["weights"], arrays["biases"])
            shapes = [*(array.shape for array in found._arrays().values())]
        except FileNotFoundError as error:
            raise UserError(f"{error.filename}: is missing; {AGAIN}") from error
        except (KeyError, TypeError, ValueError, SafetensorError) as error:
            raise UserError(f"{folder}: damaged ({' '.join(str(error).split())[:200]}); {AGAIN}") from error
        sizes = len(words.terms), len(pieces.terms)
        if shapes != [(sizes[0],), (sizes[1],), (sum(sizes), labels), (labels,)]:
            raise UserError(
                f"{folder}: its {sizes[0]} words and {sizes[1]} pieces, and weights {shapes} of {labels} labels, are no fit; {AGAIN}"
            )
        return found


def features(words: Terms, pieces: Terms, texts: Sequence[str]) -> csr_matrix:
    """float32 [N, F] of N texts: those of their words and pairs, beside those of the pieces of their words."""
    from scipy.sparse import hstack

    return hstack([words.features(map(words_of, texts)), pieces.features(map(pieces_of, texts))]).tocsr()
