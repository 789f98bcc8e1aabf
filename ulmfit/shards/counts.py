"""Count the tokens of parts, add the tables up, and choose the vocabulary."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from ulmfit.config import VocabConfig
from ulmfit.shards.arrow import COUNTS_SUFFIX, one_batch, read_ipc, write_ipc
from ulmfit.shards.corpus_part import document_columns
from ulmfit.store import filesystem
from ulmfit.text.vocab import Vocab

VOCAB_VERSION = 2

MOST_COUNTED = 2_000_000  # tokens in a table of counts: rare tokens must not fill the memory
PRUNED = b"pruned"  # in a table's metadata: how often, at most, a token that it lacks was seen


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


def count_parts(spec: CountSpec) -> str:
    """Write the table of counts of some parts (``token`` string, ``count`` int64); returns its location."""
    return _write_counts(spec.folder, spec.part, (_counts(tokens, corpus, spec.splits) for tokens, corpus in spec.parts))


def merge_counts(spec: MergeSpec) -> str:
    """Write the sum of some tables of counts; returns its location."""
    return _write_counts(spec.folder, spec.part, map(read_ipc, spec.tables))


def _write_counts(folder: str, part: str, tables: Iterator[pa.Table]) -> str:
    location = filesystem.join(folder, f"{part}{COUNTS_SUFFIX}")
    if not filesystem.exists(location):  # it is written whole or not at all, and is only an intermediate
        write_ipc(location, add_counts(tables))
    return location


def _counts(tokens: str, corpus: str, splits: Sequence[str]) -> pa.Table:
    column = one_batch(read_ipc(tokens)).column("tokens")
    wanted = pc.is_in(document_columns(corpus, ["split"])["split"], pa.array(splits)).to_numpy(zero_copy_only=False)
    flat = column.values
    lengths = np.diff(column.offsets.to_numpy())
    indices = flat.indices.to_numpy()[np.repeat(wanted, lengths)]
    count = np.bincount(indices, minlength=len(flat.dictionary)).astype(np.int64)
    seen = np.flatnonzero(count)
    return pa.table({"token": flat.dictionary.take(pa.array(seen)), "count": count[seen]})


def add_counts(tables: Iterator[pa.Table], most: int = MOST_COUNTED) -> pa.Table:
    """The sum of tables of counts, the most frequent token first, ``most`` tokens at most.

    The metadata (``pruned``) say by how much the count of a token may be too small, because tables before it lacked the token.
    """
    total = pa.table({"token": pa.array([], pa.string()), "count": pa.array([], pa.int64())})
    pruned = 0
    for table in tables:
        both = pa.concat_tables([total.replace_schema_metadata(), table.replace_schema_metadata()])
        total = both.group_by("token", use_threads=False).aggregate([("count", "sum")]).rename_columns(["token", "count"])
        pruned += int((table.schema.metadata or {}).get(PRUNED, b"0"))
        if len(total) > most:
            total = total.sort_by([("count", "descending"), ("token", "ascending")])
            pruned += total["count"][most].as_py()
            total = total.slice(0, most)
    return total.sort_by([("count", "descending"), ("token", "ascending")]).replace_schema_metadata({PRUNED: str(pruned).encode()})


def build_vocab(counts: pa.Table, config: VocabConfig) -> Vocab:
    """The vocabulary of a table of counts as ``add_counts`` gives it."""
    frequent = counts.filter(pc.field("count") >= config.min_count)
    return Vocab.from_frequent(frequent["token"].slice(0, config.max_size).to_pylist(), config.max_size)
