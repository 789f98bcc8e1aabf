"""The vocabulary: which tokens have a row of the embedding, and at which id."""

import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Self

import numpy as np

from ulmfit.errors import UserError
from ulmfit.store.filesystem import write_bytes
from ulmfit.text.rules import SPECIALS

UNK, PAD, BOS = (SPECIALS.index(token) for token in ("xxunk", "xxpad", "xxbos"))

FORMAT = 1


class Vocab:
    """Tokens in order of id: the nine special tokens (ids 0-8), then the others, each once; ValueError where that does not hold."""

    def __init__(self, tokens: Sequence[str]):
        self.tokens = tuple(tokens)
        self._id_of = {token: number for number, token in enumerate(self.tokens)}
        if self.tokens[: len(SPECIALS)] != SPECIALS:
            raise ValueError(
                f"a vocabulary starts with {' '.join(SPECIALS)}; this one starts with {' '.join(self.tokens[: len(SPECIALS)])}"
            )
        if len(self._id_of) < len(self.tokens):
            twice = next(token for number, token in enumerate(self.tokens) if self._id_of[token] != number)
            raise ValueError(f"a vocabulary holds each token once; this one holds {twice!r} again")

    def __len__(self) -> int:
        return len(self.tokens)

    def __contains__(self, token: object) -> bool:
        return token in self._id_of

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Vocab) and self.tokens == other.tokens

    def __hash__(self) -> int:
        return hash(self.tokens)

    def __repr__(self) -> str:
        return f"Vocab of {len(self):,} tokens"

    @property
    def dtype(self) -> type[np.uint16] | type[np.uint32]:
        """The narrowest of uint16 and uint32 that holds every id."""
        return np.uint16 if len(self) <= 2**16 else np.uint32

    def with_added(self, tokens: Iterable[str]) -> Self:
        """The same tokens at the same ids, and behind them those of ``tokens`` that are none of them, in their order."""
        return type(self)([*self.tokens, *dict.fromkeys(token for token in tokens if token not in self)])

    def filled(self, tokens: Iterable[str], max_size: int) -> Self:
        """The same with as many of ``tokens``, in their order, as there is room for among ``max_size`` in all."""
        return type(self)(self.with_added(tokens).tokens[: max(max_size, len(self))])

    def encode(self, tokens: Iterable[str]) -> np.ndarray:
        """Ids, int64 [len(tokens)]; a token that is not in the vocabulary gets that of ``xxunk``."""
        get = self._id_of.get
        return np.fromiter((get(token, UNK) for token in tokens), dtype=np.int64)

    def decode(self, ids: Iterable[int] | np.ndarray) -> list[str]:
        """The tokens of ``ids``; IndexError for an id outside the vocabulary."""
        numbers = np.asarray(ids if isinstance(ids, np.ndarray) else list(ids), dtype=np.int64)
        if numbers.size and (numbers.min() < 0 or numbers.max() >= len(self)):
            raise IndexError(f"ids run from 0 to {len(self) - 1}; given {numbers.min()} to {numbers.max()}")
        return [self.tokens[number] for number in numbers.tolist()]

    def save(self, path: str | Path) -> None:
        """Write as JSON, atomically."""
        body = {"version": FORMAT, "tokens": list(self.tokens)}
        write_bytes(Path(path), json.dumps(body, ensure_ascii=False, indent=0).encode())

    @classmethod
    def load(cls, path: str | Path) -> Self:
        """Read what ``save`` wrote; UserError naming the file where it is something else."""
        try:
            return cls.from_json(Path(path).read_bytes(), str(path))
        except FileNotFoundError as error:
            raise UserError(f"{path}: there is no such vocabulary file; name a model folder that was written whole") from error

    @classmethod
    def from_json(cls, data: bytes, location: str) -> Self:
        """The vocabulary in the bytes of the file at ``location``; UserError naming it where they are something else."""
        try:
            body = json.loads(data)
            if body["version"] != FORMAT:
                raise ValueError(f"its version is {body['version']}, this library reads {FORMAT}")
            return cls(body["tokens"])
        except KeyError as error:
            raise UserError(f"{location}: not a vocabulary file (it has no {error}); name a vocab.json that this library wrote") from error
        except (ValueError, TypeError) as error:
            raise UserError(f"{location}: not a vocabulary file ({error}); name a vocab.json that this library wrote") from error

    @classmethod
    def from_counts(cls, counts: Mapping[str, int], max_size: int, min_count: int) -> Self:
        """The special tokens, then the most frequent tokens seen ``min_count`` times or more, ``max_size`` in all.

        Tokens of equal count are in the order of their code points, so that the order of ``counts`` does not matter.
        """
        frequent = [token for token, count in counts.items() if count >= min_count]
        return cls.from_frequent(sorted(frequent, key=lambda token: (-counts[token], token)), max_size)

    @classmethod
    def from_frequent(cls, tokens: Iterable[str], max_size: int) -> Self:
        """The special tokens, then ``tokens`` (the most frequent first) that are none of them, ``max_size`` in all."""
        return cls([*SPECIALS, *(token for token in tokens if token not in SPECIALS)][: max(max_size, len(SPECIALS))])
