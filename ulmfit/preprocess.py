"""The text work on one part: tokenise it, then encode it. Each is ``f(spec) -> PartRecord``.

Specs hold paths and strings alone, so the functions run in a for-loop or on the workers of a cluster; they return small
records, never text. A part that is done is not done again.
"""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ulmfit.config import VocabConfig
from ulmfit.errors import UserError
from ulmfit.shards import (
    COUNTS_SUFFIX,
    IDS_SUFFIX,
    TOKENS_SUFFIX,
    PartRecord,
    done_part,
    file_entries,
    one_batch,
    read_ipc,
    save_record,
    write_ipc,
)
from ulmfit.text.vocab import Vocab

if TYPE_CHECKING:
    from ulmfit.text.tokenizer import Tokenizer

TOKENIZE_VERSION = 1
VOCAB_VERSION = 1
ENCODE_VERSION = 1

TOKENS = pa.list_(pa.dictionary(pa.int32(), pa.string()))


@dataclass(frozen=True)
class TokenizeSpec:
    """Tokenise the Parquet part ``source`` into ``folder`` by the language and the rules named."""

    source: str
    folder: str
    lang: str
    rules: str


@dataclass(frozen=True)
class EncodeSpec:
    """Encode the token shard ``tokens`` into ``folder`` through the vocabulary file; ``labels`` gives the codes."""

    tokens: str
    vocab: str
    labels: tuple[str, ...]
    folder: str


@lru_cache(maxsize=4)
def _tokenizer(lang: str, rules: str) -> Tokenizer:
    from ulmfit.text.tokenizer import Tokenizer  # spaCy takes a second to import, and encoding needs none of it

    return Tokenizer(lang, rules)


@lru_cache(maxsize=2)
def _vocab(path: str, _modified: int) -> Vocab:
    return Vocab.load(path)


def tokenize_part(spec: TokenizeSpec) -> PartRecord:
    """Write the token shard and the token counts of one part; UserError where the part has not the columns."""
    source, folder = Path(spec.source), Path(spec.folder)
    part = source.stem
    done = done_part(folder, part)
    if done:
        return done
    started = time.perf_counter()
    corpus = _read_part(source)
    table, counts = token_table(corpus, _tokenizer(spec.lang, spec.rules)(corpus["text"].to_pylist()))
    paths = [folder / f"{part}{TOKENS_SUFFIX}", folder / f"{part}{COUNTS_SUFFIX}"]
    write_ipc(paths[0], table)
    write_ipc(paths[1], counts)
    tokens = pc.sum(counts["count"]).as_py() or 0
    record = PartRecord(part, len(table), tokens, len(counts), file_entries(paths), round(time.perf_counter() - started, 3))
    save_record(folder, record)
    return record


def _read_part(source: Path) -> pa.Table:
    try:
        return pq.read_table(source, columns=["id", "text", "label"], partitioning=None)
    except (pa.ArrowInvalid, KeyError) as error:
        raise UserError(
            f"{source}: not a part of a corpus ({str(error).splitlines()[0]}); delete the corpus artifact and run again"
        ) from error


def token_table(corpus: pa.Table, documents: list[list[str]]) -> tuple[pa.Table, pa.Table]:
    """The token shard of tokenised documents, and their counts (``token`` string, ``count`` int64).

    The shard's dictionary, and so the counts, are in order of first occurrence.
    """
    offsets = np.cumsum([0, *map(len, documents)], dtype=np.int32)
    flat = pa.array([token for document in documents for token in document], pa.string()).dictionary_encode()
    tokens = pa.ListArray.from_arrays(pa.array(offsets), flat)
    table = pa.table({"id": corpus["id"].cast(pa.string()), "tokens": tokens.cast(TOKENS), "label": corpus["label"].cast(pa.string())})
    count = np.bincount(flat.indices.to_numpy(), minlength=len(flat.dictionary)).astype(np.int64)
    return table, pa.table({"token": flat.dictionary, "count": count})


def encode_part(spec: EncodeSpec) -> PartRecord:
    """Write the id shard of one token shard; UserError for a label that is none of ``spec.labels``."""
    source, folder = Path(spec.tokens), Path(spec.folder)
    part = source.name.removesuffix(TOKENS_SUFFIX)
    done = done_part(folder, part)
    if done:
        return done
    started = time.perf_counter()
    table = id_table(read_ipc(source), _vocab(spec.vocab, Path(spec.vocab).stat().st_mtime_ns), spec.labels, source)
    path = folder / f"{part}{IDS_SUFFIX}"
    write_ipc(path, table)
    flat = one_batch(table).column("ids").flatten()
    record = PartRecord(part, len(table), len(flat), len(flat.unique()), file_entries([path]), round(time.perf_counter() - started, 3))
    save_record(folder, record)
    return record


def id_table(shard: pa.Table, vocab: Vocab, labels: tuple[str, ...], source: Path) -> pa.Table:
    """The id shard of a token shard: the dictionary goes through the vocabulary once, the rest is one gather."""
    tokens = one_batch(shard).column("tokens")
    flat = tokens.values
    id_of = vocab.encode(flat.dictionary.to_pylist()).astype(vocab.dtype)
    ids = pa.ListArray.from_arrays(tokens.offsets, pa.array(id_of[flat.indices.to_numpy()]))
    return pa.table({"id": shard["id"], "ids": ids, "label": _codes(shard["label"], labels, source)})


def _codes(column: pa.ChunkedArray, labels: tuple[str, ...], source: Path) -> pa.ChunkedArray:
    codes = pc.index_in(column, value_set=pa.array(labels, pa.string()), skip_nulls=True)
    strange = column.filter(pc.and_(pc.is_null(codes), pc.is_valid(column)))
    if len(strange):
        raise UserError(
            f"{source}: label {strange[0].as_py()!r} is none of the {len(labels)} labels of the corpus; run the corpus stage again"
        )
    return pc.fill_null(codes, -1).cast(pa.int32())


def merge_counts(paths: Iterable[Path]) -> dict[str, int]:
    """Token counts of all parts together, from their ``.counts.arrow`` files."""
    tables = [read_ipc(Path(path)) for path in paths]
    if not tables:
        return {}
    total = pa.concat_tables(tables).group_by("token", use_threads=False).aggregate([("count", "sum")])
    return dict(zip(total["token"].to_pylist(), total["count_sum"].to_pylist(), strict=True))


def build_vocab(count_paths: Iterable[Path], config: VocabConfig) -> Vocab:
    """The vocabulary of all parts together."""
    return Vocab.from_counts(merge_counts(count_paths), config.max_size, config.min_count)
