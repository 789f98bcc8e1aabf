"""Tokenise a part of a corpus."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from ulmfit.shards.arrow import TOKENS_SUFFIX, one_batch, read_ipc, write_ipc
from ulmfit.shards.parts import PartRecord, done_part, file_entries, save_record
from ulmfit.store import filesystem

if TYPE_CHECKING:
    from ulmfit.text.tokenizer import Tokenizer
from ulmfit.shards.columns import _batches

TOKENIZE_VERSION = 2


@dataclass(frozen=True)
class TokenizeSpec:
    """Tokenise the corpus part at ``source`` into ``folder`` by the language and the rules named.

    ``exclude``: numbers of documents that get no tokens. ``known``: the place and the digest of a token shard that was made of the
    same texts before; it is taken over if it is sound.
    """

    source: str
    folder: str
    lang: str
    rules: str
    exclude: tuple[int, ...] = ()
    known: tuple[str, str] | None = None


@lru_cache(maxsize=1)
def _tokenizer(lang: str, rules: str) -> Tokenizer:
    from ulmfit.text.tokenizer import Tokenizer  # spaCy takes a second to import, and encoding needs none of it

    return Tokenizer(lang, rules)


# ----------------------------------------------------------------------------------------------------------- tokenise


def tokenize_part(spec: TokenizeSpec) -> PartRecord:
    """Write the token shard of one part; UserError where the part has not the columns."""
    part = Path(spec.source).stem
    done = done_part(spec.folder, part)
    if done:
        return done
    started = time.perf_counter()
    place = filesystem.join(spec.folder, f"{part}{TOKENS_SUFFIX}")
    if not _taken_over(spec.known, place):
        write_ipc(place, token_table(spec.source, _tokenizer(spec.lang, spec.rules), spec.exclude))
    tokens = one_batch(read_ipc(place)).column("tokens")
    record = PartRecord(
        part, len(tokens), len(tokens.values), len(tokens.values.dictionary), file_entries([place]), round(time.perf_counter() - started, 3)
    )
    save_record(spec.folder, record)
    return record


def _taken_over(known: tuple[str, str] | None, place: str) -> bool:
    if known is None or not filesystem.exists(known[0]) or filesystem.sha256(known[0]) != known[1]:
        return False
    filesystem.link_or_copy(known[0], place)
    return True


def token_table(source: str, tokenizer: Tokenizer, exclude: Sequence[int] = ()) -> pa.Table:
    """The token shard of a corpus part. The pieces of a long document become one row again."""
    first: list[bool] = []  # of each row: whether a document begins with it

    def texts() -> Iterator[str]:
        for batch in _batches(source, ["text", "piece"]):
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
    """Rows to documents: a row that goes on with a document loses its ``xxbos``; a document set aside is null and has no token."""
    offsets = rows.offsets.to_numpy().astype(np.int64)
    values = rows.values
    aside = np.isin(np.arange(int(first.sum())), list(exclude))
    superfluous = offsets[:-1][~first | aside[np.cumsum(first) - 1]]
    if len(superfluous):
        values = values.take(pa.array(np.delete(np.arange(len(values)), superfluous)))
        offsets = offsets - np.searchsorted(superfluous, offsets, side="left")
    begins = np.append(offsets[:-1][first], offsets[-1])
    return pa.ListArray.from_arrays(pa.array(begins, pa.int32()), values, mask=pa.array(aside) if aside.any() else None)
