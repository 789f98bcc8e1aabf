"""Tokenise a part of a corpus."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ulmfit.shards.arrow import TOKENS_SUFFIX, one_batch, read_ipc, write_ipc
from ulmfit.shards.corpus_part import read_batches
from ulmfit.shards.part_record import PartRecord, make_part
from ulmfit.store.artifacts import KnownPart

if TYPE_CHECKING:
    from ulmfit.text.tokenizer import Tokenizer

TOKENIZE_VERSION = 2


@dataclass(frozen=True)
class TokenizeSpec:
    """Tokenise the corpus part at ``source`` into ``folder`` with the rules ``rules`` of the language ``lang``.

    ``exclude``: numbers of documents that get no tokens. ``known``: a token shard of the same texts, which is reused if it is intact.
    """

    source: str
    folder: str
    lang: str
    rules: str
    exclude: tuple[int, ...] = ()
    known: KnownPart | None = None

    @property
    def part(self) -> str:
        """The name of the part."""
        return Path(self.source).stem


@lru_cache(maxsize=1)
def _tokenizer(lang: str, rules: str) -> Tokenizer:
    from ulmfit.text.tokenizer import Tokenizer  # spaCy takes a second to import, and encoding does not need it

    return Tokenizer(lang, rules)


def tokenize_part(spec: TokenizeSpec) -> PartRecord:
    """Write the token shard of one part; UserError where the part lacks a column."""

    def write(location: str) -> pa.ListArray:
        if not (spec.known and spec.known.taken_over(location)):
            write_ipc(location, token_table(spec.source, _tokenizer(spec.lang, spec.rules), spec.exclude))
        return one_batch(read_ipc(location)).column("tokens")

    return make_part(spec.folder, spec.part, TOKENS_SUFFIX, write)


def token_table(source: str, tokenizer: Tokenizer, exclude: Sequence[int] = ()) -> pa.Table:
    """The token shard of a corpus part. The pieces of a long document become one row again."""
    first: list[bool] = []  # of each row: whether a document begins with it

    def texts() -> Iterator[str]:
        for batch in read_batches(source, ["text", "piece"]):
            first.extend((batch["piece"].to_numpy() == 0).tolist())
            yield from batch["text"].to_pylist()

    rows = tokenizer.columns(_without(texts(), first, frozenset(exclude)))
    return pa.table({"tokens": _documents(rows, np.array(first, bool), exclude)})


def _without(texts: Iterator[str], first: list[bool], exclude: frozenset[int]) -> Iterator[str]:
    document = -1
    for row, text in enumerate(texts):
        document += first[row]
        yield "" if document in exclude else text


def _documents(rows: pa.ListArray, first: np.ndarray, exclude: Sequence[int]) -> pa.ListArray:
    """Rows to documents: a row that continues a document loses its ``xxbos``; an excluded document is null and has no token."""
    offsets = rows.offsets.to_numpy().astype(np.int64)
    values = rows.values
    excluded = np.isin(np.arange(int(first.sum())), list(exclude))
    superfluous = offsets[:-1][~first | excluded[np.cumsum(first) - 1]]
    if len(superfluous):
        values = values.take(pa.array(np.delete(np.arange(len(values)), superfluous)))
        offsets = offsets - np.searchsorted(superfluous, offsets, side="left")
    begins = np.append(offsets[:-1][first], offsets[-1])
    return pa.ListArray.from_arrays(pa.array(begins, pa.int32()), values, mask=pa.array(excluded) if excluded.any() else None)
