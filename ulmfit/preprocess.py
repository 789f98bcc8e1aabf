"""The text work on parts: tokenise, count, encode. Each is ``f(spec) -> small record``.

Specs hold places and strings alone, so the functions run in a for-loop or on the workers of a cluster, and never hand text back.
A part that is done is not done again. Text is read once, to tokenise; all that follows is a gather over a part's own dictionary.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from ulmfit import storage
from ulmfit.config import VocabConfig
from ulmfit.errors import UserError
from ulmfit.shards import (
    COUNTS_SUFFIX,
    IDS_SUFFIX,
    SPLIT,
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

TOKENIZE_VERSION = 2
VOCAB_VERSION = 2
ENCODE_VERSION = 2

MOST_COUNTED = 2_000_000  # tokens that a table of counts keeps, so that a vocabulary's tail does not fill the memory
PRUNED = b"pruned"  # in a table's metadata: what a token that it lacks may have been seen at most


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


@dataclass(frozen=True)
class CountSpec:
    """Add up the tokens of ``splits`` in some parts, (token shard, corpus part) each, into the table ``{part}.counts.arrow``."""

    parts: tuple[tuple[str, str], ...]
    splits: tuple[str, ...]
    folder: str
    part: str


@dataclass(frozen=True)
class MergeSpec:
    """Add up tables of counts into the table ``{part}.counts.arrow``."""

    tables: tuple[str, ...]
    folder: str
    part: str


@dataclass(frozen=True)
class EncodeSpec:
    """Encode a token shard into ``folder`` through the vocabulary file; ``corpus``: its part, ``labels`` gives the codes."""

    tokens: str
    corpus: str
    vocab: str
    labels: tuple[str, ...]
    folder: str


@lru_cache(maxsize=1)
def _tokenizer(lang: str, rules: str) -> Tokenizer:
    from ulmfit.text.tokenizer import Tokenizer  # spaCy takes a second to import, and encoding needs none of it

    return Tokenizer(lang, rules)


@lru_cache(maxsize=2)
def _vocab(place: str, _digest: str) -> Vocab:
    return Vocab.from_json(storage.read_bytes(place), place)


# ----------------------------------------------------------------------------------------------------------- tokenise


def tokenize_part(spec: TokenizeSpec) -> PartRecord:
    """Write the token shard of one part; UserError where the part has not the columns."""
    part = Path(spec.source).stem
    done = done_part(spec.folder, part)
    if done:
        return done
    started = time.perf_counter()
    place = storage.join(spec.folder, f"{part}{TOKENS_SUFFIX}")
    if not _taken_over(spec.known, place):
        write_ipc(place, token_table(spec.source, _tokenizer(spec.lang, spec.rules), spec.exclude))
    tokens = one_batch(read_ipc(place)).column("tokens")
    record = PartRecord(
        part, len(tokens), len(tokens.values), len(tokens.values.dictionary), file_entries([place]), round(time.perf_counter() - started, 3)
    )
    save_record(spec.folder, record)
    return record


def _taken_over(known: tuple[str, str] | None, place: str) -> bool:
    if known is None or not storage.exists(known[0]) or storage.sha256(known[0]) != known[1]:
        return False
    storage.link_or_copy(known[0], place)
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


def part_documents(source: str) -> Iterator[tuple[str, str]]:
    """(id, text) of every row of a corpus part, read piecemeal; the pieces of a long document follow each other with its id."""
    for batch in _batches(source, ["id", "text"]):
        yield from zip(batch["id"].to_pylist(), batch["text"].to_pylist(), strict=True)


def _batches(source: str, columns: list[str]) -> Iterator[pa.RecordBatch]:
    """Some columns of a corpus part, a little at a time."""
    try:
        with storage.input_file(source) as file, pq.ParquetFile(file, pre_buffer=False) as part:
            missing = set(columns) - set(part.schema_arrow.names)
            if missing:
                raise pa.ArrowInvalid(f"it has no column {sorted(missing)[0]!r}")
            yield from part.iter_batches(batch_size=1000, columns=columns)
    except pa.ArrowInvalid as error:
        raise UserError(
            f"{source}: not a part of a corpus ({str(error).splitlines()[0]}); delete the corpus artifact and run again"
        ) from error


# -------------------------------------------------------------------------------------------------------------- count


def count_parts(spec: CountSpec) -> str:
    """Write the table of counts of some parts (``token`` string, ``count`` int64); returns its place."""
    return _write_counts(spec.folder, spec.part, (_counts(tokens, corpus, spec.splits) for tokens, corpus in spec.parts))


def merge_counts(spec: MergeSpec) -> str:
    """Write the sum of some tables of counts; returns its place."""
    return _write_counts(spec.folder, spec.part, (read_ipc(place) for place in spec.tables))


def _write_counts(folder: str, part: str, tables: Iterator[pa.Table]) -> str:
    place = storage.join(folder, f"{part}{COUNTS_SUFFIX}")
    if not storage.exists(place):  # it is written whole or not at all, and serves as an intermediate only
        write_ipc(place, add_counts(tables))
    return place


def _counts(tokens: str, corpus: str, splits: Sequence[str]) -> pa.Table:
    column = one_batch(read_ipc(tokens)).column("tokens")
    wanted = pc.is_in(_document_columns(corpus, ["split"])["split"], pa.array(splits)).to_numpy(zero_copy_only=False)
    flat = column.values
    lengths = np.diff(column.offsets.to_numpy())
    indices = flat.indices.to_numpy()[np.repeat(wanted, lengths)]
    count = np.bincount(indices, minlength=len(flat.dictionary)).astype(np.int64)
    seen = np.flatnonzero(count)
    return pa.table({"token": flat.dictionary.take(pa.array(seen)), "count": count[seen]})


def add_counts(tables: Iterator[pa.Table]) -> pa.Table:
    """The sum of tables of counts, the most frequent token first, ``MOST_COUNTED`` of them at most.

    What is left out makes later sums too small by as much as the metadata say (``pruned``).
    """
    total = pa.table({"token": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
    pruned = 0
    for table in tables:
        both = pa.concat_tables([total.replace_schema_metadata(), table.replace_schema_metadata()])
        total = both.group_by("token", use_threads=False).aggregate([("count", "sum")]).rename_columns(["token", "count"])
        pruned += _pruned(table)
        if len(total) > MOST_COUNTED:
            total = total.sort_by([("count", "descending"), ("token", "ascending")])
            pruned += total["count"][MOST_COUNTED].as_py()
            total = total.slice(0, MOST_COUNTED)
    return total.sort_by([("count", "descending"), ("token", "ascending")]).replace_schema_metadata({PRUNED: str(pruned).encode()})


def _pruned(counts: pa.Table) -> int:
    return int((counts.schema.metadata or {}).get(PRUNED, b"0"))


def build_vocab(counts: pa.Table, config: VocabConfig) -> Vocab:
    """The vocabulary of a table of counts as ``add_counts`` gives it."""
    frequent = counts.filter(pc.field("count") >= config.min_count)
    return Vocab.from_frequent(frequent["token"].slice(0, config.max_size).to_pylist(), config.max_size)


# ------------------------------------------------------------------------------------------------------------- encode


def encode_part(spec: EncodeSpec) -> PartRecord:
    """Write the id shard of one token shard; UserError for a label that is none of ``spec.labels``."""
    part = Path(spec.tokens).name.removesuffix(TOKENS_SUFFIX)
    done = done_part(spec.folder, part)
    if done:
        return done
    started = time.perf_counter()
    documents = _document_columns(spec.corpus, ["id", "label", "split"])
    table = id_table(read_ipc(spec.tokens), documents, _vocab(spec.vocab, storage.sha256(spec.vocab)), spec.labels, spec.corpus)
    place = storage.join(spec.folder, f"{part}{IDS_SUFFIX}")
    write_ipc(place, table)
    flat = one_batch(table).column("ids").values
    distinct = len(np.unique(flat.to_numpy()))
    record = PartRecord(part, len(table), len(flat), distinct, file_entries([place]), round(time.perf_counter() - started, 3))
    save_record(spec.folder, record)
    return record


def _document_columns(source: str, columns: list[str]) -> pa.Table:
    """Columns of a corpus part that a document has once, a row a document."""
    batches = list(_batches(source, [*columns, "piece"]))
    empty = pa.schema([(name, pa.string()) for name in columns])
    if not batches:
        return empty.empty_table()
    table = pa.Table.from_batches(batches)
    return table.filter(pc.equal(table["piece"], 0)).select(columns).cast(empty).combine_chunks()


def id_table(shard: pa.Table, documents: pa.Table, vocab: Vocab, labels: tuple[str, ...], source: str) -> pa.Table:
    """The id shard of a token shard: the dictionary goes through the vocabulary once, the rest is one gather.

    ``documents``: id, label and split of each row. Documents that were set aside are left out.
    """
    tokens = one_batch(shard).column("tokens")
    kept = pc.is_valid(tokens)
    if len(tokens) != len(documents):
        raise UserError(f"{source}: {len(documents)} documents, but {len(tokens)} in its token shard; delete both artifacts and run again")
    flat = tokens.values
    id_of = vocab.encode(flat.dictionary.to_pylist()).astype(vocab.dtype)
    offsets = tokens.offsets.to_numpy()  # a document that was set aside has no tokens, so the others adjoin
    begins = np.append(offsets[:-1][kept.to_numpy(zero_copy_only=False)], offsets[-1])
    ids = pa.ListArray.from_arrays(pa.array(begins, pa.int32()), pa.array(id_of[flat.indices.to_numpy()]))
    documents = documents.filter(kept)
    columns = {
        "id": documents["id"],
        "ids": ids,
        "label": _codes(documents["label"], labels, source),
        "split": documents["split"].cast(SPLIT),
    }
    return pa.table(columns)


def _codes(column: pa.ChunkedArray, labels: tuple[str, ...], source: str) -> pa.ChunkedArray:
    codes = pc.index_in(column, value_set=pa.array(labels, pa.string()), skip_nulls=True)
    strange = column.filter(pc.and_(pc.is_null(codes), pc.is_valid(column)))
    if len(strange):
        raise UserError(
            f"{source}: label {strange[0].as_py()!r} is none of the {len(labels)} labels of the corpus; run the corpus stage again"
        )
    return pc.fill_null(codes, -1).cast(pa.int32())
